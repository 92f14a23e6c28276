"""Documents of an exact size: a head, rows of text that begin with the stamp of their offset, a tail.

    head   opening text closing   opening text closing   …   tail

A row takes 4096 bytes; the last one takes what is left, with the row before it where that is too little for a
stamp. Head and tail together are shorter than a block, so every whole block of the document holds a stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from persistence_tests.model.payload_stamp import BLOCK, STAMP_LENGTH, Blocks

_ROWS_AT_ONCE = 64


class Rows:
    """One document of `size` bytes; size >= len(head) + len(tail) + `around` + STAMP_LENGTH.

    `opening` is what stands before the text of a row of so many bytes (the opening and `closing` included);
    both have `around` bytes in all.
    """

    __slots__ = ("_around", "_blocks", "_closing", "_count", "_head", "_last", "_opening", "_tail")

    def __init__(
        self,
        blocks: Blocks,
        size: int,
        head: bytes,
        opening: Callable[[int], bytes],
        closing: bytes,
        tail: bytes,
    ) -> None:
        self._blocks, self._head, self._tail = blocks, head, tail
        self._opening, self._closing = opening, closing
        self._around = len(opening(BLOCK)) + len(closing)
        self._count, self._last = _rows(size - len(head) - len(tail), self._around + STAMP_LENGTH)

    def chunks(self) -> Iterator[bytes]:
        """The document, some 256 KiB at a time."""
        yield self._head
        for first in range(0, self._count, _ROWS_AT_ONCE):
            yield self._between(first, min(first + _ROWS_AT_ONCE, self._count))
        yield self._tail

    def slice(self, offset: int, length: int) -> bytes:
        end, start = offset + length, len(self._head)
        rows_end = start + (self._count - 1) * BLOCK + self._last
        parts = [self._head[offset:end]]
        first, last = max(offset, start), min(end, rows_end)
        if first < last:
            row = min((first - start) // BLOCK, self._count - 1)
            stop = min((last - start - 1) // BLOCK + 1, self._count)
            skip = first - start - row * BLOCK
            parts.append(self._between(row, stop)[skip : skip + last - first])
        parts.append(self._tail[max(offset - rows_end, 0) : max(end - rows_end, 0)])
        return b"".join(parts)

    def _between(self, first: int, stop: int) -> bytes:
        parts: list[bytes] = []
        for row in range(first, stop):
            length = self._last if row == self._count - 1 else BLOCK
            opening = self._opening(length)
            stamp, one, other = self._blocks.parts(len(self._head) + row * BLOCK + len(opening))
            text = stamp + one + other
            wanted = length - self._around
            parts += [opening, (text + one)[:wanted], self._closing]
        return b"".join(parts)


def _rows(available: int, least: int) -> tuple[int, int]:
    """How many rows, and the bytes of the last one."""
    count, rest = divmod(available, BLOCK)
    if rest == 0:
        return count, BLOCK
    if rest >= least or count == 0:
        return count + 1, rest
    return count, BLOCK + rest
