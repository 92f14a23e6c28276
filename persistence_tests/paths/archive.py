"""Trees and files out of the engine's archive streams, hashed as they pass.

The engine's archives differ from a plain tar file in ways that matter here: a file that cannot be
opened is left out without a word, an error in the middle ends the stream early, sockets are left
out, and every further name of a file with several is an entry that only refers to the first.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, cast

from persistence_tests.model.observation import ABSENT, NodeKind, Observation

_CHUNK = 1 << 20
_END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


class BrokenArchive(Exception):
    """The stream ended before the archive did, or is no archive."""


@dataclass(slots=True)
class Tree:
    """Every name below a root, relative to it: directories, and all other nodes."""

    files: dict[str, Observation] = field(default_factory=dict)
    directories: dict[str, Observation] = field(default_factory=dict)

    def observations(self, names: Sequence[str]) -> dict[str, Observation]:
        """All files, and each of `names` whatever it is."""
        return self.files | {
            name: self.files.get(name) or self.directories.get(name) or ABSENT for name in names
        }


class _Stream:
    """A file object over chunks. Remembers the last bytes, which show whether the archive was whole."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self._tail = b""

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            if not self._rest:
                chunk = next(self._chunks, b"")
                if not chunk:
                    break
                self._tail = (self._tail + chunk[-len(_END_OF_ARCHIVE) :])[-len(_END_OF_ARCHIVE) :]
                self._rest = memoryview(chunk)
            part = self._rest[:size]
            parts.append(bytes(part))
            self._rest = self._rest[len(part) :]
            size -= len(part)
        return b"".join(parts)

    def whole(self) -> bool:
        for _ in iter(lambda: self.read(_CHUNK), b""):
            pass
        return self._tail == _END_OF_ARCHIVE


def _open(stream: _Stream) -> tarfile.TarFile:
    return tarfile.open(
        fileobj=cast(IO[bytes], stream),
        mode="r|",
        bufsize=_CHUNK,
        encoding="utf-8",
        errors="surrogateescape",
    )


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # else it keeps every member for the sake of seeking
        yield member


def read_tree(chunks: Iterable[bytes]) -> Tree:
    """The tree that an archive of "<directory>/." holds; its first entry is the directory itself.

    Raises BrokenArchive where the stream is not a whole archive. Memory grows with the number of
    names, not with their content.
    """
    stream, tree = _Stream(chunks), Tree()
    try:
        with _open(stream) as archive:
            for member in _members(archive):
                _add(tree, archive, member)
    except (tarfile.TarError, EOFError) as error:
        raise BrokenArchive(f"the archive cannot be read: {error}") from error
    if not stream.whole():
        raise BrokenArchive("the archive ended early")
    return tree


def _add(tree: Tree, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    name = _relative(member.name)
    if not name:
        return
    node = Observation(_kind(member), mode=f"{member.mode & 0o7777:04o}", owner=f"{member.uid}:{member.gid}")
    if node.kind is NodeKind.DIRECTORY:
        tree.directories[name] = node
    elif member.islnk():
        try:
            tree.files[name] = tree.files[_relative(member.linkname)]
        except KeyError:
            raise BrokenArchive(f"{name!r} refers to {member.linkname!r}, which is not there") from None
    elif node.kind is NodeKind.FILE:
        tree.files[name] = replace(node, size=member.size, sha256=_digest(archive, member))
    else:
        tree.files[name] = node


def _relative(name: str) -> str:
    return name.removeprefix("./").rstrip("/") if name != "." else ""


def _kind(member: tarfile.TarInfo) -> NodeKind:
    if member.isdir():
        return NodeKind.DIRECTORY
    if member.issym():
        return NodeKind.SYMLINK
    return NodeKind.FILE if member.isreg() or member.islnk() else NodeKind.OTHER


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    content = archive.extractfile(member)
    assert content is not None
    digest, left = hashlib.sha256(), member.size
    while left and (chunk := content.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    if left:
        raise BrokenArchive(f"{member.name!r} ends {left} bytes early")
    return digest.hexdigest()


def read_member(chunks: Iterable[bytes], name: str, limit: int) -> bytes:
    """The first `limit` bytes of a regular file of an archive; empty where there is none of that name."""
    try:
        with _open(_Stream(chunks)) as archive:
            for member in _members(archive):
                if _relative(member.name) == name and member.isreg():
                    content = archive.extractfile(member)
                    return content.read(min(limit, member.size)) if content else b""
    except (tarfile.TarError, EOFError):
        pass
    return b""
