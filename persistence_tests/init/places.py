"""Paths: in a container, as texts, and on this machine, which may be unreadable."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 256 * 1024  # of a configuration file


def is_below(path: str, directory: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def is_directory(path: Path) -> bool:
    """False, too, where nobody may look, and for a name that is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def text_of(file: Path) -> str | None:
    """None for what is no readable text of a configuration file's size."""
    try:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            return None
        return file.read_text()
    except (OSError, UnicodeDecodeError, ValueError):
        return None
