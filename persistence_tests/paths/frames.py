"""Operations on files, spoken over one pipe with a small POSIX shell program.

One operation at a time, so that a kill leaves one whose fate is unknown:

    > "<verb> <hole> <size> <name> <target> <mode> <xattr> <sync>…"   names octal-escaped: nothing is left to quoting
    < SEND                                        the file is open, none of its content was sent yet
    > content
    < WROTE                                       asked back, since a pipe cut short ends the content too
    > "confirm"
    < DONE <exit code>                            0 only after `sync` where the operation asks for it

The content comes behind a hole of so many bytes, which are neither sent nor written. Only create, overwrite and
append have the middle part. The verb of an overwrite says how it is done (`Overwriting`); one that replaces has
the name of its temporary file in the place of the target. Lines without a mark are what programs complain about.
After a failure the shell exits, since content may be left in the pipe.
"""

from __future__ import annotations

import os
from enum import StrEnum
from posixpath import dirname, join

from persistence_tests.model.operation import Acknowledgement, Operation, OperationKind
from persistence_tests.model.payload import Payload


class Overwriting(StrEnum):
    """How a file gets its new content.

    `truncate` empties it and writes, as `>` does; `in-place` writes over the old bytes and then cuts what is
    left of them; `replace` writes a temporary file beside it and renames that: only this one is atomic.
    """

    TRUNCATE = "truncate"
    IN_PLACE = "in-place"
    REPLACE = "replace"


MARK = b"\x01"
READY, SEND, WROTE, DONE = MARK + b"ready", MARK + b"send", MARK + b"wrote", MARK + b"done "
CONFIRM = b"confirm\n"
CANNOT_ENTER = 71

SCRIPT = r"""
exec 3>&1 2>&1
say() { printf '\001%s\n' "$1" >&3; }
plain() { decoded=$(printf '%b_' "$1"); decoded=./${decoded%_}; }
skipped() { [ "$hole" = 0 ] || dd if=/dev/null bs=1 seek="$hole" 2>/dev/null; }
content() { say send; skipped && if [ "$size" -gt 0 ]; then head -c "$size"; fi; }
confirmed() { say wrote; IFS= read -r confirm && [ "$confirm" = confirm ]; }
there() { [ -f "$name" ] || { echo "$verb: No such file or directory"; return 1; }; }
settable() {
  [ "$xattr" = - ] || command -v setfattr >/dev/null || { echo 'setfattr: No such file or directory'; return 1; }
}
given() {
  { [ "$mode" = - ] || chmod "$mode" -- "$name" < /dev/null >&2; } &&
  { [ "$xattr" = - ] || setfattr -n user.persistence -v "0x$xattr" -- "$name" < /dev/null >&2; }
}
IFS= read -r go
cd -- "$1" 2>/dev/null || { ls -d -- "$1/." >/dev/null; exit 71; }
if [ -n "$2" ]; then mkdir -p -- "./$2" && cd -- "./$2" || exit 71; fi
say ready
while IFS=' ' read -r verb hole size name target mode xattr syncs; do
  plain "$name"; name=$decoded
  plain "$target"; target=$decoded
  case $verb in
    create)
      if settable; then set -C; { content; } > "$name" && confirmed && given; code=$?; set +C
      else code=1; fi ;;
    truncate) there && { content; } > "$name" && confirmed; code=$? ;;
    in-place)
      there && { content; } 1<> "$name" && dd if=/dev/null of="$name" bs=1 seek="$size" 2>/dev/null &&
        confirmed; code=$? ;;
    replace)
      there && { content; } > "$target" && confirmed &&
        { [ -z "$syncs" ] || sync -- "$target" < /dev/null >&2; } &&
        mv -f -- "$target" "$name" < /dev/null >&2; code=$? ;;
    append) there && { content; } >> "$name" && confirmed; code=$? ;;
    delete) rm -- "$name" < /dev/null >&2; code=$? ;;
    rename)
      if [ -d "$target" ]; then echo 'rename: Is a directory'; code=1
      else mv -f -- "$name" "$target" < /dev/null >&2; code=$?; fi ;;
    symlink) ln -s -- "${target#./}" "$name" < /dev/null >&2; code=$? ;;
    link) ln -- "$target" "$name" < /dev/null >&2; code=$? ;;
    mkdir) mkdir -p -- "$name" < /dev/null >&2; code=$? ;;
    *) echo "unknown verb"; code=2 ;;
  esac
  if [ "$code" = 0 ]; then
    for place in $syncs; do
      plain "$place"; sync -- "$decoded" < /dev/null >&2 || code=$?
    done
  fi
  say "done $code"
  [ "$code" = 0 ] || exit 1
done
"""

REFUSALS = (
    b"File exists", b"overwrite existing file", b"No such file or directory", b"nonexistent directory",
    b"Directory nonexistent", b"Permission denied", b"Operation not permitted", b"Not a directory",
    b"Is a directory", b"File name too long", b"Read-only file system", b"No space left on device",
    b"Disk quota exceeded", b"Too many levels of symbolic links",
)  # fmt: skip
"""Reasons for which opening a file or unlinking it fails with nothing changed."""


def header(operation: Operation, overwriting: Overwriting = Overwriting.TRUNCATE) -> bytes:
    """The line that begins an operation."""
    hole = hole_of(operation)
    size = operation.payload.size - hole if operation.payload else 0
    verb, target = operation.kind.value, operation.target or operation.link or "."
    if operation.kind is OperationKind.OVERWRITE:
        verb = overwriting.value
        if overwriting is Overwriting.REPLACE:
            target = join(dirname(operation.name), f".replacing-{operation.identity}.tmp")
    names, given = map(escaped, (operation.name, target)), (operation.mode or "-", operation.xattr or "-")
    fields = (verb, str(hole), str(size), *names, *given, *map(escaped, _syncs(operation)))
    return " ".join(fields).encode() + b"\n"


def hole_of(operation: Operation) -> int:
    """How many bytes at the beginning of its payload are not written."""
    return Payload.hole(operation.payload.kind) if operation.payload else 0


def escaped(name: str) -> str:
    """`name` for the shell's `printf %b`: every byte but the plainest as four octal digits."""
    return "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or byte in b"._/") else f"\\0{byte:03o}"
        for byte in os.fsencode(name)
    )


def _syncs(operation: Operation) -> tuple[str, ...]:
    if operation.acknowledgement is not Acknowledgement.FSYNC:
        return ()
    parent = dirname(operation.name) or "."
    match operation.kind:
        case OperationKind.DELETE | OperationKind.SYMLINK:
            return (parent,)
        case OperationKind.RENAME:
            target = operation.target or ""
            return (target, dirname(target) or ".", parent)
        case OperationKind.MKDIR:
            above = operation.name.split("/")
            return (*("/".join(above[:depth]) for depth in range(len(above), 0, -1)), ".")
        case _:
            return (operation.name, parent)


def refused(operation: Operation, complaint: bytes, sent: bool) -> bool:
    """Whether a failed operation certainly changed nothing."""
    if sent or not any(reason in complaint for reason in REFUSALS):
        return False
    # `mv` may copy between file systems and `mkdir -p` makes several directories: both can fail half done.
    return operation.kind not in (OperationKind.RENAME, OperationKind.MKDIR)
