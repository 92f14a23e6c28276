"""Reads an archive and believes nothing of it: one that is damaged, cut off or made up is refused."""

import hashlib
import tarfile
from collections.abc import Iterator
from typing import IO

from archive.entry import PIECE, ArchiveError, Entry, Manifest, digest_of
from archive.writing import COMPLETE, DUMP, MANIFEST, MEDIA

LONGEST_MANIFEST = 1 << 30
# ArithmeticError and ValueError: numbers and text in damaged headers.
_DAMAGE = (EOFError, tarfile.TarError, ArithmeticError, ValueError)


class ArchiveReader:
    """Goes through an archive once: `manifest`, then `dump`, then `media`, then `end`."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            self._tar = tarfile.open(  # noqa: SIM115
                fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape"
            )
            member, content = self._next(MANIFEST)
        except _DAMAGE as error:
            raise ArchiveError(f"this is no archive of backup.sh: {error}") from error
        if content is None or member.size > LONGEST_MANIFEST:
            raise ArchiveError("this is no archive of backup.sh: it has no manifest")
        text = _read_all(content, member.size)
        self._digest = hashlib.sha256(text).hexdigest()
        self.manifest = Manifest.from_bytes(text)

    def dump(self, output: IO[bytes] | None = None) -> None:
        """The dump of the database, copied to `output`."""
        member, content = self._next(DUMP)
        self._copied(
            member, content, self.manifest.dump_size, self.manifest.dump_sha256, output, "the database"
        )

    def media(self) -> Iterator[tuple[Entry, IO[bytes] | None]]:
        """Each entry of the manifest, a file with its content, to be handed to `copied` before the next."""
        for entry in self.manifest.entries:
            member, content = self._next(MEDIA if entry.path == "." else f"{MEDIA}/{entry.path}")
            if (member.isdir(), member.issym(), member.isreg()) != (
                entry.kind == "directory", entry.kind == "symlink", entry.kind == "file",
            ) or (entry.kind == "symlink" and member.linkname != entry.target):  # fmt: skip
                raise ArchiveError(f"the archive is damaged: {entry.path!r} is not what its manifest says")
            yield entry, content if entry.kind == "file" else None

    def copied(self, entry: Entry, content: IO[bytes], output: IO[bytes] | None = None) -> None:
        """Copy a file's content to `output`; ArchiveError where it is not what the manifest says."""
        self._copied(None, content, entry.size, entry.sha256, output, repr(entry.path))

    def end(self) -> None:
        _, content = self._next(COMPLETE)
        if content is None or _read_all(content, 65).decode("ascii", "replace") != f"{self._digest}\n":
            raise ArchiveError("the archive is damaged: its manifest is not the one that it was made with")

    def _next(self, name: str) -> tuple[tarfile.TarInfo, IO[bytes] | None]:
        try:
            member = self._tar.next()
            if member is None:
                raise ArchiveError(f"the archive is cut off, or damaged, before {name!r}")
            if member.name != name:
                raise ArchiveError(f"the archive is damaged: {member.name!r} stands where {name!r} should")
            return member, self._tar.extractfile(member) if member.isreg() else None
        except _DAMAGE as error:
            raise ArchiveError(f"the archive is damaged before {name!r}: {error}") from error

    def _copied(
        self,
        member: tarfile.TarInfo | None,
        content: IO[bytes] | None,
        size: int,
        sha256: str,
        output: IO[bytes] | None,
        what: str,
    ) -> None:
        try:
            found = digest_of(content, output) if content is not None else (0, "")
        except _DAMAGE as error:
            raise ArchiveError(f"the archive is damaged: {what} ends early: {error}") from error
        if found != (size, sha256):
            raise ArchiveError(f"the archive is damaged: {what} is not what was backed up")


def verify(stream: IO[bytes]) -> Manifest:
    """Read all of an archive; ArchiveError where anything of it is not as it was written."""
    reader = ArchiveReader(stream)
    reader.dump()
    for entry, content in reader.media():
        if content is not None:
            reader.copied(entry, content)
    reader.end()
    while stream.read(PIECE):
        pass
    return reader.manifest


def _read_all(content: IO[bytes], size: int) -> bytes:
    try:
        found = content.read(size + 1)
    except _DAMAGE as error:
        raise ArchiveError(f"the archive is damaged: {error}") from error
    if len(found) != size:
        raise ArchiveError("the archive is cut off")
    return found
