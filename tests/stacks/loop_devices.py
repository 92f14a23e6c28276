"""The loop devices of a run, as the kernel has them."""

from __future__ import annotations

from pathlib import Path


def disks_of(run: str) -> list[str]:
    """The files of this run's that loop devices of this machine are attached to."""
    files = [path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    return [file for file in files if run in file]
