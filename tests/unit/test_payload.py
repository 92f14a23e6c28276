"""Payloads describe themselves: what is written can be made again from any of its blocks."""

from __future__ import annotations

import hashlib
import string
import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.errors import UsageError
from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.payload import DEFAULT_SIZES, Payload
from persistence_tests.model.payload_stamp import BLOCK, STAMP_LENGTH, find_stamps, run_tag

KINDS = list(PayloadKind)


@st.composite
def payloads(draw: st.DrawFn) -> Payload:
    kind = draw(st.sampled_from(KINDS))
    least = Payload.minimum(kind)
    size = draw(st.integers(least, least + 5 * BLOCK) | st.integers(300_000, 300_100))
    run = draw(st.sampled_from(["run-1", "run-2"]))
    return Payload.make(run, draw(st.integers(1, 2**40)), kind, size)


@settings(deadline=None)
@given(payloads(), st.data())
def test_a_slice_is_that_part_of_the_whole(payload: Payload, data: st.DataObject) -> None:
    whole = payload.bytes()
    assert len(whole) == payload.size
    offset = data.draw(st.integers(0, payload.size + 10))
    length = data.draw(st.integers(0, payload.size + 10))
    fresh = Payload.of(payload.spec)
    assert fresh.slice(offset, length) == whole[offset : offset + length]


@settings(deadline=None)
@given(payloads())
def test_the_digest_is_that_of_the_bytes(payload: Payload) -> None:
    digest = hashlib.sha256(payload.bytes()).hexdigest()
    assert payload.sha256 == digest
    assert Payload.make(payload.run, payload.operation, payload.kind, payload.size).spec == payload.spec
    assert payload.spec.sha256 == digest


@settings(deadline=None)
@given(payloads(), st.data())
def test_any_stamp_alone_makes_the_payload_again(payload: Payload, data: st.DataObject) -> None:
    whole = payload.bytes()
    stamps = list(find_stamps(whole))
    if not stamps:
        assert payload.size <= STAMP_LENGTH
        return
    place, stamp = data.draw(st.sampled_from(stamps))
    assert stamp.offset == place
    assert stamp.run_tag == run_tag(payload.run)
    assert Payload.stamped(stamp, payload.run).bytes() == whole


@settings(deadline=None)
@given(payloads())
def test_every_whole_block_has_a_stamp_and_no_two_are_alike(payload: Payload) -> None:
    whole = payload.bytes()
    hole = Payload.hole(payload.kind)
    blocks = [whole[start : start + BLOCK] for start in range(hole, payload.size - BLOCK + 1, BLOCK)]
    assert all(any(find_stamps(block)) for block in blocks)
    assert len(set(blocks)) == len(blocks)


@settings(deadline=None)
@given(payloads())
def test_zeros_are_nobodys_outside_a_hole(payload: Payload) -> None:
    hole = Payload.hole(payload.kind)
    assert payload.slice(0, hole) == bytes(hole)
    assert bool(hole) is (payload.kind is PayloadKind.SPARSE)
    written = payload.bytes()[hole:]
    assert bytes(16) not in written
    if payload.kind not in (PayloadKind.PNG, PayloadKind.JPEG):
        assert b"\0" not in written


@pytest.mark.parametrize("size", DEFAULT_SIZES)
def test_text_is_printable_lines(size: int) -> None:
    text = Payload.make("run-1", 3, PayloadKind.TEXT, size).bytes().decode("ascii")
    printable = set(string.printable) - set("\r\t\v\f")
    assert set(text) <= printable
    assert max(map(len, text.split("\n"))) <= 63
    assert size < 2 or text.endswith("\n")


@pytest.mark.parametrize("kind", KINDS)
def test_other_operations_runs_and_sizes_differ_from_the_first_block_on(kind: PayloadKind) -> None:
    hole = Payload.hole(kind)
    size = hole + 9000
    seen = {
        Payload.make(run, operation, kind, other).slice(hole, BLOCK)
        for run in ("run-1", "run-2")
        for operation in (1, 2)
        for other in (size, size + 1)
    }
    assert len(seen) == 8


def test_short_payloads_differ() -> None:
    first_bytes = {Payload.make("run-1", n, PayloadKind.BYTES, 1).bytes() for n in range(1, 400)}
    assert len(first_bytes) == 64
    four_bytes = {Payload.make("run-1", n, PayloadKind.BYTES, 4).bytes() for n in range(1, 400)}
    assert len(four_bytes) > 390


def test_nothing_is_read_from_random_bytes() -> None:
    random = Random(5)
    noise = random.randbytes(4 * 1024 * 1024)
    assert list(find_stamps(noise)) == []
    with_marks = b"".join(random.randbytes(8) + b"~p1~" + random.randbytes(36) for _ in range(20_000))
    assert list(find_stamps(with_marks)) == []
    letters = (string.ascii_letters + string.digits + "+/").encode()
    well_spelt = b"".join(
        bytes(random.choices(letters, k=8)) + b"~p1~" + bytes(random.choices(letters, k=36))
        for _ in range(20_000)
    )
    assert list(find_stamps(well_spelt)) == []


@settings(deadline=None)
@given(st.integers(0, STAMP_LENGTH - 1), st.integers(1, 255))
def test_a_stamp_with_one_wrong_byte_is_none(place: int, difference: int) -> None:
    stamp = bytearray(Payload.make("run-1", 9, PayloadKind.BYTES, 100).slice(0, STAMP_LENGTH))
    stamp[place] ^= difference
    assert list(find_stamps(bytes(stamp))) == []


@settings(deadline=None)
@given(st.integers(0, 200))
def test_stamps_are_found_anywhere(lead: int) -> None:
    block = Payload.make("run-1", 9, PayloadKind.TEXT, BLOCK).bytes()
    content = b"~p1~"[: lead % 5] + b"x" * lead + block
    assert [place for place, _ in find_stamps(content)] == [len(content) - BLOCK]


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_size(kind: PayloadKind) -> None:
    Payload.make("run-1", 1, kind, Payload.hole(kind) + 1000).bytes()
    payload = Payload.make("run-1", 1, kind, 32 * 1024 * 1024)
    tracemalloc.start()
    try:
        assert sum(map(len, payload.chunks())) == payload.size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        (PayloadKind.BYTES, "3b91f54c55df5a2669379017c0ef479a509fac8e77076257bfdd3b9183032784"),
        (PayloadKind.TEXT, "69639aa4fddf21451698a48510933eb8e903847eb8981f09da200c22818bef4e"),
        (PayloadKind.PNG, "c5073795521dccde9bfd673b7d3486b9cab9017a6c168c0ead9b5981f16889a9"),
        (PayloadKind.JPEG, "b6c06a189a0f389e0183c50cebf50a2f7ce3238b256eb2674f98e135c0e7b4a9"),
        (PayloadKind.PDF, "b5a90556c8c11f597728bea64ded374b565eea56afd94e4ab4e40d58cd3610ad"),
        (PayloadKind.SPARSE, "e6a760aa4763a646aff4e6dfe5b33f486f9c008cb31a5c10751e25fb2cae7914"),
    ],
)
def test_recorded_histories_stay_readable(kind: PayloadKind, digest: str) -> None:
    assert Payload.make("run-1", 42, kind, Payload.hole(kind) + 5000).sha256 == digest


def test_a_size_that_no_payload_has_is_refused() -> None:
    minimum = Payload.minimum(PayloadKind.PNG)
    with pytest.raises(UsageError, match="png cannot have"):
        Payload.make("run-1", 1, PayloadKind.PNG, minimum - 1)
    with pytest.raises(UsageError, match="cannot have -1"):
        Payload.make("run-1", 1, PayloadKind.BYTES, -1)
    with pytest.raises(UsageError, match="number of an operation"):
        Payload.make("run-1", -1, PayloadKind.BYTES, 1)
    with pytest.raises(ValueError, match="count from 0"):
        Payload.make("run-1", 1, PayloadKind.BYTES, 5).slice(-1, 3)


def test_the_default_sizes_are_those_of_the_design() -> None:
    kib, mib = 1024, 1024 * 1024
    around = [n + d for n in (4 * kib, 32 * kib, 64 * kib, 2 * mib + 512 * kib) for d in (-1, 0, 1)]
    assert set(DEFAULT_SIZES) == {0, 1, mib, 8 * mib, *around}
    assert list(DEFAULT_SIZES) == sorted(DEFAULT_SIZES)
