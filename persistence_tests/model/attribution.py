"""Who wrote the bytes that were observed.

Seed and extend: every stamp found in the content gives an alignment (payload, shift); its payload is made
again and compared from there in both directions, to the exact byte. What is left between such matches is
compared with the payloads that are near: the neighbours' and the candidates'. The time is linear in the
length of the content.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from persistence_tests.model.observation import Span, SpanSource
from persistence_tests.model.operation import PayloadKind, PayloadSpec
from persistence_tests.model.payload import Payload
from persistence_tests.model.payload_stamp import BLOCK, STAMP_LENGTH, find_stamps, run_tag

SHORTEST_RUN = 8
"""In bytes. A shorter agreement may be chance, and counts only if it fills its gap."""

_SHORTEST_ZEROS = 16
_SECTOR = 512
_FREQUENT_ALIGNMENTS = 4
_LARGEST_STEP = 256 * 1024
_ZEROS = re.compile(rb"\x00{%d,}" % _SHORTEST_ZEROS)
_AGREEMENTS = re.compile(rb"\x00{%d,}" % SHORTEST_RUN)


@dataclass(frozen=True, slots=True)
class _Alignment:
    """The payload's first byte is, or would be, at `shift` of the content; no payload means zeros."""

    payload: Payload | None
    shift: int

    @property
    def end(self) -> int | None:
        return None if self.payload is None else self.shift + self.payload.size


@dataclass(frozen=True, slots=True)
class _Match:
    start: int
    end: int
    alignment: _Alignment


_NOBODY = _Alignment(None, 0)


def attribute(content: bytes, candidates: Iterable[PayloadSpec], run: str) -> tuple[Span, ...]:
    """Spans that cover `content` exactly, in order; neighbours differ in source, operation or alignment.

    Any operation of `run` is recognised by its stamps. `candidates`, in the order of the operations on the
    name, serve for what bears no stamp: a prefix, the rest of a torn block, payloads shorter than a stamp.
    Where two of them begin alike the first is named. Zeros are runs of 16 and more, and shorter ones that lie
    between attributed bytes and touch the end or a multiple of 4096; those where a payload has its hole are its own.
    """
    payloads = _Payloads(run, candidates)
    stamped = list(_stamped(content, payloads))
    zeros = _zeros(content, _holes(stamped, payloads))
    matches = _without_overlaps(sorted([*stamped, *zeros], key=_start))
    matches = _fill(content, matches, payloads)
    return _spans(matches, len(content))


class _Payloads:
    def __init__(self, run: str, candidates: Iterable[PayloadSpec]) -> None:
        self.run = run
        self._known = {
            (spec.operation, spec.kind, spec.size): Payload.of(spec)
            for spec in candidates
            if spec.run == run and spec.size
        }
        self.candidates = tuple(self._known.values())

    def stamped(self, operation: int, kind: PayloadKind, size: int) -> Payload:
        key = operation, kind, size
        if key not in self._known:
            self._known[key] = Payload.make(self.run, operation, kind, size)
        return self._known[key]


def _start(match: _Match) -> int:
    return match.start


def _stamped(content: bytes, payloads: _Payloads) -> Iterator[_Match]:
    tag = run_tag(payloads.run)
    reached: dict[_Alignment, int] = {}
    alignments: dict[tuple[int, PayloadKind, int, int], _Alignment] = {}
    for place, stamp in find_stamps(content):
        if stamp.run_tag != tag or not Payload.minimum(stamp.kind) <= stamp.size:
            continue
        key = stamp.operation, stamp.kind, stamp.size, place - stamp.offset
        if key not in alignments:
            payload = payloads.stamped(stamp.operation, stamp.kind, stamp.size)
            alignments[key] = _Alignment(payload, place - stamp.offset)
        alignment = alignments[key]
        floor = reached.get(alignment, 0)
        if place < floor:
            continue
        end = _extend_right(content, place, alignment)
        if end - place < STAMP_LENGTH:
            continue
        start = _extend_left(content, place, alignment, floor)
        reached[alignment] = end
        yield _Match(start, end, alignment)


def _extend_right(content: bytes, place: int, alignment: _Alignment) -> int:
    """Where the agreement that begins at `place` ends."""
    assert alignment.payload is not None
    step = BLOCK
    while place < len(content):
        expected = alignment.payload.slice(place - alignment.shift, min(step, len(content) - place))
        if not expected:
            break
        same = _common_prefix(content[place : place + len(expected)], expected)
        place += same
        if same < len(expected):
            break
        step = min(2 * step, _LARGEST_STEP)
    return place


def _extend_left(content: bytes, place: int, alignment: _Alignment, floor: int) -> int:
    """Where the agreement that ends at `place` begins; not before `floor`, nor before the payload."""
    assert alignment.payload is not None
    floor = max(floor, alignment.shift)
    step = BLOCK
    while place > floor:
        length = min(step, place - floor)
        expected = alignment.payload.slice(place - length - alignment.shift, length)
        same = _common_suffix(content[place - length : place], expected)
        place -= same
        if same < length:
            break
        step = min(2 * step, _LARGEST_STEP)
    return place


def _common_prefix(one: bytes, other: bytes) -> int:
    if one == other:
        return len(one)
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _common_suffix(one: bytes, other: bytes) -> int:
    if one == other:
        return len(one)
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[middle:high] == other[middle:high]:
            high = middle
        else:
            low = middle
    return len(one) - high


def _holes(stamped: Iterable[_Match], payloads: _Payloads) -> list[tuple[int, int]]:
    """Start and end of what payloads have as holes, where they are found or would be in place; in order."""
    alignments = [match.alignment for match in stamped]
    alignments += [_Alignment(candidate, 0) for candidate in payloads.candidates]
    return sorted(
        (alignment.shift, alignment.shift + hole)
        for alignment in dict.fromkeys(alignments)
        if alignment.payload is not None and (hole := Payload.hole(alignment.payload.kind))
    )


def _zeros(content: bytes, holes: Sequence[tuple[int, int]]) -> Iterator[_Match]:
    """What is long enough of the runs of zeros outside the holes."""
    for run in _ZEROS.finditer(content):
        place = run.start()
        for start, end in [*holes, (run.end(), run.end())]:
            if min(start, run.end()) - place >= _SHORTEST_ZEROS:
                yield _Match(place, min(start, run.end()), _NOBODY)
            place = max(place, end)


def _without_overlaps(matches: Sequence[_Match]) -> list[_Match]:
    """Both sides of a boundary can agree with the same few bytes by chance: the likelier boundary counts."""
    kept: list[_Match] = []
    for match in matches:
        if not kept or kept[-1].end <= match.start:
            kept.append(match)
            continue
        left = kept[-1]
        boundary = _boundary(left, match)
        if boundary > left.start:
            kept[-1] = _Match(left.start, boundary, left.alignment)
        else:
            kept.pop()
        if boundary < match.end:
            kept.append(_Match(boundary, match.end, match.alignment))
    return kept


def _boundary(left: _Match, right: _Match) -> int:
    first, last = right.start, min(left.end, right.end)
    if right.alignment.payload is not None and first == right.alignment.shift:
        return first
    if last == left.alignment.end:
        return last
    for unit in (BLOCK, _SECTOR):
        boundary = last // unit * unit
        if boundary >= first:
            return boundary
    return last


def _gaps(matches: Sequence[_Match], length: int) -> Iterator[tuple[int, int, _Match | None, _Match | None]]:
    """Start, end and neighbours of what no match covers."""
    left: _Match | None = None
    place = 0
    for match in matches:
        if place < match.start:
            yield place, match.start, left, match
        left, place = match, match.end
    if place < length:
        yield place, length, left, None


def _fill(content: bytes, matches: list[_Match], payloads: _Payloads) -> list[_Match]:
    counted = Counter(match.alignment for match in matches if match.alignment.payload is not None)
    frequent = [alignment for alignment, _ in counted.most_common(_FREQUENT_ALIGNMENTS)]
    # What is found makes new neighbours and ends other gaps: then agreements are looked for once more.
    more = True
    for step in (_agreeing, _agreeing, _chained, _short_zeros):
        if step is _agreeing and not more:
            continue
        found: list[_Match] = []
        for start, end, left, right in _gaps(matches, len(content)):
            near = [n.alignment for n in (left, right) if n is not None and n.alignment.payload is not None]
            found += step(content, start, end, near + frequent, payloads)
        more = bool(found)
        matches = sorted(matches + found, key=_start)
    return matches


def _agreeing(
    content: bytes, start: int, end: int, known: Sequence[_Alignment], payloads: _Payloads
) -> list[_Match]:
    """Agreements of a gap with the alignments known near it, and with the candidates'; longest first."""
    alignments = list(known)
    for shift in (0, start):
        alignments += [_Alignment(candidate, shift) for candidate in payloads.candidates]
    agreements = [
        _Match(first, last, alignment)
        for alignment in dict.fromkeys(alignments)
        for first, last in _agreements(content, start, end, alignment)
    ]
    agreements.sort(key=lambda match: match.start - match.end)
    free = _Free(start, end)
    return [taken for match in agreements if (taken := free.take(match)) is not None]


def _agreements(content: bytes, start: int, end: int, alignment: _Alignment) -> Iterator[tuple[int, int]]:
    assert alignment.payload is not None
    first, last = max(start, alignment.shift), min(end, alignment.shift + alignment.payload.size)
    if first >= last:
        return
    expected = alignment.payload.slice(first - alignment.shift, last - first)
    differences = int.from_bytes(content[first:last], "little") ^ int.from_bytes(expected, "little")
    if differences == 0 and (first, last) == (start, end):
        yield start, end
        return
    for run in _AGREEMENTS.finditer(differences.to_bytes(last - first, "little")):
        yield first + run.start(), first + run.end()


class _Free:
    """What is not yet taken of a gap."""

    def __init__(self, start: int, end: int) -> None:
        self._starts = [start]
        self._ends = [end]

    def take(self, match: _Match) -> _Match | None:
        """The part of a match that is free, if it is long enough to count."""
        n = bisect_right(self._starts, match.start) - 1
        if n < 0 or self._ends[n] <= match.start:
            n += 1
            if n == len(self._starts):
                return None
        first, last = self._starts[n], self._ends[n]
        start, end = max(first, match.start), min(last, match.end)
        if end - start < SHORTEST_RUN and (start, end) != (first, last):
            return None
        left = [(first, start)] if first < start else []
        right = [(end, last)] if end < last else []
        self._starts[n : n + 1] = [a for a, _ in left + right]
        self._ends[n : n + 1] = [b for _, b in left + right]
        return _Match(start, end, match.alignment)


def _chained(
    content: bytes, start: int, end: int, _known: Sequence[_Alignment], payloads: _Payloads
) -> list[_Match]:
    """Payloads without a stamp, as appends leave them in a row, if they, or zeros after them, fill the gap."""
    if end - start >= STAMP_LENGTH * len(payloads.candidates):
        return []
    chain: list[_Match] = []
    waiting: Sequence[Payload] = payloads.candidates
    place = start
    while place < end:
        rest: list[Payload] = []
        before = place
        for payload in waiting:
            expected = payload.slice(0, min(payload.size, end - place))
            if place < end and content[place : place + len(expected)] == expected:
                chain.append(_Match(place, place + len(expected), _Alignment(payload, place)))
                place += len(expected)
            else:
                rest.append(payload)
        if place == before:
            unwritten = _unwritten(content, place, end, waiting)
            return chain + unwritten if unwritten else []
        waiting = rest
    return chain


def _unwritten(content: bytes, start: int, end: int, waiting: Sequence[Payload]) -> list[_Match]:
    """Zeros up to the end, after nothing or the beginning of one payload: a write of which the size, and no more or
    only a part, came to the disk."""
    head = content[start:end].rstrip(b"\x00")
    place = start + len(head)
    aligned = place % BLOCK == 0 or end % BLOCK == 0 or end == len(content)
    if place == end or not aligned:
        return []
    zeros = _Match(place, end, _NOBODY)
    if not head:
        return [zeros]
    owner = next((payload for payload in waiting if payload.slice(0, len(head)) == head), None)
    return [] if owner is None else [_Match(start, place, _Alignment(owner, start)), zeros]


def _short_zeros(
    content: bytes, start: int, end: int, _known: Sequence[_Alignment], _payloads: _Payloads
) -> list[_Match]:
    return _unwritten(content, start, end, ()) if end - start < _SHORTEST_ZEROS else []


def _spans(matches: Sequence[_Match], length: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    place = 0
    previous: _Alignment | None = None
    for match in [*matches, _Match(length, length, _NOBODY)]:
        if place < match.start:
            spans.append(Span(place, match.start - place, SpanSource.UNKNOWN))
            previous = None
        if match.start < match.end:
            if match.alignment == previous:
                first = spans.pop()
                spans.append(_span(_Match(first.offset, match.end, match.alignment)))
            else:
                spans.append(_span(match))
        place, previous = match.end, match.alignment
    return tuple(spans)


def _span(match: _Match) -> Span:
    payload = match.alignment.payload
    length = match.end - match.start
    if payload is None:
        return Span(match.start, length, SpanSource.ZEROS)
    origin = match.start - match.alignment.shift
    return Span(match.start, length, SpanSource.OPERATION, payload.operation, origin)
