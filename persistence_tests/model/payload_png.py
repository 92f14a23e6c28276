"""PNG images of an exact size, with a stamp at the start of every row.

An 8-bit grey image whose pixel data is one IDAT chunk of uncompressed deflate blocks, one a row, so that the
pixels are the bytes of the file. A row takes 4096 bytes of it:

    43 + 4096 n    stored block (5)   filter 0 (1)   pixels (4090), which begin with the stamp of their offset

What is left of the size goes into a private chunk behind the image, which begins with a stamp as well.
The image's checksums stand at its end and need all of it; everything before can be made from anywhere.
Sources: PNG (W3C, third edition), zlib RFC 1950, deflate RFC 1951 section 3.2.4.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Iterator
from struct import pack
from zlib import adler32

from persistence_tests.model.payload_stamp import BLOCK, STAMP_LENGTH, Blocks

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ZLIB_HEADER = b"\x78\x01"
_ROWS_AT = 43
_ROW_HEADER = 6
_CHUNK = 12
_AROUND_ROWS = 63
_WIDTH = BLOCK - _ROW_HEADER
_ROWS_AT_ONCE = 64

MINIMUM = _AROUND_ROWS + _ROW_HEADER + STAMP_LENGTH
MAXIMUM = 2**31 - BLOCK


def _chunk(kind: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + kind + data + pack(">I", crc32(data, crc32(kind)))


class Image:
    """One image of `size` bytes; MINIMUM <= size <= MAXIMUM."""

    __slots__ = ("_blocks", "_checksums", "_height", "_padding", "_width")

    def __init__(self, blocks: Blocks, size: int) -> None:
        self._blocks = blocks
        self._checksums: bytes | None = None
        self._height, self._width, self._padding = _dimensions(size)

    def chunks(self) -> Iterator[bytes]:
        """The file, some 256 KiB at a time."""
        head = self._head()
        yield head
        adler = 1
        crc = crc32(head[37:])
        for first in range(0, self._height, _ROWS_AT_ONCE):
            part = self._rows(first, min(first + _ROWS_AT_ONCE, self._height))
            view = memoryview(part)
            for start in range(0, len(part), _ROW_HEADER + self._width):
                adler = adler32(view[start + 5 : start + _ROW_HEADER + self._width], adler)
            crc = crc32(part, crc)
            yield part
        sum_of_pixels = pack(">I", adler)
        self._checksums = sum_of_pixels + pack(">I", crc32(sum_of_pixels, crc))
        yield self._tail()

    def slice(self, offset: int, length: int) -> bytes:
        end = offset + length
        rows_end = _ROWS_AT + self._height * (_ROW_HEADER + self._width)
        parts: list[bytes] = []
        if offset < _ROWS_AT:
            parts.append(self._head()[offset:end])
        first, last = max(offset, _ROWS_AT), min(end, rows_end)
        if first < last:
            n, skip = divmod(first - _ROWS_AT, _ROW_HEADER + self._width)
            stop = (last - _ROWS_AT - 1) // (_ROW_HEADER + self._width) + 1
            parts.append(self._rows(n, stop)[skip : skip + last - first])
        if end > rows_end:
            if self._checksums is None:
                for _ in self.chunks():
                    pass
            parts.append(self._tail()[max(offset - rows_end, 0) : end - rows_end])
        return b"".join(parts)

    def _head(self) -> bytes:
        header = pack(">IIBBBBB", self._width, self._height, 8, 0, 0, 0, 0)
        rows = self._height * (_ROW_HEADER + self._width)
        length = len(_ZLIB_HEADER) + rows + 4
        return _SIGNATURE + _chunk(b"IHDR", header) + pack(">I", length) + b"IDAT" + _ZLIB_HEADER

    def _rows(self, first: int, end: int) -> bytes:
        length = self._width + 1
        lengths = pack("<HHB", length, length ^ 0xFFFF, 0)
        parts: list[bytes] = []
        for n in range(first, end):
            parts.append(b"\x01" if n == self._height - 1 else b"\x00")
            parts.append(lengths)
            parts += self._pixels(_ROWS_AT + n * BLOCK + _ROW_HEADER, self._width)
        return b"".join(parts)

    def _pixels(self, offset: int, length: int) -> list[bytes]:
        stamp, one, other = self._blocks.parts(offset)
        rest = length - len(stamp) - len(one)
        return (
            [stamp, one, other[:rest]] if rest >= 0 else [stamp[:length], one[: max(0, length - len(stamp))]]
        )

    def _tail(self) -> bytes:
        assert self._checksums is not None
        end = _chunk(b"IEND", b"")
        if not self._padding:
            return self._checksums + end
        rows_end = _ROWS_AT + self._height * (_ROW_HEADER + self._width)
        offset = rows_end + len(self._checksums) + 8
        padding = b"".join(self._pixels(offset, self._padding - _CHUNK))
        return self._checksums + _chunk(b"prSt", padding) + end


def _dimensions(size: int) -> tuple[int, int, int]:
    """Rows, pixels a row, and bytes of the chunk behind the image (0 or at least 12)."""
    available = size - _AROUND_ROWS
    if available <= BLOCK:
        return 1, available - _ROW_HEADER, 0
    rows, rest = divmod(available, BLOCK)
    if rest == 0 or rest >= _CHUNK:
        return rows, _WIDTH, rest
    if rows > 1:
        return rows - 1, _WIDTH, rest + BLOCK
    width = _WIDTH - 2 * STAMP_LENGTH
    return 1, width, available - width - _ROW_HEADER
