"""Holds the media as they are at one moment: hard links to all of them, made in the time that links take.

What the application has given a name it never writes to again, so a link keeps the content whatever is removed or
replaced meanwhile.

    .backup-TOKEN/      the media, file by file the same inode; its directories have the originals' mode, owner and time
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive.entry import describe, walk

PREFIX = ".backup-"


def area(root: Path, token: str) -> Path:
    return root / f"{PREFIX}{token}"


def link(root: Path, token: str) -> int:
    """Make the snapshot; how many files it holds. What another backup left is removed before."""
    sweep(root)
    target = area(root, token)
    with _untraced(root):
        target.mkdir(mode=0o700)
    directories: list[tuple[Path, os.stat_result]] = []
    files = 0
    for path, status in walk(root):
        entry = describe(root, path, status)
        try:
            if entry is None:
                continue
            if entry.kind == "directory":
                (target / path).mkdir(exist_ok=True)
                directories.append((target / path, status))
            else:
                os.link(root / path, target / path, follow_symlinks=False)
                files += entry.kind == "file"
        except FileNotFoundError:
            continue  # deleted meanwhile: no row refers to it any more
    for directory, status in reversed(directories):
        os.chown(directory, status.st_uid, status.st_gid)
        directory.chmod(status.st_mode & 0o7777)
        os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))
    return files


def unlink(root: Path, token: str) -> None:
    _remove(root, area(root, token))


def sweep(root: Path) -> None:
    for left in root.glob(f"{PREFIX}*"):
        _remove(root, left)


def _remove(root: Path, directory: Path) -> None:
    if directory.exists():
        with _untraced(root):
            shutil.rmtree(directory)


@contextmanager
def _untraced(root: Path) -> Iterator[None]:
    """The root's time stays what it was: this is nothing that anybody did to the media."""
    before = root.stat()
    yield
    os.utime(root, ns=(before.st_atime_ns, before.st_mtime_ns))
