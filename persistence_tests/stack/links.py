"""Symbolic links of the copied project directory: none leads a bind mount or a command back to the user's files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

LARGEST_COPY = 64 * 1024 * 1024  # bytes of a file outside that a link's place is filled with
SYSTEM = tuple(
    map(Path, ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix", "/dev", "/proc", "/sys", "/etc"))
)


def turn_inwards(project: Path, copy: Path) -> None:
    """An absolute link from the project into the project leads into the copy."""
    home = project.resolve()
    for link in links(copy):
        target = Path(os.path.normpath(link.readlink()))
        for base in (project, home):
            if target.is_absolute() and target.is_relative_to(base):
                inside = copy / target.relative_to(base)
                link.unlink()
                link.symlink_to(os.path.relpath(inside, link.parent))
                break


def cut(copy: Path, root: Path) -> list[str]:
    """Links that lead out of `root` become what they lead to: an empty directory, a copy of a file, nothing.

    For stacks whose own commands run in the copy: they would write through the link. Links to the system's own
    directories stay. Returns what was cut, in words.
    """
    changes = []
    for link in sorted(links(copy)):
        target = link.resolve()
        if target.is_relative_to(root) or any(target.is_relative_to(directory) for directory in SYSTEM):
            continue
        link.unlink()
        said = f"./{link.relative_to(copy)} leads out of the project, to {target}:"
        if target.is_dir():
            link.mkdir()
            changes.append(f"{said} it is an empty directory in the workspace")
        elif target.is_file() and target.stat().st_size <= LARGEST_COPY:
            shutil.copy2(target, link)
            changes.append(f"{said} it is a copy in the workspace")
        else:
            changes.append(f"{said} it is left out")
    return changes


def links(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(parent, name)
            if path.is_symlink():
                yield path
