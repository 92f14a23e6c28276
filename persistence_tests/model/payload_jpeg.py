"""JPEG images of an exact size, with a stamp at the start of every comment.

    20 + 4096 n    COM marker and length (4)   text (4092), which begins with the stamp of its offset

The picture itself stands behind the comments: 64 by 64 grey pixels, each block of 8 by 8 of one shade, chosen by
the payload's digest, so that two pictures differ also where a server keeps nothing of them but the pixels.
Each of those blocks is one byte of the scan: a Huffman code (0), six bits of difference, end of block (0).
Sources: JPEG (ITU-T T.81, annexes B and F), JFIF 1.02.
"""

from __future__ import annotations

from struct import pack

from persistence_tests.model.payload_rows import Rows
from persistence_tests.model.payload_stamp import STAMP_LENGTH, Blocks

_SIDE = 64
_SHADES = (_SIDE // 8) ** 2
_BITS = 6  # of a difference: its magnitude is 32 to 63
_STEP = 16  # a difference of one is two of 256 shades


def _segment(marker: int, content: bytes) -> bytes:
    return pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _huffman(table: int, counts: bytes, symbols: bytes) -> bytes:
    return _segment(0xC4, bytes([table]) + counts.ljust(16, b"\0") + symbols)


_HEAD = b"\xff\xd8" + _segment(0xE0, b"JFIF\0" + pack(">HBHHBB", 0x0102, 0, 1, 1, 0, 0))
_TABLES = b"".join((
    _segment(0xDB, b"\0" + bytes([_STEP]) * 64),
    _segment(0xC0, pack(">BHHBBBB", 8, _SIDE, _SIDE, 1, 1, 0x11, 0)),
    _huffman(0x00, b"\x01", bytes([_BITS])),
    _huffman(0x10, b"\x01\x01", b"\x00\x01"),  # the second one is not used
    _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
))  # fmt: skip
_END = b"\xff\xd9"
_COMMENT = 4

MINIMUM = len(_HEAD) + _COMMENT + STAMP_LENGTH + len(_TABLES) + _SHADES + len(_END)


def image(blocks: Blocks, size: int) -> Rows:
    """The image of `size` bytes; MINIMUM <= size."""
    _, shades, _ = blocks.parts(size)
    return Rows(blocks, size, _HEAD, _comment, b"", _TABLES + _scan(shades) + _END)


def _comment(length: int) -> bytes:
    return pack(">BBH", 0xFF, 0xFE, length - 2)


def _scan(shades: bytes) -> bytes:
    """The picture, from random characters; from each shade on towards the middle of the range and beyond it."""
    level, scan = 0, bytearray()
    for character in shades[:_SHADES]:
        magnitude = 32 + character % 32
        darker = level > 0
        level += -magnitude if darker else magnitude
        # A negative difference is written as its magnitude's complement.
        scan.append((magnitude ^ 0x3F if darker else magnitude) << 1)
    return bytes(scan)
