"""A tree listed and hashed by a container's own `find` and `sha256sum`, all in one program run.

The shell script takes the root as its first argument and prints, NUL-terminated throughout:

    records   access+type, mode, owner, size, name     one per node, the root's own name is empty
    "E<n>"    the listing is over, find's exit code
    lines     what sha256sum printed, one text
    "X<n>"    the hashing is over, xargs' exit code

Where the root cannot be entered, it prints nothing, `ls` says why, and the exit code is CANNOT_ENTER.
Only GNU's sha256sum writes each line whole, so that several may share a pipe; others run alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.paths.archive import Tree

SCRIPT = r"""
IFS= read -r go
cd -- "$1" 2>/dev/null || { ls -d -- "$1/." >/dev/null; exit 71; }
find . ! -type s \( -type d \( -readable -executable -printf r -o -printf - \) \
  -o -readable -printf r -o -printf - \) -printf '%y\0%m\0%U:%G\0%s\0%P\0'
printf 'E%s\0' "$?"
case $(sha256sum --version 2>&1) in *'GNU coreutils'*) parallel=4 ;; *) parallel=1 ;; esac
find . -type f -readable -print0 | xargs -0 -r -n 256 -P "$parallel" sha256sum --
printf '\0X%s\0' "$?"
"""

CANNOT_ENTER = 71

_TYPES = {"f": NodeKind.FILE, "d": NodeKind.DIRECTORY, "l": NodeKind.SYMLINK}
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *]\./(.*)\Z", re.DOTALL)
_ESCAPE = re.compile(rb"\\([\\nr])")
_UNESCAPED = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


class ToolsMissing(Exception):
    """The container's programs cannot do it."""


class BrokenListing(Exception):
    """The output is not whole, or contradicts itself."""


class Listing(Tree):
    """A tree as one user sees it. `closed` are directories whose content that user cannot see."""

    __slots__ = ("closed",)

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str] = set()

    def observations(self, names: Sequence[str]) -> dict[str, Observation]:
        seen = super().observations(names)
        for name in names:
            closed = self._closed_above(name) if seen[name] is ABSENT else None
            if closed is not None:
                seen[name] = Observation(
                    NodeKind.ERROR, error=f"the service's user cannot look into directory {closed or '.'!r}"
                )
        return seen

    def _closed_above(self, name: str) -> str | None:
        if not self.closed:
            return None
        parts = name.split("/")
        above = ("/".join(parts[:depth]) for depth in range(len(parts)))
        return next((directory for directory in above if directory in self.closed), None)


def parse_listing(output: bytes, complaints: bytes) -> Listing:
    """The tree out of the script's output; `complaints` is its standard error, for reasons.

    Raises ToolsMissing where find or sha256sum did not work at all, BrokenListing where the output
    is not whole or two parts of it disagree.
    """
    records, digests = _sections(output)
    listing, unread = Listing(), set[str]()
    if not records:
        raise ToolsMissing(_first_line(complaints) or "find does not list")
    for access_and_type, mode, owner, size, name in records:
        readable, kind = access_and_type[:1] == b"r", _TYPES.get(access_and_type[1:].decode(), NodeKind.OTHER)
        node = Observation(kind, mode=mode.decode().zfill(4), owner=owner.decode())
        path = name.decode(errors="surrogateescape")
        if kind is NodeKind.DIRECTORY:
            if path:
                listing.directories[path] = node
            if not readable:
                listing.closed.add(path)
        elif kind is NodeKind.FILE:
            listing.files[path] = replace(node, size=int(size))
            unread.add(path)
        else:
            listing.files[path] = node
    _add_digests(listing, unread, digests)
    for path in unread:
        listing.files[path] = replace(
            listing.files[path], kind=NodeKind.ERROR, error=_reason(path, complaints)
        )
    return listing


def _sections(output: bytes) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
    parts = output.split(b"\0")
    if len(parts) < 4 or parts[-1] or not re.fullmatch(rb"X\d+", parts[-2]):
        raise BrokenListing("the listing broke off")
    fields, end, lines = parts[:-4], parts[-4], parts[-3]
    if len(fields) % 5 or not re.fullmatch(rb"E\d+", end):
        raise BrokenListing("the listing is garbled")
    if parts[-2] in (b"X126", b"X127"):
        raise ToolsMissing("xargs or sha256sum is not there")
    records = [tuple(fields[at : at + 5]) for at in range(0, len(fields), 5)]
    return records, lines.removesuffix(b"\n").split(b"\n") if lines else []


def _add_digests(listing: Listing, unread: set[str], lines: list[bytes]) -> None:
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            raise BrokenListing(f"sha256sum printed {line[:100]!r}")
        escaped, digest, name = found.groups()
        if escaped:
            name = _ESCAPE.sub(lambda match: _UNESCAPED[match[1]], name)
        path = name.decode(errors="surrogateescape")
        if path in unread:
            unread.remove(path)
            listing.files[path] = replace(listing.files[path], sha256=digest.decode())
        elif path in listing.files:
            raise BrokenListing(f"two digests for {path!r}")
        # A file made after the listing is not part of it.


def _reason(path: str, complaints: bytes) -> str:
    for line in complaints.decode(errors="surrogateescape").splitlines():
        if f"./{path}" in line and ": " in line:
            return f"cannot be read by the service's user: {line.rsplit(': ', 1)[1]}"
    return "cannot be read by the service's user"


def _first_line(text: bytes) -> str:
    return next(iter(text.decode(errors="replace").splitlines()), "")
