"""PDF documents of an exact size: one page whose lines of text begin with stamps.

A line of the page takes 4096 bytes of the file: "(", 4090 characters, ") '" and a newline. The characters need no
escape. A comment at the beginning holds a stamp as well, so that a short piece is known. Every number that
depends on the size is written with ten digits, so that nothing moves.
Source: PDF 1.4 (Adobe, third edition), sections 3.4, 5.3 and 5.7.
"""

from __future__ import annotations

from persistence_tests.model.payload_rows import Rows
from persistence_tests.model.payload_stamp import STAMP_LENGTH, Blocks

_OBJECTS = (
    b"<</Type/Catalog/Pages 2 0 R>>",
    b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 5 0 R/Resources<</Font<</F 4 0 R>>>>>>",
    b"<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
)
_SIGNATURE = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3"
_OBJECTS_AT = len(_SIGNATURE) + STAMP_LENGTH + 1
_STREAM = len(_OBJECTS) + 1
_BEGIN = b"BT /F 4 Tf 5 TL 20 820 Td\n"
_END = b"ET\n"
_OPENING, _CLOSING = b"(", b") '\n"


def _placed() -> tuple[bytes, list[int]]:
    """The objects before the stream, and where each object begins."""
    written, places = b"", []
    for number, content in enumerate(_OBJECTS, start=1):
        places.append(_OBJECTS_AT + len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    return written, [*places, _OBJECTS_AT + len(written)]


_BEFORE, _PLACES = _placed()


def _head(stamp: bytes, stream: int) -> bytes:
    return (
        _SIGNATURE
        + stamp
        + b"\n"
        + _BEFORE
        + b"%d 0 obj\n<</Length %010d>>\nstream\n%b" % (_STREAM, stream, _BEGIN)
    )


def _tail(size: int) -> bytes:
    table = b"".join(b"%010d 00000 n \n" % place for place in _PLACES)
    count = _STREAM + 1
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%%010d\n%%%%%%%%EOF\n" % count
    table = b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    return _END + b"endstream\nendobj\n" + table + end % (size - len(table) - len(end % 0))


MAXIMUM = 10**10 - 1
_FIXED = len(_head(bytes(STAMP_LENGTH), 0)) + len(_tail(MAXIMUM))
MINIMUM = _FIXED + len(_OPENING) + STAMP_LENGTH + len(_CLOSING)


def document(blocks: Blocks, size: int) -> Rows:
    """The document of `size` bytes; MINIMUM <= size <= MAXIMUM."""
    stream = len(_BEGIN) + size - _FIXED + len(_END)
    stamp, _, _ = blocks.parts(len(_SIGNATURE))
    return Rows(blocks, size, _head(stamp, stream), lambda _: _OPENING, _CLOSING, _tail(size))
