"""Files with a hole: first bytes that nobody writes and that read as zeros, then blocks with their stamps."""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.model.payload_stamp import BLOCK, STAMP_LENGTH, Blocks

HOLE = 32 * 1024
"""Bytes; a whole number of blocks of the payload, and of those of the usual file systems."""
MINIMUM = HOLE + STAMP_LENGTH

_STEP = 64 * BLOCK


class SparseFile:
    """One of `size` bytes; size >= MINIMUM."""

    __slots__ = ("_blocks", "_size")

    def __init__(self, blocks: Blocks, size: int) -> None:
        self._blocks, self._size = blocks, size

    def chunks(self) -> Iterator[bytes]:
        for offset in range(0, self._size, _STEP):
            yield self.slice(offset, min(_STEP, self._size - offset))

    def slice(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset` on; all of them are there."""
        end = offset + length
        start = max(offset, HOLE)
        first = start - start % BLOCK
        written = self._blocks.between(first, end)[start - first : end - first] if start < end else b""
        return bytes(length - len(written)) + written
