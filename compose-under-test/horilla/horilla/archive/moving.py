"""Takes media out of another container, as the engine's archive of them, and says whether all of it arrived."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from archive.entry import ArchiveError, digest_of, is_media, relative
from archive.restoring import sync

PREFIX = ".import-"
_DAMAGE = (EOFError, tarfile.TarError, ArithmeticError, ValueError)


@dataclass(slots=True)
class Comparison:
    """Paths of the container's files: those that the volume has too, has not, or has otherwise; what is no file."""

    same: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        names = ("same", "missing", "different", "other")
        return " ".join(f"{name}={len(getattr(self, name))}" for name in names)


def compare(root: Path, stream: IO[bytes]) -> Comparison:
    """Read the container's files and the volume's; nothing is written."""
    found = Comparison()
    digests: dict[str, tuple[int, str]] = {}
    for path, member, content in _members(stream):
        if member.isdir():
            continue
        if content is not None:
            digests[path] = digest_of(content)
        elif member.islnk() and relative(member.linkname) in digests:
            digests[path] = digests[relative(member.linkname)]
        else:
            found.other.append(path)
            continue
        there = _digest_at(root, path)
        part = found.missing if there is None else found.same if there == digests[path] else found.different
        part.append(path)
    return found


def bring(root: Path, stream: IO[bytes]) -> int:
    """Write those files that the volume has not, for the owner of its root; how many. None is ever replaced.

    A file appears under its name when it is whole and on the disk. What is cut off leaves a `.import-` file, which
    the next run removes.
    """
    for left in root.glob(f"{PREFIX}*"):
        left.unlink()
    brought = 0
    for path, member, content in _members(stream):
        if member.isdir() or os.path.lexists(root / path):
            continue
        if content is not None:
            _write(root, path, content, member.mtime)
        elif member.islnk():  # two names of one file become two files
            with (root / relative(member.linkname)).open("rb") as first:
                _write(root, path, first, os.fstat(first.fileno()).st_mtime)
        else:
            continue
        brought += 1
    sync(root)
    return brought


def _write(root: Path, path: str, content: IO[bytes], mtime: float) -> None:
    owner = root.stat()
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        directory = root / parent
        if directory.is_symlink():
            raise ArchiveError(f"{str(parent)!r} is a link on the volume: nothing is written through it")
        if not directory.exists():
            directory.mkdir(mode=0o755)
            os.chown(directory, owner.st_uid, owner.st_gid)
    unfinished = root / f"{PREFIX}{os.getpid()}"
    with unfinished.open("xb") as file:
        digest_of(content, file)
        file.flush()
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.fchmod(file.fileno(), 0o644)
        os.utime(file.fileno(), (mtime, mtime))
        os.fsync(file.fileno())
    os.link(unfinished, root / path)  # which replaces nothing
    unfinished.unlink()


def _members(stream: IO[bytes]) -> Iterator[tuple[str, tarfile.TarInfo, IO[bytes] | None]]:
    """Path, header and, of a file, content of all that is media."""
    try:
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                path = relative(member.name)
                if path != "." and is_media(path):
                    yield path, member, archive.extractfile(member) if member.isreg() else None
    except _DAMAGE as error:
        raise ArchiveError(f"the container's files could not be read: {error}") from error


def _digest_at(root: Path, path: str) -> tuple[int, str] | None:
    """None where the volume has nothing there; what is no file has no digest."""
    place = root / path
    if not os.path.lexists(place):
        return None
    if place.is_symlink() or not place.is_file():
        return (-1, "")
    with place.open("rb") as file:
        return digest_of(file)
