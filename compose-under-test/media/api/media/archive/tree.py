"""Walks the media root and describes what is there, without following links."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from media.archive.entry import Entry, Kind
from media.layout import FILESYSTEM_DIRECTORY, is_service_name

_KEPT_XATTRS = ("user.", "system.posix_acl_")


def is_media(path: str) -> bool:
    """Whether the relative `path` belongs to the media, and not to the service or to the filesystem."""
    parts = path.split("/")
    return parts[0] != FILESYSTEM_DIRECTORY and not any(is_service_name(part) for part in parts)


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(relative path, status) of the root `.` and of all media below, parents first, in order of name.

    What vanishes during the walk is left out, as if it had been deleted before.
    """
    yield ".", os.lstat(root)
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            names = sorted(os.listdir(root / directory))
        except FileNotFoundError:
            continue
        below: list[str] = []
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if not is_media(path):
                continue
            try:
                status = os.lstat(root / path)
            except FileNotFoundError:
                continue
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                below.append(path)
        pending += reversed(below)


def kind_of(status: os.stat_result) -> Kind | None:
    """The kind; None for sockets and devices, which cannot be kept."""
    if stat.S_ISREG(status.st_mode):
        return "file"
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    if stat.S_ISLNK(status.st_mode):
        return "symlink"
    return "fifo" if stat.S_ISFIFO(status.st_mode) else None


def describe(root: Path, path: str, status: os.stat_result, kind: Kind) -> Entry:
    """The entry, for a file without the digest of its content."""
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size=status.st_size if kind == "file" else 0,
        target=os.readlink(root / path) if kind == "symlink" else "",
        xattrs={} if kind == "symlink" else xattrs(root / path),
    )


def xattrs(path: Path) -> dict[str, bytes]:
    """The extended attributes that belong to the file's owner, and its access lists."""
    if sys.platform != "linux":
        return {}
    try:
        names = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(_KEPT_XATTRS)]
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    except OSError:
        return {}
