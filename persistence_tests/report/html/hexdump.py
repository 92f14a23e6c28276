"""What was expected of a name and what was found, as bytes, each with who wrote it.

The expected bytes are generated again from the operations. Those found are known where they were attributed to an
operation or are zeros; of the others nobody kept a copy, and they are shown as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from persistence_tests.model.closure import AsStored, Exactly, States
from persistence_tests.model.observation import Observation, Span, SpanSource
from persistence_tests.model.operation import Operation
from persistence_tests.model.payload import Payload
from persistence_tests.model.versions import Version

ROW = 16
ROWS_SHOWN = 14
ROWS_AROUND = 2
SPANS_SHOWN = 12

Operations = Mapping[int, Operation]

SAME, OTHER, ZEROS, UNKNOWN = "own", "other", "zeros", "unknown"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of bytes that look alike: `look` says who wrote them, `differs` that others were expected."""

    hex: str
    text: str
    look: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Sixteen bytes of both; `skipped` bytes before them are not shown."""

    offset: str
    skipped: int
    expected: list[Piece]
    found: list[Piece]


@dataclass(frozen=True, slots=True)
class Attributed:
    """A span of what was found, in words; `x` and `width` in per cent of the longer of both contents."""

    start: int
    end: int
    look: str
    said: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """`expected_size` is None where nothing should be there; `width` of each bar in per cent."""

    name: str
    path: str
    expected: str
    found: str
    expected_width: float
    found_width: float
    spans: list[Attributed]
    spans_left_out: int
    rows: list[Row]
    rest: int


def compare(name: str, path: str, seen: Observation, states: States, operations: Operations) -> Comparison:
    """`states` are those that the name was allowed to be in; `operations` those of the scenario by identity."""
    version = _expected(states)
    size = seen.size or 0
    longest = max(version.size if version else 0, size, 1)
    spans = _whole(seen)
    expected, found = _Expected(version), _Found(spans, operations)
    shown = _rows(spans, version, size)
    attributed = [_attributed(span, operations, version, name, longest) for span in spans[:SPANS_SHOWN]]
    return Comparison(
        name=name,
        path=path,
        expected=_promised(version, states),
        found=f"{size:,} bytes" + (f", sha256 {seen.sha256[:12]}…" if seen.sha256 else ""),
        expected_width=round((version.size if version else 0) / longest * 100, 3),
        found_width=round(size / longest * 100, 3),
        spans=attributed,
        spans_left_out=len(spans) - len(attributed),
        rows=list(_dump(shown, expected, found)),
        rest=max(-(-longest // ROW) - (shown[-1] + 1 if shown else 0), 0) * ROW,
    )


def _expected(states: States) -> Version | None:
    """The newest content that the name may have."""
    contents = [state.version for state in states if isinstance(state, Exactly)]
    return max(contents, key=lambda version: max(version.operations, default=0), default=None)


def _promised(version: Version | None, states: States) -> str:
    others = len(states) - 1
    also = f", or {others} other states that nobody can rule out" if others > 0 else ""
    if version is None:
        for state in states:
            if isinstance(state, AsStored) and state.sha256:
                return f"{state.size:,} bytes, sha256 {state.sha256[:12]}…, as first read{also}"
        return "nothing"
    return f"{version.size:,} bytes, sha256 {version.sha256[:12]}…{also}"


def _whole(seen: Observation) -> list[Span]:
    """The spans, and one for what was too long to be attributed."""
    spans = list(seen.spans or ())
    covered = spans[-1].offset + spans[-1].length if spans else 0
    if seen.size is not None and covered < seen.size:
        spans.append(Span(covered, seen.size - covered, SpanSource.UNKNOWN))
    return spans


def _as_expected(span: Span, version: Version | None) -> bool:
    if version is None or span.operation is None:
        return False
    start = 0
    for piece in version.pieces:
        if piece.operation == span.operation and span.offset == start + (span.origin or 0):
            return True
        start += piece.size
    return False


def _attributed(
    span: Span, operations: Operations, version: Version | None, name: str, longest: int
) -> Attributed:
    look, said = SAME, "as expected"
    if span.source is SpanSource.ZEROS:
        look, said = ZEROS, "zeros, which no operation wrote"
    elif span.source is SpanSource.UNKNOWN:
        look, said = UNKNOWN, "unknown: no operation of this run wrote them"
    elif not _as_expected(span, version):
        operation = operations.get(span.operation or 0)
        whose = (
            f", {operation.kind} of {'this name' if operation.name == name else operation.name}"
            if operation
            else ""
        )
        moved = "" if span.origin == span.offset else f", there from byte {span.origin:,} on"
        look, said = OTHER, f"operation {span.operation}{whose}{moved}"
    elif span.operation is not None:
        said = f"operation {span.operation}, as expected"
    return Attributed(
        span.offset, span.offset + span.length, look, said,
        round(span.offset / longest * 100, 3), round(span.length / longest * 100, 3),
    )  # fmt: skip


def _rows(spans: Sequence[Span], version: Version | None, size: int) -> list[int]:
    """The rows worth seeing: around every place where what was found begins or ceases to be what was expected."""
    expected = version.size if version else 0
    last = max(-(-max(expected, size) // ROW) - 1, -1)
    places = [0] if not spans else []
    good = True
    for span in spans:
        if good or not _as_expected(span, version):
            places.append(span.offset)
        good = _as_expected(span, version)
        if not good:
            places.append(span.offset + span.length)
    if size != expected:
        places.append(min(size, expected))
    rows: dict[int, None] = {}
    for place in places:
        for row in range(place // ROW - 1, place // ROW + ROWS_AROUND):
            if 0 <= row <= last:
                rows[row] = None
            if len(rows) >= ROWS_SHOWN:
                return sorted(rows)
    return sorted(rows)


class _Expected:
    def __init__(self, version: Version | None) -> None:
        self._pieces: list[tuple[int, Payload]] = []
        self.size = 0
        for piece in version.pieces if version else ():
            self._pieces.append((self.size, Payload.of(piece)))
            self.size += piece.size

    def row(self, offset: int) -> list[int | None]:
        out = bytearray()
        for start, payload in self._pieces:
            if start < offset + ROW and offset < start + payload.size:
                begin = max(offset - start, 0)
                out += payload.slice(begin, offset + ROW - max(offset, start))
        return [*out[:ROW]]


class _Found:
    def __init__(self, spans: Sequence[Span], operations: Operations) -> None:
        self._spans, self._operations = spans, operations

    def row(self, offset: int) -> list[tuple[int | None, Span | None]]:
        out: list[tuple[int | None, Span | None]] = []
        for span in self._spans:
            begin, end = max(span.offset, offset), min(span.offset + span.length, offset + ROW)
            if begin < end:
                content = self._content(span, begin, end - begin)
                out += [
                    (content[i] if content and i < len(content) else None, span) for i in range(end - begin)
                ]
        return out

    def _content(self, span: Span, begin: int, length: int) -> bytes | None:
        if span.source is SpanSource.ZEROS:
            return bytes(length)
        operation = self._operations.get(span.operation) if span.operation is not None else None
        if operation is None or operation.payload is None or span.origin is None:
            return None
        return Payload.of(operation.payload).slice(span.origin + begin - span.offset, length)


def _dump(rows: Sequence[int], expected: _Expected, found: _Found) -> Iterator[Row]:
    previous = -1
    for row in rows:
        offset = row * ROW
        wanted, there = expected.row(offset), found.row(offset)
        differs = [_byte(wanted, i) != (there[i][0] if i < len(there) else None) for i in range(ROW)]
        yield Row(
            offset=f"{offset:08x}",
            skipped=(row - previous - 1) * ROW,
            expected=_pieces([(byte, SAME, differs[i]) for i, byte in enumerate(wanted)]),
            found=_pieces(
                [(byte, _look(byte, span, differs[i]), differs[i]) for i, (byte, span) in enumerate(there)]
            ),
        )
        previous = row


def _byte(row: Sequence[int | None], place: int) -> int | None:
    return row[place] if place < len(row) else None


def _look(byte: int | None, span: Span | None, differs: bool) -> str:
    if byte is None or span is None or span.source is SpanSource.UNKNOWN:
        return UNKNOWN
    if span.source is SpanSource.ZEROS:
        return ZEROS if differs else SAME
    return OTHER if differs else SAME


def _pieces(cells: Sequence[tuple[int | None, str, bool]]) -> list[Piece]:
    pieces = []
    for (look, differs), group in groupby(cells, key=lambda cell: cell[1:]):
        content = [byte for byte, _, _ in group]
        pieces.append(
            Piece(
                hex=" ".join("??" if byte is None else f"{byte:02x}" for byte in content),
                text="".join(
                    "?" if byte is None else chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in content
                ),
                look=look,
                differs=differs,
            )
        )
    return pieces
