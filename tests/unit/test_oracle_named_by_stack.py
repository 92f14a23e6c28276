"""Files that the stack names itself, and files of which it keeps what it makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.codec import decode, encode
from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.observation import ABSENT, NodeKind, Observation, Span, SpanSource
from persistence_tests.model.operation import Operation, OperationKind, Outcome
from persistence_tests.model.records import Completed, DataFate, Invoked
from tests.unit.oracle_histories import JUNK, Content, Play

STORED = ("volume", "direct")
SERVED = ("api", "proxy")
ALL = (*STORED, *SERVED)


def made(content: bytes, stored: bool = True, flaw: str | None = None) -> Observation:
    """What a server made of something: bytes that bear no stamp."""
    whole = (Span(0, len(content), SpanSource.UNKNOWN),) if content else ()
    digest = sha256(content).hexdigest()
    status = None if stored else 200
    return Observation(NodeKind.FILE, len(content), digest, status=status, spans=whole, flaw=flaw)


def everywhere(name: str, content: bytes, flaw: str | None = None) -> dict[str, dict[str, Observation]]:
    return {path: {name: made(content, path in STORED, flaw)} for path in ALL}


class Stack(Play):
    """`sent(…)` is a write that the stack names, or re-encodes, or both; `made` is what it made, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, bytes] = {}

    def observe(self, changed: Mapping[str, Mapping[str, Observation]] | None = None) -> None:
        seen: dict[str, dict[str, Observation]] = {path: {} for path in ALL}
        for name, content in self.made.items():
            for path, observed in everywhere(name, content).items():
                seen[path] |= observed
        super().observe({path: seen[path] | dict((changed or {}).get(path, {})) for path in ALL})

    def sent(
        self,
        name: str | None,
        outcome: Outcome | None = Outcome.OK,
        tiles: int = 2,
        as_stored: bool = False,
        keeps: bool = True,
    ) -> Operation:
        operation = self.operation(OperationKind.CREATE, f"sent-as-{self.identity}", tiles)
        operation = replace(operation, provisional=True, as_stored=as_stored)
        self.add(Invoked(operation))
        if outcome is not None:
            detail = "" if name else "its name is not known"
            self.add(Completed(operation.identity, outcome, detail, 201, name))
        if name is not None and keeps:
            self.disk[name] = self.tiles(operation.identity)
        return operation

    def names(self) -> list[str]:
        learnt = {r.name for r in self.records if isinstance(r, Completed) and r.name}
        certain = {
            r.operation.name for r in self.records if isinstance(r, Invoked) and not r.operation.provisional
        }
        return sorted(learnt | certain)


def opened(*names: str, as_stored: bool = False) -> Stack:
    stack = Stack()
    stack.begin()
    stack.begin_step("up")
    for name in names:
        stack.sent(name, as_stored=as_stored)
    return stack


def restarted(stack: Stack, changed: dict[str, dict[str, Observation]] | None = None) -> StepJudgement:
    """`changed` is what is seen after the event, where it is other than what the disk holds."""
    stack.begin_step("restart")
    stack.write("admin/another")
    stack.observe()
    stack.event()
    stack.observe(changed)
    stack.end_step()
    return stack.judgement()


def findings(judgement: StepJudgement) -> list[tuple[Symptom, tuple[str, ...], tuple[str, ...]]]:
    return [(f.symptom, f.names, f.paths) for f in judgement.findings]


def test_the_learnt_name_is_the_one_that_must_stay() -> None:
    stack = opened("uploads/7f3a.png")
    stack.observe()
    stack.end_step()
    assert stack.judgement("up").verdict is Verdict.KEPT
    assert restarted(stack).verdict is Verdict.KEPT

    stack = opened("uploads/7f3a.png")
    stack.observe()
    stack.end_step()
    del stack.disk["uploads/7f3a.png"]
    gone = {path: {"uploads/7f3a.png": ABSENT} for path in ALL}
    stack.begin_step("restart")
    stack.write("admin/another")
    stack.event()
    stack.observe(gone)
    stack.end_step()
    assert findings(stack.judgement()) == [(Symptom.MISSING, ("uploads/7f3a.png",), ALL)]


@pytest.mark.parametrize("outcome", [Outcome.INFO, None])
def test_a_file_whose_name_was_never_learnt_is_residue(outcome: Outcome | None) -> None:
    stack = opened("uploads/a")
    operation = stack.sent(None, outcome)
    stack.disk["uploads/whatever"] = stack.tiles(operation.identity)
    stack.observe()
    stack.end_step()
    judgement = stack.judgement("up")
    assert judgement.verdict is Verdict.KEPT
    assert "residue of unacknowledged writes, no finding: uploads/whatever" in judgement.reasons


def test_a_stranger_stays_one_beside_an_upload_whose_name_was_never_learnt() -> None:
    stack = opened("uploads/a")
    stack.sent(None, Outcome.INFO)
    stack.disk["uploads/whatever"] = (JUNK,)
    stack.observe()
    stack.end_step()
    assert findings(stack.judgement("up")) == [(Symptom.UNEXPECTED, ("uploads/whatever",), STORED)]


@pytest.mark.parametrize("there", [True, False])
def test_a_name_in_an_answer_that_acknowledges_nothing_allows_both(there: bool) -> None:
    stack = opened("uploads/a")
    stack.sent("uploads/b", Outcome.INFO, keeps=there)
    stack.observe()
    stack.end_step()
    assert stack.judgement("up").verdict is Verdict.KEPT


def test_a_rule_of_which_no_name_was_learnt_is_never_kept() -> None:
    stack = Stack()
    stack.begin()
    stack.begin_step("up")
    stack.sent(None, Outcome.INFO)
    stack.observe()
    stack.end_step()
    judgement = stack.judgement("up")
    assert judgement.verdict is Verdict.INCONCLUSIVE
    said = "none was acknowledged; the last answer: 201 its name is not known"
    assert any(reason.endswith(said) for reason in judgement.reasons)


def test_the_same_name_for_two_files_is_a_loss_whatever_is_there() -> None:
    for kept in (0, 1):
        stack = opened()
        operations = [stack.sent("uploads/1700000000.png"), stack.sent("uploads/1700000000.png")]
        stack.disk["uploads/1700000000.png"] = stack.tiles(operations[kept].identity)
        stack.observe()
        stack.end_step()
        judgement = stack.judgement("up")
        assert judgement.verdict is Verdict.LOST
        assert (Symptom.FOREIGN, ("uploads/1700000000.png",), ALL) in findings(judgement)


def test_the_same_name_for_the_same_content_is_right() -> None:
    stack = opened()
    empty: Content = ()
    for _ in range(2):
        stack.sent("uploads/e3b0c442", tiles=0)
    stack.disk["uploads/e3b0c442"] = empty
    stack.sent("uploads/a")
    stack.observe()
    stack.end_step()
    assert stack.judgement("up").verdict is Verdict.KEPT


def test_a_name_given_again_after_all_was_destroyed_is_no_other_file() -> None:
    stack = opened("uploads/1")
    stack.observe()
    stack.end_step()
    stack.begin_step("restart", fate=DataFate.DESTROYED)
    stack.sent("uploads/2")
    stack.observe()
    stack.event()
    stack.disk.clear()
    stack.sent("uploads/1")
    stack.observe()
    stack.end_step()
    assert findings(stack.judgement()) == []


class Fate(Enum):
    STAYS = auto()
    GOES = auto()
    IS_CUT = auto()
    IS_ANOTHERS = auto()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(Fate)), min_size=1, max_size=6))
def test_once_a_name_is_learnt_it_is_judged_as_if_it_had_been_known(files: list[tuple[int, Fate]]) -> None:
    judgements = []
    for named_by_stack in (True, False):
        stack = opened()
        for number, (tiles, _) in enumerate(files):
            if named_by_stack:
                stack.sent(f"uploads/{number}", tiles=tiles)
            else:
                stack.write(f"uploads/{number}", tiles)
        stack.observe()
        stack.end_step()
        stack.begin_step("restart")
        stack.write("admin/another")
        stack.observe()
        stack.event()
        whole = dict(stack.disk)
        for number, (_, fate) in enumerate(files):
            match fate:
                case Fate.GOES:
                    del stack.disk[f"uploads/{number}"]
                case Fate.IS_CUT:
                    stack.disk[f"uploads/{number}"] = whole[f"uploads/{number}"][:-1]
                case Fate.IS_ANOTHERS:
                    stack.disk[f"uploads/{number}"] = whole["admin/another"]
                case _:
                    pass
        stack.observe()
        stack.end_step()
        judgements.append(stack.judged())
    assert judgements[0] == judgements[1]
    wrong = any(fate is not Fate.STAYS for _, fate in files)
    assert (judgements[0].verdict is Verdict.LOST) == wrong


# What the server makes of a file


def reencoded(name: str = "uploads/a.webp") -> Stack:
    stack = opened(name, as_stored=True)
    stack.made[name] = b"made of it"
    stack.observe()
    stack.end_step()
    return stack


def test_the_first_read_is_what_must_be_kept() -> None:
    stack = reencoded()
    assert stack.judgement("up").verdict is Verdict.KEPT
    assert restarted(stack).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("later", "symptom"),
    [(b"made anew", Symptom.CORRUPTED), (b"", Symptom.EMPTY), (None, Symptom.MISSING)],
)
def test_anything_else_later_is_a_loss(later: bytes | None, symptom: Symptom) -> None:
    stack = reencoded()
    seen = everywhere("uploads/a.webp", later or b"")
    if later is None:
        seen = {path: {"uploads/a.webp": ABSENT} for path in ALL}
    judgement = restarted(stack, seen)
    assert judgement.verdict is Verdict.LOST
    assert any(f.symptom is symptom and set(STORED) <= set(f.paths) for f in judgement.findings)


@pytest.mark.parametrize(
    ("seen", "symptom"),
    [
        (made(b""), Symptom.EMPTY),
        (ABSENT, Symptom.MISSING),
        (made(b"half of", flaw="a PNG that is not whole"), Symptom.CORRUPTED),
    ],
)
def test_what_is_wrong_at_the_first_read_is_a_finding_of_the_step_before_the_event(
    seen: Observation, symptom: Symptom
) -> None:
    stack = opened("uploads/a.png", as_stored=True)
    stack.observe({path: {"uploads/a.png": seen} for path in ALL})
    stack.end_step()
    judgement = stack.judgement("up")
    assert judgement.verdict is Verdict.LOST
    assert judgement.findings[0].symptom is symptom
    if seen.flaw:
        assert seen.flaw in judgement.findings[0].evidence[0]


def test_the_beginning_of_what_was_sent_is_truncated() -> None:
    stack = opened("uploads/a.png", as_stored=True)
    begun = replace(stack.content(stack.disk["uploads/a.png"][:1]), flaw="a PNG that is not whole")
    stack.observe({path: {"uploads/a.png": begun} for path in ALL})
    stack.end_step()
    assert findings(stack.judgement("up")) == [(Symptom.TRUNCATED, ("uploads/a.png",), ALL)]


def test_every_path_must_show_what_was_first_read() -> None:
    stack = opened("uploads/a.webp", as_stored=True)
    other = made(b"an older thumbnail", stored=False)
    stack.observe(everywhere("uploads/a.webp", b"made of it") | {"proxy": {"uploads/a.webp": other}})
    stack.end_step()
    assert findings(stack.judgement("up")) == [(Symptom.MASKED, ("uploads/a.webp",), ("proxy",))]


def test_what_was_made_of_another_file_is_foreign() -> None:
    stack = opened("uploads/a", "uploads/b", as_stored=True)
    stack.made |= {"uploads/a": b"made of a", "uploads/b": b"made of b"}
    stack.observe()
    stack.end_step()
    judgement = restarted(stack, everywhere("uploads/a", b"made of b"))
    assert (Symptom.FOREIGN, ("uploads/a",), ALL) in findings(judgement)


def test_an_unacknowledged_one_may_be_anything_whole_or_not_there() -> None:
    for seen in (ABSENT, made(b"made of it")):
        stack = opened("uploads/z")
        stack.sent("uploads/a", Outcome.INFO, as_stored=True)
        stack.observe({path: {"uploads/a": seen} for path in ALL})
        stack.end_step()
        assert stack.judgement("up").verdict is Verdict.KEPT
    stack = opened("uploads/z")
    stack.sent("uploads/a", Outcome.INFO, as_stored=True)
    stack.observe({path: {"uploads/a": made(b"half", flaw="no image")} for path in ALL})
    stack.end_step()
    assert stack.judgement("up").verdict is Verdict.LOST


def test_a_refused_upload_excuses_no_stranger() -> None:
    stack = opened("uploads/a")
    stack.sent(None, Outcome.FAIL, as_stored=True)
    stack.observe({path: {"uploads/strange.webp": made(b"made of it")} for path in STORED})
    stack.end_step()
    assert findings(stack.judgement("up")) == [(Symptom.UNEXPECTED, ("uploads/strange.webp",), STORED)]


def test_what_a_server_may_have_made_of_an_upload_without_a_name_is_residue() -> None:
    stack = opened("uploads/a")
    stack.sent(None, Outcome.INFO, as_stored=True)
    stack.observe({path: {"uploads/strange.webp": made(b"made of it")} for path in STORED})
    stack.end_step()
    assert stack.judgement("up").verdict is Verdict.KEPT


def test_old_histories_stay_readable_and_new_fields_go_round() -> None:
    old = Completed(1, Outcome.OK, "", 201)
    assert encode(old) == {"operation": 1, "outcome": "ok", "status": 201}
    new = replace(old, name="uploads/a")
    assert decode("Completed", encode(new)) == new
    plain = Invoked(Stack().operation(OperationKind.CREATE, "a"))
    assert not {"provisional", "as_stored"} & encode(plain)["operation"].keys()
    sent = Invoked(replace(plain.operation, provisional=True, as_stored=True))
    assert decode("Invoked", encode(sent)) == sent
