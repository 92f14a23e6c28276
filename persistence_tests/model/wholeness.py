"""Whether a file that a server made anew is a whole one of its kind: its structure, without decoding it.

A picture may come back in another format than it was sent in. What is looked at, by the standard library alone, so
that every machine says the same:

    PNG          every chunk and its checksum; the pixel data inflates to its end
    JPEG         every segment; a frame, a scan, the end of the image
    GIF, WebP    the announced length, or the trailer
    AVIF, HEIF   the boxes fill the file
    PDF          the header, and a cross-reference where the end says that it is

Bytes and text have no structure: whatever is there counts as whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from struct import Struct, error

from persistence_tests.model.operation import PayloadKind

IMAGES = frozenset({PayloadKind.PNG, PayloadKind.JPEG})

_PNG_CHUNK = Struct(">I4s")
_SEGMENT = Struct(">xBH")
_BOX = Struct(">I4s")
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_REFERENCE = re.compile(rb"startxref\s+(\d{1,19})\s+%%EOF\s*\Z")
_SECTION = re.compile(rb"xref\s|\d+ \d+ obj\b")
_END_OF_PDF = 1024


def flaw(kind: PayloadKind, content: bytes) -> str | None:
    """What is wrong with the file that was made of a payload of `kind`; None where it is whole."""
    if kind is PayloadKind.PDF:
        return None if content.startswith(b"%PDF-") and _pdf(content) else "not a whole PDF"
    if kind not in IMAGES:
        return None
    for name, recognised, is_whole in _FORMATS:
        if recognised(content):
            try:
                return None if is_whole(content) else f"a {name} that is not whole"
            except (error, IndexError, zlib.error):
                return f"a {name} that is not whole"
    return "no image"


def _png(content: bytes) -> bool:
    place, pixels, decoder = 8, b"", zlib.decompressobj()
    while True:
        length, kind = _PNG_CHUNK.unpack_from(content, place)
        data = content[place + 8 : place + 8 + length]
        (checksum,) = Struct(">I").unpack_from(content, place + 8 + length)
        if checksum != zlib.crc32(kind + data):
            return False
        if kind == b"IDAT":
            pixels = decoder.decompress(data) or pixels
        if kind == b"IEND":
            return bool(pixels) and decoder.eof
        place += 12 + length


def _jpeg(content: bytes) -> bool:
    place, framed, scanned = 2, False, False
    while True:
        if content[place] != 0xFF:
            return False
        if content[place + 1] == 0xD9:
            return framed and scanned
        marker, length = _SEGMENT.unpack_from(content, place)
        framed = framed or marker in _FRAMES
        place += 2 + length
        if marker == 0xDA:
            scanned, after = True, _MARKER.search(content, place)
            if after is None:
                return False
            place = after.start()


def _gif(content: bytes) -> bool:
    return len(content) > 14 and content.rstrip(b"\0").endswith(b"\x3b")


def _webp(content: bytes) -> bool:
    announced = int.from_bytes(content[4:8], "little") + 8
    return len(content) in (announced, announced + announced % 2)


def _boxes(content: bytes) -> bool:
    place = 0
    while place < len(content):
        length, _ = _BOX.unpack_from(content, place)
        if length == 0:
            return True
        if length == 1:
            length = int.from_bytes(content[place + 8 : place + 16], "big")
        if length < _BOX.size:
            return False
        place += length
    return place == len(content)


def _pdf(content: bytes) -> bool:
    reference = _REFERENCE.search(content, max(0, len(content) - _END_OF_PDF))
    return reference is not None and _SECTION.match(content, int(reference[1])) is not None


_FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], bool]], ...] = (
    ("PNG", lambda content: content.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    ("JPEG", lambda content: content.startswith(b"\xff\xd8\xff"), _jpeg),
    ("GIF", lambda content: content.startswith((b"GIF87a", b"GIF89a")), _gif),
    ("WebP", lambda content: content[:4] == b"RIFF" and content[8:12] == b"WEBP", _webp),
    ("AVIF or HEIF", lambda content: content[4:8] == b"ftyp", _boxes),
)
