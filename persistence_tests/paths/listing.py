"""A tree listed and hashed by a container's own `find` and `sha256sum`, all in one program run.

The shell script takes the root as its first argument and prints, NUL-terminated throughout:

    records   access+type, mode, owner, facts, link, name   one per node, the root's own name is empty
    "E<n>"    the listing is over, find's exit code
    lines     what sha256sum printed, one text
    "X<n>"    the hashing is over, the exit code

`facts` are size, number of names, and device and inode; `link` is what a symbolic link says, else empty.
Where `find` has no -printf (busybox), "P" comes first, and the records come in batches of n nodes:

    access    n characters
    stat      n lines: type and mode in hexadecimal, owner, facts
    link      n times
    name      n times

Only GNU's sha256sum writes each line whole, so that several may share a pipe; others run alone. Where
the root cannot be entered, nothing is printed, `ls` says why, and the exit code is CANNOT_ENTER.
"""

from __future__ import annotations

import re
import stat
from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.paths.tree import Tree

SCRIPT = r"""
IFS= read -r go
cd -- "$1" 2>/dev/null || { ls -d -- "$1/." >/dev/null; exit 71; }
if find . -maxdepth 0 -readable -printf '' 2>/dev/null; then
  find . ! -type s \( -type d \( -readable -executable -printf r -o -printf - \) \
    -o -readable -printf r -o -printf - \) -printf '%y\0%m\0%U:%G\0%s %n %D:%i\0%l\0%P\0'
else
  printf 'P\0'
  find . ! -type s -exec sh -c '
    for path; do
      if [ -d "$path" ] && ! [ -L "$path" ] && ! [ -x "$path" ]; then printf -- -
      elif [ -r "$path" ]; then printf r
      else printf -- -
      fi
    done
    printf "\0"; stat -c "%f %u:%g %s %h %d:%i" -- "$@"; printf "\0"
    for path; do
      link=
      if [ -L "$path" ]; then link=$(readlink -- "$path"; printf _); link=${link%_}; fi
      printf "%s\0" "${link%?}"
    done
    printf "%s\0" "$@"
  ' sh {} +
fi
printf 'E%s\0' "$?"
case $(sha256sum --version 2>&1) in
  *'GNU coreutils'*) find . -type f -print0 | xargs -0 -r -n 256 -P 4 sha256sum -- ;;
  *) find . -type f -exec sha256sum -- {} + ;;
esac
printf '\0X%s\0' "$?"
"""

CANNOT_ENTER = 71

_TYPES = {b"f": NodeKind.FILE, b"d": NodeKind.DIRECTORY, b"l": NodeKind.SYMLINK}
_MODES = {stat.S_IFREG: b"f", stat.S_IFDIR: b"d", stat.S_IFLNK: b"l"}
_DIGEST = re.compile(rb"(?:\A|\n)(\\?)([0-9a-f]{64}) [ *]\./")
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

    def observations(self, names: Sequence[str]) -> MutableMapping[str, Observation]:
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
    names_of: dict[bytes, list[str]] = {}
    for access_and_type, mode, owner, facts, link, name in records:
        readable, kind = access_and_type[:1] == b"r", _TYPES.get(access_and_type[1:], NodeKind.OTHER)
        node = Observation(kind, mode=mode.decode().zfill(4), owner=owner.decode())
        path = name.decode(errors="surrogateescape")
        if kind is NodeKind.DIRECTORY:
            if path:
                listing.directories[path] = node
            if not readable:
                listing.closed.add(path)
        elif kind is NodeKind.FILE:
            size, names, inode = facts.split(b" ")
            listing.files[path] = replace(node, size=int(size))
            unread.add(path)
            if int(names) > 1:
                names_of.setdefault(inode, []).append(path)
        elif kind is NodeKind.SYMLINK:
            listing.files[path] = replace(node, target=link.decode(errors="surrogateescape") or None)
        else:
            listing.files[path] = node
    _add_digests(listing, unread, digests)
    listing.share(names_of.values())
    for path in unread:
        listing.files[path] = replace(
            listing.files[path], kind=NodeKind.ERROR, error=_reason(path, complaints)
        )
    return listing


def _sections(output: bytes) -> tuple[list[tuple[bytes, ...]], bytes]:
    parts = output.split(b"\0")
    if len(parts) < 4 or parts[-1] or not re.fullmatch(rb"X\d+", parts[-2]):
        raise BrokenListing("the listing broke off")
    fields, end, digests = parts[:-4], parts[-4], parts[-3]
    if not re.fullmatch(rb"E\d+", end):
        raise BrokenListing("the listing is garbled")
    if parts[-2] in (b"X126", b"X127"):
        raise ToolsMissing("xargs or sha256sum is not there")
    if fields[:1] == [b"P"]:
        return _portable_records(fields[1:]), digests
    if len(fields) % 6:
        raise BrokenListing("the listing is garbled")
    return [tuple(fields[at : at + 6]) for at in range(0, len(fields), 6)], digests


def _portable_records(fields: list[bytes]) -> list[tuple[bytes, ...]]:
    records: list[tuple[bytes, ...]] = []
    while fields:
        access, lines, count = fields[0], fields[1].splitlines() if len(fields) > 1 else [], len(fields[0])
        if not re.fullmatch(rb"[r-]+", access):
            raise ToolsMissing("find, stat or sh cannot list")
        links, names = fields[2 : 2 + count], fields[2 + count : 2 + 2 * count]
        fields = fields[2 + 2 * count :]
        if not lines:
            raise ToolsMissing("stat does not work")
        if not len(lines) == len(links) == len(names) == count:
            raise BrokenListing("the tree changed while it was listed")
        for at, (line, link, name) in enumerate(zip(lines, links, names, strict=True)):
            raw, owner, facts = line.split(b" ", 2)
            mode = int(raw, 16)
            kind = _MODES.get(stat.S_IFMT(mode), b"?")
            path = name.removeprefix(b"./") if name != b"." else b""
            access_and_type = access[at : at + 1] + kind
            records.append((access_and_type, b"%o" % stat.S_IMODE(mode), owner, facts, link, path))
    return records


def _add_digests(listing: Listing, unread: set[str], digests: bytes) -> None:
    if not digests:
        return
    if not (digests.endswith(b"\n") and _DIGEST.match(digests)):
        raise BrokenListing(f"sha256sum printed {digests[-100:]!r}")
    found = list(_DIGEST.finditer(digests))
    ends = [*(match.start() for match in found[1:]), len(digests) - 1][: len(found)]
    for match, end in zip(found, ends, strict=True):
        escaped, digest, name = match[1], match[2], digests[match.end() : end]
        if escaped:
            name = _ESCAPE.sub(lambda found: _UNESCAPED[found[1]], name)
        path = name.decode(errors="surrogateescape")
        if path in unread:
            unread.remove(path)
            listing.files[path] = replace(listing.files[path], sha256=digest.decode())
        elif path in listing.files:
            raise BrokenListing(f"two digests for {path!r}")
        elif b"\n" in name:
            raise BrokenListing(f"sha256sum printed {name[:100]!r}")
        # Any other is a file made after the listing, and no part of it.


def _reason(path: str, complaints: bytes) -> str:
    for line in complaints.decode(errors="surrogateescape").splitlines():
        if f"./{path}" in line and ": " in line:
            return f"cannot be read by the service's user: {line.rsplit(': ', 1)[1]}"
    return "cannot be read by the service's user"


def _first_line(text: bytes) -> str:
    return next(iter(text.decode(errors="replace").splitlines()), "")
