"""The one file of a multipart/form-data body, as it arrives: nothing is held back but the part's headers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from multipart.exceptions import MultipartParseError  # type: ignore[import-untyped]
from multipart.multipart import MultipartParser, parse_options_header  # type: ignore[import-untyped]

from media.names import field_name, file_name
from media.refusal import Refusal

FIELD = "file"
_HEADER_BYTES = 8192


@dataclass(slots=True)
class _Part:
    header_field: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    header_bytes: int = 0
    disposition: bytes = b""


class MultipartFile:
    """Finds the part named `file` in a body that is fed to it piece by piece.

    After each `feed`, `take()` gives the file's bytes that came with it; `name` is None until the part began.
    """

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
            raise Refusal(415, f"send multipart/form-data with a part named {FIELD}")
        self.name: str | None = None
        self._content = bytearray()
        self._part = _Part()
        self._inside = False
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusal 400 for what is no multipart body."""
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise Refusal(400, "the body is not valid multipart/form-data") from error

    def take(self) -> bytearray:
        """The file's bytes since the last call."""
        content, self._content = self._content, bytearray()
        return content

    def finish(self) -> None:
        """Refusal 400 if the body ended early or had no file."""
        if not self._complete:
            raise Refusal(400, "the body ends before its last boundary")
        if self.name is None:
            raise Refusal(400, f"the body has no part named {FIELD}")

    def _begin(self) -> None:
        self._part = _Part()
        self._inside = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.header_field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._part.header_value += data[start:end]

    def _count_header(self, size: int) -> None:
        self._part.header_bytes += size
        if self._part.header_bytes > _HEADER_BYTES:
            raise Refusal(400, "the headers of a part are too long")

    def _header_end(self) -> None:
        if self._part.header_field.lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.header_value)
        self._part.header_field.clear()
        self._part.header_value.clear()

    def _headers_finished(self) -> None:
        if field_name(self._part.disposition) != FIELD:
            return
        if self.name is not None:
            raise Refusal(400, "one file is taken at a time")
        self.name = file_name(self._part.disposition)
        self._inside = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._content += memoryview(data)[start:end]

    def _part_end(self) -> None:
        self._inside = False

    def _end(self) -> None:
        self._complete = True


async def file_pieces(form: MultipartFile, body: AsyncIterator[bytes]) -> AsyncIterator[bytearray]:
    """The bytes of the file in `body`, for as long as the body is well formed."""
    async for piece in body:
        form.feed(piece)
        if content := form.take():
            yield content
    form.finish()
