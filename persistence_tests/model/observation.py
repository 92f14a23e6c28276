"""What one path shows for one name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NodeKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    ROW = "row"
    OTHER = "other"
    ABSENT = "absent"
    ERROR = "error"


class SpanSource(StrEnum):
    OPERATION = "operation"
    ZEROS = "zeros"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes at `offset` of what was observed, and who wrote them.

    For `operation`, these are the bytes at `origin` of the payload of operation `operation`.
    """

    offset: int
    length: int
    source: SpanSource
    operation: int | None = None
    origin: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One name through one path.

    `size` in bytes, `sha256` hexadecimal, `mode` four octal digits ("0644"), `owner` "uid:gid".
    `status` is the HTTP status, `error` why the path could not answer (`ERROR`). `spans` is there
    only where the digest was not one that the history allows; it then covers the whole content, or
    its first `attributed` bytes where the content was too long to attribute as a whole. `flaw` says why the
    file is not a whole one of its kind, where that was looked at (`wholeness`).

    `target` is what a symbolic link says. `shared` is the first name, in the order of their characters, of all
    that are hard links to the same file, None where it has one name. `xattrs` are extended attributes of users
    ("user.name=hexadecimal", sorted), None where they cannot be seen.

    A `ROW` of a database refers to the name in the column `row` ("table.column"); size and digest are what it says of
    the file, None where it says nothing. `beside` is another name in the same row, that of its first column.
    """

    kind: NodeKind
    size: int | None = None
    sha256: str | None = None
    mode: str | None = None
    owner: str | None = None
    status: int | None = None
    content_type: str | None = None
    error: str | None = None
    spans: tuple[Span, ...] | None = None
    attributed: int | None = None
    flaw: str | None = None
    target: str | None = None
    shared: str | None = None
    xattrs: tuple[str, ...] | None = None
    row: str | None = None
    beside: str | None = None


ABSENT = Observation(NodeKind.ABSENT)
