"""Ledger, attribution and oracle together, on contents of real sizes, as a run uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.attribution import attribute
from persistence_tests.model.closure import Exactly, Logged, Match, allowed, unresolved
from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.model.records import PathObserved
from persistence_tests.model.versions import Version
from tests.unit.oracle_histories import RUN, VOLUME, Play

BLOCK = 4096
CREATE, OVERWRITE, APPEND = OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND
few = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
sizes = st.integers(2, 5 * BLOCK) | st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK])


def payload(identity: int, kind: PayloadKind, size: int) -> Payload:
    return Payload.make(RUN, identity, kind, max(Payload.hole(kind) + size, Payload.minimum(kind)))


class Stage:
    """A step in which `written` was done to the name `a` and `content` is there at the end."""

    def __init__(self) -> None:
        self.play = Play(paths=(VOLUME,), directories=()).opened()
        self.play.begin_step("restart")
        self.play.write("b", 2)
        self.ledger = Ledger()
        self.told = 0

    def write(self, kind: OperationKind, content: Payload, outcome: Outcome, atomic: bool = False) -> None:
        through = Acknowledgement.FSYNC
        spec = content.spec
        self.play.invoke(Operation(spec.operation, kind, "a", "volume", 0, through, atomic, spec), outcome)

    def judge(self, before: bytes | None, after: bytes) -> StepJudgement:
        self.show(before)
        self.play.event()
        self.show(after)
        self.play.end_step()
        return self.play.judgement()

    def show(self, content: bytes | None) -> None:
        for record in self.play.records[self.told :]:
            self.ledger.record(record)
        self.told = len(self.play.records)
        view = self.play.look(VOLUME)
        assert isinstance(view, PathObserved)
        if content is not None:
            view.observations["a"] = self.look_twice(content)
        self.play.add(view)

    def look_twice(self, content: bytes) -> Observation:
        """Only what the ledger does not allow by its digest is attributed."""
        seen = Observation(NodeKind.FILE, len(content), sha256(content).hexdigest(), "0644", "0:0")
        if self.ledger.allows("a", seen, stored=True):
            return seen
        return replace(seen, spans=attribute(content, self.ledger.candidates("a"), RUN))


kinds = st.sampled_from(list(PayloadKind))


@few
@given(kinds, sizes, sizes, st.data())
def test_acknowledged_content_that_was_spoilt_is_named(
    kind: PayloadKind, old_size: int, new_size: int, data: st.DataObject
) -> None:
    old, new, other = (
        payload(901, kind, old_size),
        payload(902, kind, new_size),
        payload(903, kind, BLOCK * 2),
    )
    whole = new.bytes()
    damage = data.draw(st.sampled_from(["none", "cut", "zeros", "stale", "other's", "junk", "torn"]))
    hole = Payload.hole(kind)
    at = data.draw(st.integers(max(1, hole), len(whole) - 1))
    expected: set[Symptom] = set()
    match damage:
        case "cut":
            content, expected = whole[:at], {Symptom.TRUNCATED}
        case "zeros":
            start = at - at % BLOCK
            length = min(BLOCK, len(whole) - start)
            content = whole[:start] + bytes(length) + whole[start + length :]
            expected = {Symptom.ZEROED}
        case "stale":
            content, expected = old.bytes(), {Symptom.STALE}
        case "other's":
            content, expected = other.bytes(), {Symptom.FOREIGN}
        case "junk":
            content = whole[:at] + b"\x07" * 64 + whole[at + 64 :]
            expected = {Symptom.CORRUPTED}
        case "torn":
            cut = (at // BLOCK) * BLOCK
            content = whole[:cut] + old.bytes()[cut:]
            if cut == hole:
                expected = {Symptom.STALE}
            elif len(content) == cut:
                expected = {Symptom.TRUNCATED}
            else:
                # A PNG's end does not depend on who wrote it.
                expected = (
                    {Symptom.TORN} if kind is not PayloadKind.PNG else {Symptom.TORN, Symptom.CORRUPTED}
                )
        case _:
            content = whole
    stage = Stage()
    stage.write(CREATE, old, Outcome.OK)
    stage.write(OVERWRITE, new, Outcome.OK)
    found = {finding.symptom for finding in stage.judge(whole, content).findings}
    assert found <= expected
    assert bool(found) == bool(expected)


@few
@given(kinds, sizes, sizes, st.data())
def test_an_unacknowledged_write_may_leave_any_part_of_itself(
    kind: PayloadKind, old_size: int, new_size: int, data: st.DataObject
) -> None:
    old, new = payload(901, kind, old_size), payload(902, kind, new_size)
    one, two = old.bytes(), new.bytes()
    operation = data.draw(st.sampled_from([OVERWRITE, APPEND]))
    at = data.draw(st.integers(0, len(two)))
    mixed = data.draw(st.booleans())
    if operation is APPEND:
        content = one + two[:at]
    else:
        cut = at - at % BLOCK
        content = two[:cut] + one[cut:] if mixed and len(one) >= cut else two[:at]
    stage = Stage()
    stage.write(CREATE, old, Outcome.OK)
    stage.show(one)
    stage.play.add_event_began()
    stage.write(operation, new, Outcome.INFO)
    stage.play.end_event()
    stage.show(content)
    stage.play.end_step()
    judged = stage.play.judgement()
    assert (judged.verdict, judged.findings) == (Verdict.KEPT, ())


@few
@given(sizes, sizes, st.data())
def test_an_append_never_damages_what_was_acknowledged(
    old_size: int, new_size: int, data: st.DataObject
) -> None:
    old, new = payload(901, PayloadKind.BYTES, old_size), payload(902, PayloadKind.BYTES, new_size)
    one = old.bytes()
    at = data.draw(st.integers(0, len(one) - 1))
    spoilt = bytearray(one + new.bytes())
    spoilt[at] ^= 0xFF
    stage = Stage()
    stage.write(CREATE, old, Outcome.OK)
    stage.show(one)
    stage.play.add_event_began()
    stage.write(APPEND, new, Outcome.INFO)
    stage.play.end_event()
    stage.show(bytes(spoilt))
    stage.play.end_step()
    assert stage.play.judgement().verdict is Verdict.LOST


HOLE = Payload.hole(PayloadKind.SPARSE)


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        (lambda whole: whole, None),
        (lambda whole: bytes(len(whole)), Symptom.ZEROED),
        (lambda whole: whole[:HOLE] + bytes(len(whole) - HOLE), Symptom.ZEROED),
        (lambda whole: whole[: HOLE + BLOCK] + bytes(BLOCK) + whole[HOLE + 2 * BLOCK :], Symptom.ZEROED),
        (lambda whole: whole[: HOLE // 2], Symptom.TRUNCATED),
        (lambda whole: whole[:HOLE], Symptom.TRUNCATED),
        (lambda whole: b"", Symptom.EMPTY),
        (lambda whole: whole[HOLE:], Symptom.CORRUPTED),
        (lambda whole: b"\x07" * HOLE + whole[HOLE:], Symptom.CORRUPTED),
        (lambda whole: whole[:HOLE] + b"\x07" * (len(whole) - HOLE), Symptom.CORRUPTED),
        (lambda whole: whole[:HOLE] + b"\x07" * 64 + whole[HOLE + 64 :], Symptom.CORRUPTED),
    ],
    ids=["kept", "zeros only", "all written", "a block", "in the hole", "after the hole", "empty", "hole left out",
         "hole overwritten", "all damaged", "first bytes damaged"],
)  # fmt: skip
def test_the_hole_of_a_sparse_file_is_never_called_lost_zeros(
    spoilt: Callable[[bytes], bytes], expected: Symptom | None
) -> None:
    sparse = payload(901, PayloadKind.SPARSE, 3 * BLOCK + 5)
    whole = sparse.bytes()
    stage = Stage()
    stage.write(CREATE, sparse, Outcome.OK)
    found = [finding.symptom for finding in stage.judge(whole, spoilt(whole)).findings]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize("before", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1])
@pytest.mark.parametrize("added", [1, 3, 20])
@pytest.mark.parametrize("promised", [False, True])
def test_only_what_was_not_promised_may_leave_its_size_without_its_bytes(
    before: int, added: int, promised: bool
) -> None:
    """After a power loss: of an append the new size can come to the disk, and no byte."""
    old, piece = (
        Payload.make(RUN, 901, PayloadKind.BYTES, before),
        Payload.make(RUN, 902, PayloadKind.BYTES, added),
    )
    content = old.bytes() + bytes(added)
    candidates = [old.spec, piece.spec]
    spans = attribute(content, candidates, RUN)
    seen = Observation(NodeKind.FILE, len(content), sha256(content).hexdigest(), spans=spans)
    append = Operation(902, APPEND, "a", "volume", 0, Acknowledgement.EXIT_0, False, piece.spec)
    outcome = None if promised else Outcome.OK
    states = unresolved(Logged(append, outcome, weak=not promised), Exactly(Version((old.spec,))))
    expected = Match.NO if promised else Match.YES
    assert allowed(states, seen, {spec.operation: spec for spec in candidates}) is expected
