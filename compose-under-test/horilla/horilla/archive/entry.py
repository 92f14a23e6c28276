"""One thing among the media, and the manifest: all of them, and the dump of the database that belongs to them."""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Literal

Kind = Literal["file", "directory", "symlink"]

FORMAT = 1
# Names that the application and these scripts keep for what is not media, at any depth.
RESERVED = (".upload-", ".backup-", ".restore-", ".import-")
FILESYSTEM_DIRECTORY = "lost+found"
PIECE = 1 << 20


class ArchiveError(Exception):
    """What must not be trusted, or could not be done; its message says why."""


class ChangedWhileRead(ArchiveError):
    """A file was written while it was read. Trying again may help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is relative to the media root, `.` the root itself; `sha256` (hex) and `size` (bytes) are a file's,
    `target` a symbolic link's."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`dump` is the database's: its size in bytes and its digest in hex. `about` says in words where and when."""

    dump_size: int
    dump_sha256: str
    entries: tuple[Entry, ...]
    about: dict[str, str]

    def to_bytes(self) -> bytes:
        """A line of JSON for the database, then one for each entry."""
        head = {
            "format": FORMAT,
            "database": {"size": self.dump_size, "sha256": self.dump_sha256},
            **self.about,
        }
        return b"".join(
            json.dumps(line).encode() + b"\n" for line in (head, *(asdict(entry) for entry in self.entries))
        )

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Raises ArchiveError for one that is none, or that names what may not be in an archive."""
        try:
            head, *lines = (json.loads(line) for line in content.splitlines())
            if head.pop("format") != FORMAT:
                raise ArchiveError("the archive is of another format")
            dump = head.pop("database")
            entries = tuple(Entry(**line) for line in lines)
            manifest = cls(int(dump["size"]), str(dump["sha256"]), entries, head)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArchiveError(f"the archive is damaged: its manifest cannot be read: {error}") from error
        _check_places(entries)
        return manifest

    def files(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.kind == "file")

    def __str__(self) -> str:
        files = list(self.files())
        digest = hashlib.sha256(self.to_bytes()).hexdigest()
        about = "".join(f" {key}={value}" for key, value in sorted(self.about.items()))
        return f"manifest={digest} files={len(files)} bytes={sum(file.size for file in files)}{about}"


def is_media(path: str) -> bool:
    parts = path.split("/")
    return parts[0] != FILESYSTEM_DIRECTORY and not any(part.startswith(RESERVED) for part in parts)


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(relative path, status) of the root `.` and of all media below, parents first; links are not followed.

    What vanishes meanwhile is left out.
    """
    yield ".", os.lstat(root)
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            names = sorted(os.listdir(root / directory), reverse=True)
        except FileNotFoundError:
            continue
        below: list[str] = []
        for name in reversed(names):
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


def describe(root: Path, path: str, status: os.stat_result) -> Entry | None:
    """The entry, a file's without its digest; None for sockets, devices and pipes, which are no media."""
    common = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
    if stat.S_ISREG(status.st_mode):
        return Entry(path, "file", *common, size=status.st_size)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, "directory", *common)
    if stat.S_ISLNK(status.st_mode):
        return Entry(path, "symlink", *common, target=os.readlink(root / path))
    return None


def digest_of(content: IO[bytes], output: IO[bytes] | None = None) -> tuple[int, str]:
    """Size in bytes and digest of what is left in `content`, which is copied to `output`."""
    digest = hashlib.sha256()
    size = 0
    while piece := content.read(PIECE):
        digest.update(piece)
        size += len(piece)
        if output is not None:
            output.write(piece)
    return size, digest.hexdigest()


def relative(name: str) -> str:
    """The path below the media root that a name in an archive means; ArchiveError where it leads out."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ArchiveError(f"the archive names a path outside the media: {name!r}")
    return str(path)


def _check_places(entries: Iterable[Entry]) -> None:
    kinds: dict[str, str] = {}
    for entry in entries:
        if entry.path in kinds or relative(entry.path) != entry.path:
            raise ArchiveError(f"the archive holds {entry.path!r} twice, or not as a plain path")
        if not is_media(entry.path) or entry.kind not in ("file", "directory", "symlink"):
            raise ArchiveError(f"the archive holds {entry.path!r}, which is no media")
        if entry.path == "." and entry.kind != "directory":
            raise ArchiveError("the archive's root is no directory")
        for parent in PurePosixPath(entry.path).parents:
            if kinds.get(str(parent), "directory") != "directory":
                raise ArchiveError(f"the archive goes through {str(parent)!r}, which is no directory")
        kinds[entry.path] = entry.kind
