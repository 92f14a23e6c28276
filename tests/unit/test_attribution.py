"""What is attributed is what was planted, to the byte.

The reference knows what each byte of the content was made from, and compares byte by byte with payloads that
were generated whole. Only bytes that both sides of a planted boundary agree with may go to either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from string import ascii_letters

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.attribution import SHORTEST_RUN, attribute
from persistence_tests.model.observation import Span, SpanSource
from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.payload import Payload
from persistence_tests.model.payload_stamp import STAMP_LENGTH, find_stamps

RUN = "run-1"
BLOCK = 4096
KINDS = [kind for kind in PayloadKind if not Payload.hole(kind)]
HOLE = Payload.hole(PayloadKind.SPARSE)


@dataclass(frozen=True)
class Planted:
    source: SpanSource
    length: int
    operation: int | None = None
    origin: int | None = None


Label = tuple[SpanSource, int | None, int | None]


def noise(seed: int, length: int) -> bytes:
    return bytes(1 + byte % 255 for byte in Random(seed).randbytes(length))


def content_of(planted: Sequence[Planted], wholes: dict[int, bytes], seed: int) -> bytes:
    parts = []
    for number, part in enumerate(planted):
        if part.source is SpanSource.ZEROS:
            parts.append(bytes(part.length))
        elif part.source is SpanSource.UNKNOWN:
            parts.append(noise(seed + number, part.length))
        else:
            assert part.operation is not None
            assert part.origin is not None
            parts.append(wholes[part.operation][part.origin : part.origin + part.length])
    return b"".join(parts)


def labels_planted(planted: Sequence[Planted]) -> list[Label]:
    labels: list[Label] = []
    for part in planted:
        shift = None if part.origin is None else len(labels) - part.origin
        labels += [(part.source, part.operation, shift)] * part.length
    return labels


def labels_of(spans: Sequence[Span]) -> list[Label]:
    labels: list[Label] = []
    for span in spans:
        assert span.offset == len(labels), "spans are in order, without gap or overlap"
        assert span.length > 0
        shift = None if span.origin is None else span.offset - span.origin
        labels += [(span.source, span.operation, shift)] * span.length
    return labels


def agrees(label: Label, content: bytes, place: int, wholes: dict[int, bytes]) -> bool:
    source, operation, shift = label
    if source is SpanSource.ZEROS:
        return content[place] == 0
    if source is SpanSource.UNKNOWN:
        return False
    assert operation is not None
    assert shift is not None
    origin = place - shift
    whole = wholes[operation]
    return 0 <= origin < len(whole) and whole[origin] == content[place]


def check(content: bytes, spans: Sequence[Span], truth: Sequence[Label], wholes: dict[int, bytes]) -> None:
    given_labels = labels_of(spans)
    assert len(given_labels) == len(content) == len(truth)
    for before, after in pairwise(spans):
        assert labels_of([Span(0, before.length, before.source, before.operation, before.origin)])[0] != (
            after.source,
            after.operation,
            None if after.origin is None else after.offset - after.origin - before.offset,
        ), "neighbours of one source are one span"
    for place, label in enumerate(given_labels):
        if label[0] is not SpanSource.UNKNOWN:
            assert agrees(label, content, place, wholes), f"byte {place} is not what its span says"
        if label == truth[place]:
            continue
        assert reaches_its_own(place, label, content, truth, wholes), (
            f"byte {place} is {truth[place]}, and was said to be {label}"
        )


def reaches_its_own(
    place: int, label: Label, content: bytes, truth: Sequence[Label], wholes: dict[int, bytes]
) -> bool:
    """Whether every byte from here to where the label is true agrees with the label."""
    for step in (-1, 1):
        at = place
        while 0 <= at < len(content) and truth[at] != label and agrees(label, content, at, wholes):
            at += step
        if 0 <= at < len(content) and truth[at] == label:
            return True
    return False


def has_stamp(payload: Payload, origin: int, length: int) -> bool:
    """Whether a whole stamp lies in a part of a payload. A PNG's padding may hold the beginning of one."""
    return any(
        origin <= place and place + STAMP_LENGTH <= origin + length
        for place, _ in find_stamps(payload.bytes())
    )


@st.composite
def damages(draw: st.DrawFn) -> tuple[list[Planted], dict[int, Payload]]:
    """Two versions of a name (1, 2), another name's payload (3), zeros and noise, in any order and place."""
    kinds = {n: draw(st.sampled_from(KINDS)) for n in (1, 2, 3)}
    sizes = {n: draw(st.integers(BLOCK, 6 * BLOCK)) for n in (1, 2, 3)}
    if draw(st.booleans()):
        kinds[2], sizes[2] = kinds[1], sizes[1]
    payloads = {n: Payload.make(RUN, n, kinds[n], sizes[n]) for n in (1, 2, 3)}
    unit = draw(st.sampled_from([1, 512, BLOCK]))
    planted: list[Planted] = []
    place = 0
    for what in draw(st.lists(st.sampled_from(["same place", "moved", "zeros", "noise"]), max_size=7)):
        length = unit * draw(st.integers(-(-100 // unit), -(-9000 // unit)))
        if what == "zeros":
            planted.append(Planted(SpanSource.ZEROS, length))
        elif what == "noise":
            planted.append(Planted(SpanSource.UNKNOWN, length))
        else:
            n = draw(st.sampled_from([1, 2, 3]))
            origin = place if what == "same place" else draw(st.integers(0, sizes[n] - 100))
            length = min(length, sizes[n] - origin)
            # The heads of two PDFs are alike in long runs: there nobody can say which of the two it is.
            near = what == "same place" and n != 3 and length >= 16
            near = near and payloads[1].slice(origin, length) != payloads[2].slice(origin, length)
            if length <= 0 or not (near or has_stamp(payloads[n], origin, length)):
                continue
            planted.append(Planted(SpanSource.OPERATION, length, n, origin))
        place += planted[-1].length
    return planted, payloads


@settings(deadline=None, max_examples=400)
@given(damages(), st.integers(0, 1000))
def test_any_mixture_is_attributed_as_planted(
    damage: tuple[list[Planted], dict[int, Payload]], seed: int
) -> None:
    planted, payloads = damage
    wholes = {n: payload.bytes() for n, payload in payloads.items()}
    content = content_of(planted, wholes, seed)
    spans = attribute(content, [payloads[1].spec, payloads[2].spec], RUN)
    check(content, spans, labels_planted(planted), wholes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_prefix_is_the_operations(kind: PayloadKind) -> None:
    payload = Payload.make(RUN, 4, kind, 4200)
    whole = payload.bytes()
    for length in [*range(1, 300), 4095, 4096, 4097, 4150, 4199, 4200]:
        spans = attribute(whole[:length], [payload.spec], RUN)
        assert spans == (Span(0, length, SpanSource.OPERATION, 4, 0),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prefix_with_a_stamp_needs_no_candidate(kind: PayloadKind) -> None:
    whole = Payload.make(RUN, 4, kind, 4200).bytes()
    first, _ = next(find_stamps(whole))
    for length in (first + STAMP_LENGTH, first + 300, 4200):
        assert attribute(whole[:length], [], RUN) == (Span(0, length, SpanSource.OPERATION, 4, 0),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixture_of_two_versions_is_exact_at_blocks_and_sectors(kind: PayloadKind) -> None:
    old, new = (Payload.make(RUN, n, kind, 64 * 1024) for n in (1, 2))
    a, b = old.bytes(), new.bytes()
    for boundary in (BLOCK, 3 * BLOCK, 512 * 11, 512 * 77):
        content = b[:boundary] + a[boundary:]
        assert attribute(content, [old.spec, new.spec], RUN) == (
            Span(0, boundary, SpanSource.OPERATION, 2, 0),
            Span(boundary, len(a) - boundary, SpanSource.OPERATION, 1, boundary),
        )


@pytest.mark.parametrize("kind", [PayloadKind.BYTES, PayloadKind.TEXT])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, 3), (4090, 4096), (4096, 4097), (99, 115), (7990, 8000)]
)
def test_zeros(kind: PayloadKind, start: int, end: int) -> None:
    payload = Payload.make(RUN, 4, kind, 8000)
    whole = payload.bytes()
    spans = attribute(whole[:start] + bytes(end - start) + whole[end:], [payload.spec], RUN)
    assert Span(start, end - start, SpanSource.ZEROS) in spans
    assert sum(span.length for span in spans if span.source is SpanSource.OPERATION) == 8000 - (end - start)


def test_few_zeros_in_the_middle_of_a_block_are_damage_like_any_other() -> None:
    payload = Payload.make(RUN, 4, PayloadKind.BYTES, 8000)
    whole = payload.bytes()
    spans = attribute(whole[:100] + bytes(5) + whole[105:], [payload.spec], RUN)
    assert spans == (
        Span(0, 100, SpanSource.OPERATION, 4, 0),
        Span(100, 5, SpanSource.UNKNOWN),
        Span(105, 7895, SpanSource.OPERATION, 4, 105),
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=8), st.data())
def test_appends_one_after_the_other(sizes: list[int], data: st.DataObject) -> None:
    payloads = [Payload.make(RUN, n, PayloadKind.TEXT, size) for n, size in enumerate(sizes, start=1)]
    wholes = {payload.operation: payload.bytes() for payload in payloads}
    whole = b"".join(wholes.values())
    cut = data.draw(st.integers(0, len(whole)))
    planted = []
    left = cut
    for payload in payloads:
        if length := min(left, payload.size):
            planted.append(Planted(SpanSource.OPERATION, length, payload.operation, 0))
            left -= length
    spans = attribute(whole[:cut], [payload.spec for payload in payloads], RUN)
    assert all(span.source is SpanSource.OPERATION for span in spans)
    for span, part in zip(spans, planted, strict=True):
        assert (span.length, span.origin) == (part.length, 0)
        assert span.operation == part.operation or part.length < 8


@settings(deadline=None)
@given(st.lists(st.integers(1, 9) | st.integers(4090, 4100), min_size=1, max_size=6), st.data())
def test_appends_whose_last_bytes_never_came_to_the_disk(sizes: list[int], data: st.DataObject) -> None:
    payloads = [Payload.make(RUN, n, PayloadKind.TEXT, size) for n, size in enumerate(sizes, start=1)]
    wholes = {payload.operation: payload.bytes() for payload in payloads}
    whole = b"".join(wholes.values())
    written = data.draw(st.integers(0, len(whole)))
    spans = attribute(
        whole[:written] + bytes(len(whole) - written), [payload.spec for payload in payloads], RUN
    )
    place = 0
    for span in spans:
        if span.operation is None:
            assert span.source is SpanSource.ZEROS
            assert place == written
        else:
            assert span.origin is not None
            its_own = wholes[span.operation][span.origin : span.origin + span.length]
            assert its_own == whole[place : place + span.length]
        place += span.length
    assert place == len(whole)


def test_many_appends_of_a_byte() -> None:
    payloads = [Payload.make(RUN, n, PayloadKind.BYTES, 1) for n in range(1, 200)]
    content = b"".join(payload.bytes() for payload in payloads)
    spans = attribute(content, [payload.spec for payload in payloads], RUN)
    assert [span.operation for span in spans] == list(range(1, 200))


def test_other_runs_are_nobody() -> None:
    mine, other = (Payload.make(run, 4, PayloadKind.BYTES, 8192) for run in (RUN, "run-2"))
    content = mine.bytes()[:4096] + other.bytes()[4096:]
    assert attribute(content, [mine.spec], RUN) == (
        Span(0, 4096, SpanSource.OPERATION, 4, 0),
        Span(4096, 4096, SpanSource.UNKNOWN),
    )


def test_nothing_is_covered_by_nothing() -> None:
    assert attribute(b"", [], RUN) == ()
    assert attribute(b"", [Payload.make(RUN, 1, PayloadKind.BYTES, 0).spec], RUN) == ()


@settings(deadline=None)
@given(st.integers(1, 20_000), st.integers(0, 1000))
def test_noise_is_unknown_as_a_whole(length: int, seed: int) -> None:
    payload = Payload.make(RUN, 4, PayloadKind.BYTES, 20_000)
    content = noise(seed, length)
    spans = attribute(content, [payload.spec], RUN)
    if length >= 8:
        assert spans == (Span(0, length, SpanSource.UNKNOWN),)
    else:
        assert sum(span.length for span in spans) == length


def test_the_rest_of_a_block_behind_damage_is_found_again() -> None:
    payload = Payload.make(RUN, 4, PayloadKind.BYTES, 4096)
    whole = payload.bytes()
    content = whole[:1000] + noise(1, 10) + whole[1010:]
    spans = attribute(content, [], RUN)
    check(
        content,
        spans,
        labels_planted(
            [
                Planted(SpanSource.OPERATION, 1000, 4, 0),
                Planted(SpanSource.UNKNOWN, 10),
                Planted(SpanSource.OPERATION, 3086, 4, 1010),
            ]
        ),
        {4: whole},
    )


def agreeing_with(whole: bytes, place: int, other_place: int, size: int) -> Payload:
    """A payload whose byte at `other_place` happens to be the one at `place` of `whole`, and the next is not."""
    candidates = (Payload.make(RUN, n, PayloadKind.BYTES, size) for n in range(10, 5000))
    return next(
        payload
        for payload in candidates
        if (same := payload.slice(other_place, 2))[0] == whole[place] and same[1] != whole[place + 1]
    )


def test_bytes_that_agree_by_chance_do_not_move_a_boundary_off_its_block() -> None:
    new = Payload.make(RUN, 1, PayloadKind.BYTES, 12_000)
    old = agreeing_with(new.bytes(), 4096, 4096, 12_000)
    content = new.bytes()[:4096] + old.bytes()[4096:]
    assert attribute(content, [], RUN) == (
        Span(0, 4096, SpanSource.OPERATION, 1, 0),
        Span(4096, 12_000 - 4096, SpanSource.OPERATION, old.operation, 4096),
    )


def test_bytes_that_agree_by_chance_are_not_taken_from_the_start_of_an_append() -> None:
    first = Payload.make(RUN, 1, PayloadKind.BYTES, 3000)
    whole = first.bytes()
    cut = next(place for place in range(1000, 3000) if chr(whole[place]) in ascii_letters)
    appended = agreeing_with(whole, cut, 0, 5000)
    assert attribute(whole[:cut] + appended.bytes(), [], RUN) == (
        Span(0, cut, SpanSource.OPERATION, 1, 0),
        Span(cut, 5000, SpanSource.OPERATION, appended.operation, 0),
    )


def test_the_last_bytes_before_a_stamp_are_the_operations_too() -> None:
    whole = Payload.make(RUN, 1, PayloadKind.BYTES, 8192).bytes()
    content = bytes(byte ^ 0xFF or 1 for byte in whole[:4091]) + whole[4091:]
    assert attribute(content, [], RUN) == (
        Span(0, 4091, SpanSource.UNKNOWN),
        Span(4091, 4101, SpanSource.OPERATION, 1, 4091),
    )


def sparse(operation: int, written: int) -> Payload:
    return Payload.make(RUN, operation, PayloadKind.SPARSE, HOLE + written)


@settings(deadline=None)
@given(st.integers(STAMP_LENGTH, 5 * BLOCK), st.data())
def test_every_prefix_of_a_sparse_file_is_the_operations_with_its_hole(
    written: int, data: st.DataObject
) -> None:
    payload = sparse(4, written)
    length = data.draw(st.integers(16, payload.size))
    whole = Span(0, length, SpanSource.OPERATION, 4, 0)
    assert attribute(payload.bytes()[:length], [payload.spec], RUN) == (whole,)
    if length >= HOLE + STAMP_LENGTH:
        assert attribute(payload.bytes()[:length], [], RUN) == (whole,)


@settings(deadline=None)
@given(st.integers(STAMP_LENGTH, 5 * BLOCK), st.sampled_from(["zeros", "noise"]), st.data())
def test_a_hole_is_its_own_and_zeros_or_noise_beside_it_are_not(
    written: int, what: str, data: st.DataObject
) -> None:
    payload = sparse(4, written)
    whole = payload.bytes()
    start = data.draw(st.just(HOLE) | st.integers(HOLE, payload.size - 16))
    end = data.draw(st.just(payload.size) | st.integers(start + 16, payload.size))
    end = payload.size if payload.size - end < SHORTEST_RUN else end
    source = SpanSource.ZEROS if what == "zeros" else SpanSource.UNKNOWN
    lost = Planted(source, end - start)
    planted = [Planted(SpanSource.OPERATION, start, 4, 0), lost]
    if end < payload.size:
        planted.append(Planted(SpanSource.OPERATION, payload.size - end, 4, end))
    content = content_of(planted, {4: whole}, written)
    check(content, attribute(content, [payload.spec], RUN), labels_planted(planted), {4: whole})


@settings(deadline=None)
@given(st.integers(STAMP_LENGTH, 3 * BLOCK), st.integers(STAMP_LENGTH, 3 * BLOCK), st.data())
def test_a_mixture_of_two_sparse_files_has_no_zeros_of_nobody(
    one: int, other: int, data: st.DataObject
) -> None:
    new, old = sparse(1, one), sparse(2, other)
    a, b = new.bytes(), old.bytes()
    cut = data.draw(st.integers(0, HOLE))
    content = a[:cut] + b[cut:]
    spans = attribute(content, [old.spec, new.spec], RUN)
    assert {span.source for span in spans} == {SpanSource.OPERATION}
    for place, label in enumerate(labels_of(spans)):
        assert agrees(label, content, place, {1: a, 2: b})


@settings(deadline=None)
@given(st.integers(0, 2 * BLOCK), st.integers(2 * BLOCK, 5 * BLOCK))
def test_another_names_sparse_file_is_found_where_it_was_moved_to(shift: int, written: int) -> None:
    """Also where the first bytes after its hole are damaged: then only their place tells whose zeros they are."""
    payload = sparse(4, written)
    whole = payload.bytes()
    planted = [
        Planted(SpanSource.OPERATION, HOLE, 4, 0),
        Planted(SpanSource.UNKNOWN, 100),
        Planted(SpanSource.OPERATION, payload.size - HOLE - 100, 4, HOLE + 100),
    ]
    if shift:
        planted.insert(0, Planted(SpanSource.UNKNOWN, shift))
    content = content_of(planted, {4: whole}, shift)
    check(content, attribute(content, [], RUN), labels_planted(planted), {4: whole})
