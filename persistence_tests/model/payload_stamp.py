"""Stamps, and the blocks that carry them.

A stamp is 48 printable ASCII characters, the same in every kind of payload:

    check (8)  "~p1~"  run tag, operation, kind, size, offset (36)        base 64

`check` is 48 bits of a digest of the fields, so random bytes never count as a stamp. It stands first so that
the payloads of one run differ from their first byte on, and masks the fields, so that two stamps have no more
than the mark in common. `offset` is the stamp's own place in its payload.
The rest of a block is taken from a pool of random bytes of the run, at places that the same digest chooses:
copying is several times as fast as generating, and every block is a function of its stamp alone.
No zero byte occurs in a block, so zeros that are found outside a payload's hole were written by nobody.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, shake_128

from persistence_tests.model.operation import PayloadKind

BLOCK = 4096
STAMP_LENGTH = 48
LARGEST = 2**48 - 1

_MARK = b"~p1~"
_MARK_AT = 8
_FIELDS_AT = _MARK_AT + len(_MARK)
_FIELDS_SIZE = 27
_PIECE = (BLOCK - STAMP_LENGTH) // 2
_POOL_BITS = 20
_POOL_MASK = 2**_POOL_BITS - 1
_LINE = 64

# Written into payloads: a kind keeps its code for ever.
_CODES = {
    PayloadKind.BYTES: 0,
    PayloadKind.TEXT: 1,
    PayloadKind.PNG: 2,
    PayloadKind.JPEG: 3,
    PayloadKind.PDF: 4,
    PayloadKind.SPARSE: 5,
}
_KINDS = {code: kind for kind, code in _CODES.items()}

# What stands in comments and strings must not look like the end of them.
_OF_TEXT = {PayloadKind.TEXT, PayloadKind.JPEG, PayloadKind.PDF}

_NO_ZERO = bytes([0xA5, *range(1, 256)])
_TEXT = (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ." * 4)[:256]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who wrote the block: with `run_tag` known to be that of a run, all that regenerates the payload."""

    run_tag: bytes
    operation: int
    kind: PayloadKind
    size: int
    offset: int


@lru_cache(maxsize=64)
def run_tag(run: str) -> bytes:
    """8 bytes that stand for a run in its stamps."""
    return blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8, person=b"run").digest()


@lru_cache(maxsize=4)
def _pool(tag: bytes, text: bool) -> bytes:
    """1 MiB of random bytes of the run without zeros, or of random printable characters."""
    random = shake_128(tag).digest(2**_POOL_BITS + _PIECE)
    return random.translate(_TEXT if text else _NO_ZERO)


class Blocks:
    """The blocks of one payload."""

    __slots__ = ("_pool", "_prefix", "_text")

    def __init__(self, tag: bytes, operation: int, kind: PayloadKind, size: int) -> None:
        self._prefix = tag + operation.to_bytes(6) + bytes([_CODES[kind]]) + size.to_bytes(6)
        self._text = kind is PayloadKind.TEXT
        self._pool = _pool(tag, text=kind in _OF_TEXT)

    def parts(self, offset: int) -> tuple[bytes, bytes, bytes]:
        """The 4096 bytes that begin with the stamp of `offset`, in three parts, before the ends of lines."""
        fields = self._prefix + offset.to_bytes(6)
        digest = blake2b(fields, digest_size=16).digest()
        check = digest[:6]
        places = int.from_bytes(digest[6:])
        one = places & _POOL_MASK
        other = (places >> _POOL_BITS) & _POOL_MASK
        pool = self._pool
        return (
            b2a_base64(check, newline=False) + _MARK + b2a_base64(_masked(fields, check), newline=False),
            pool[one : one + _PIECE],
            pool[other : other + _PIECE],
        )

    def between(self, first: int, end: int) -> bytes:
        """Whole blocks, from the one at `first` to the one that `end` falls into or ends."""
        parts: list[bytes] = []
        for offset in range(first, end, BLOCK):
            parts += self.parts(offset)
        content = b"".join(parts)
        return _with_lines(content) if self._text else content


def _with_lines(content: bytes) -> bytes:
    lines = bytearray(content)
    lines[_LINE - 1 :: _LINE] = b"\n" * (len(lines) // _LINE)
    return bytes(lines)


def _masked(fields: bytes, check: bytes) -> bytes:
    mask = blake2b(check, digest_size=_FIELDS_SIZE).digest()
    return (int.from_bytes(fields) ^ int.from_bytes(mask)).to_bytes(_FIELDS_SIZE)


def _decode(text: bytes) -> Stamp | None:
    try:
        check = a2b_base64(text[:_MARK_AT], strict_mode=True)
        masked = a2b_base64(text[_FIELDS_AT:], strict_mode=True)
    except Error:
        return None
    if (len(check), len(masked)) != (6, _FIELDS_SIZE):
        return None
    values = _masked(masked, check)
    if check != blake2b(values, digest_size=16).digest()[:6] or values[14] not in _KINDS:
        return None
    return Stamp(
        run_tag=values[:8],
        operation=int.from_bytes(values[8:14]),
        kind=_KINDS[values[14]],
        size=int.from_bytes(values[15:21]),
        offset=int.from_bytes(values[21:27]),
    )


def find_stamps(content: bytes) -> Iterator[tuple[int, Stamp]]:
    """Every whole stamp in `content`, of any run, with the place of its first byte; in order."""
    mark = content.find(_MARK, _MARK_AT)
    while mark >= 0:
        start = mark - _MARK_AT
        text = content[start : start + STAMP_LENGTH]
        stamp = _decode(text) if len(text) == STAMP_LENGTH else None
        if stamp is not None:
            yield start, stamp
            mark = content.find(_MARK, start + STAMP_LENGTH + _MARK_AT)
        else:
            mark = content.find(_MARK, mark + 1)
