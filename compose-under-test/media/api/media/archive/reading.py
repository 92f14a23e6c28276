"""Reads an archive and believes nothing of it: damaged, cut off or malicious ones are refused."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import PurePosixPath
from typing import IO

from media.archive.entry import ArchiveError, Entry, Kind, Summary
from media.archive.tree import is_media

READ_BYTES = 1 << 20

_XATTR = "SCHILY.xattr."
# ArithmeticError and ValueError: numbers and text in damaged headers.
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, ArithmeticError, ValueError)


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged header in the middle for the end of the archive; this does not."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error


class ArchiveReader:
    """Goes through an archive once. `sha256` of the compressed bytes is whole when `entries` has ended."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = _Digesting(stream)

    @property
    def sha256(self) -> str:
        """In hex, of the bytes read so far."""
        return self._stream.digest.hexdigest()

    def entries(self) -> Iterator[tuple[Entry, IO[bytes] | None]]:
        """Every entry, a file with a stream of its content, which is to be read before the next entry.

        A file's entry has no digest: whoever reads the content takes it. Raises ArchiveError for
        one that is damaged, cut off, names a path outside the root, goes through a link or holds a device.
        """
        try:
            with gzip.GzipFile(fileobj=self._stream, mode="rb") as content:  # type: ignore[call-overload]
                yield from self._members(content)
                while content.read(READ_BYTES):
                    pass
        except _DAMAGE as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error
        while self._stream.read(READ_BYTES):
            pass

    def _members(self, content: gzip.GzipFile) -> Iterator[tuple[Entry, IO[bytes] | None]]:
        kinds: dict[str, Kind] = {}
        with tarfile.open(
            fileobj=content, mode="r|", tarinfo=_StrictTarInfo, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                entry = _entry(member)
                if entry.path != "." and not is_media(entry.path):
                    continue
                _check_place(entry, kinds)
                kinds[entry.path] = entry.kind
                yield entry, archive.extractfile(member) if entry.kind == "file" else None


def verify(stream: IO[bytes], standard: tuple[str, ...]) -> tuple[Summary, str]:
    """Reads all of an archive: what it holds, and the SHA-256 of its bytes. Raises ArchiveError."""
    reader = ArchiveReader(stream)
    entries = [digested(entry, content) if content else entry for entry, content in reader.entries()]
    _check_level([entry.path for entry in entries], standard)
    return Summary.of(entries), reader.sha256


def digested(entry: Entry, content: IO[bytes], output: IO[bytes] | None = None) -> Entry:
    """The entry with the digest of its content, which is copied to `output`. Raises ArchiveError."""
    digest = hashlib.sha256()
    size = 0
    while piece := _read(content):
        digest.update(piece)
        size += len(piece)
        if output is not None:
            output.write(piece)
    if size != entry.size:
        raise ArchiveError(f"the archive is damaged: {entry.path!r} ends early")
    return replace(entry, sha256=digest.hexdigest())


def _read(content: IO[bytes]) -> bytes:
    try:
        return content.read(READ_BYTES)
    except _DAMAGE as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error


def _entry(member: tarfile.TarInfo) -> Entry:
    kind: Kind
    if member.isreg():
        kind = "file"
    elif member.isdir():
        kind = "directory"
    elif member.issym():
        kind = "symlink"
    elif member.islnk():
        kind = "hardlink"
    elif member.isfifo():
        kind = "fifo"
    else:
        raise ArchiveError(f"the archive holds a device or something unknown: {member.name!r}")
    xattrs = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR)
    }
    return Entry(
        path=_relative(member.name),
        kind=kind,
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime_ns=int(Decimal(member.pax_headers.get("mtime", str(member.mtime))) * 1_000_000_000),
        size=member.size if kind == "file" else 0,
        target=_relative(member.linkname) if kind == "hardlink" else member.linkname,
        xattrs=xattrs,
    )


def _relative(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ArchiveError(f"the archive names a path outside the media root: {name!r}")
    return str(path)


def _check_place(entry: Entry, kinds: dict[str, Kind]) -> None:
    if entry.path in kinds:
        raise ArchiveError(f"the archive holds {entry.path!r} twice")
    for parent in PurePosixPath(entry.path).parents:
        if kinds.get(str(parent), "directory") != "directory":
            raise ArchiveError(f"the archive goes through {str(parent)!r}, which is no directory")
    if entry.path == "." and entry.kind != "directory":
        raise ArchiveError("the archive's root is no directory")
    if entry.kind == "hardlink" and kinds.get(entry.target) not in ("file", "hardlink"):
        raise ArchiveError(f"the archive links {entry.path!r} to {entry.target!r}, which is not in it")


def _check_level(paths: list[str], standard: tuple[str, ...]) -> None:
    tops = {path.split("/")[0] for path in paths if path != "."}
    if len(tops) == 1 and not tops & set(standard):
        (top,) = tops
        if any(f"{top}/{name}" in paths for name in standard):
            raise ArchiveError(f"the archive holds everything below {top!r}: it was made one level too high")


class _Digesting:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.digest.update(piece)
        return piece
