"""One thing in the media root or in an archive of it, and a digest over many."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["file", "directory", "symlink", "hardlink", "fifo"]


class ArchiveError(Exception):
    """An archive that must not be trusted, or a restore that could not be done; its message says why."""


class ChangedWhileRead(ArchiveError):
    """A file was written while it was read: what was read is none of its versions. Trying again may help."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is relative, `.` is the root itself; `size` in bytes; `target` of a symlink, or the path that a
    hard link shares; `sha256` in hex of a file."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    target: str = ""
    sha256: str = ""
    xattrs: dict[str, bytes] = field(default_factory=dict)

    def line(self) -> bytes:
        """The entry as one canonical line, equal for equal entries."""
        xattrs = sorted((key, value.hex()) for key, value in self.xattrs.items())
        values = (self.path, self.kind, self.mode, self.uid, self.gid, self.mtime_ns, self.size)
        return json.dumps([*values, self.target, self.sha256, xattrs]).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a tree or an archive holds; `digest` covers every entry with all that is kept of it."""

    digest: str
    files: int
    directories: int
    size: int

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Summary":
        """The summary of `entries`, whatever their order. A root without its entry counts the same."""
        digest = hashlib.sha256()
        files = directories = size = 0
        for entry in sorted(entries, key=lambda entry: entry.path):
            digest.update(entry.line())
            files += entry.kind in ("file", "hardlink")
            directories += entry.kind == "directory" and entry.path != "."
            size += entry.size
        return cls(digest.hexdigest(), files, directories, size)

    def __str__(self) -> str:
        return f"entries={self.digest} files={self.files} directories={self.directories} bytes={self.size}"


def without_times(entries: Iterable[Entry]) -> list[Entry]:
    """The entries as a filesystem with coarse timestamps can still show them."""
    return [replace(entry, mtime_ns=0) for entry in entries]
