"""Verdicts: what makes a step inconclusive, unavailable, skipped, lost, and never green for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.history import HistoryWriter, read_history
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import Acknowledgement, OperationKind, Outcome
from persistence_tests.model.oracle import Oracle, judge
from persistence_tests.model.records import (
    ControlCheck,
    ControlsChecked,
    Duty,
    EventEnded,
    Invoked,
    PathObserved,
    Phase,
    Record,
    RuleDeclared,
    ScenarioBegan,
    StackReadyAgain,
    StepEnded,
    StepFaulted,
    StepSkipped,
)
from tests.unit.oracle_histories import API, FOUR, INDEX_PAGE, Play
from tests.unit.test_oracle_reference import Choice, batches, shown, up_and_two_steps

ERROR = Observation(NodeKind.ERROR, status=502)


def restarted(play: Play | None = None, gone: tuple[str, ...] = ()) -> Play:
    """A step that is kept, but for the names in `gone` after the event."""
    play = (play or Play()).opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event()
    for name in gone:
        play.disk.pop(name)
    play.observe()
    play.end_step()
    return play


def edited(play: Play, edit: Callable[[Record], Record | None]) -> StepJudgement:
    """Judge the step `restart` of the history with some of its records changed or left out."""
    records = [edit(record) for record in play.records]
    play.records = [record for record in records if record is not None]
    return play.judgement()


def without(kind: type) -> Callable[[Record], Record | None]:
    return lambda record: None if isinstance(record, kind) and getattr(record, "step", "") != "up" else record


def with_fields(kind: type, **fields: Any) -> Callable[[Record], Record | None]:
    def edit(record: Record) -> Record:
        return replace(record, **fields) if isinstance(record, kind) else record

    return edit


def test_a_sound_step_is_kept_with_its_counts() -> None:
    judged = restarted().judged()
    up, restart = judged.steps
    assert judged.verdict is up.verdict is restart.verdict is Verdict.KEPT
    assert restart.reasons == ()
    assert {path: (count.checked, count.ok) for path, count in restart.paths.items()} == {
        path.name: (2, 2) for path in FOUR
    }


FAILED_CONTROL = (
    ControlCheck("tmpfs", Duty.MUST_LOSE, False, "the file is still there"),
    ControlCheck("named volume", Duty.MUST_KEEP, True, ""),
)


@pytest.mark.parametrize("gone", [False, True], ids=["nothing lost", "a file lost"])
@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (with_fields(EventEnded, landed=False, problems=("no container was restarted",)), "did not land"),
        (with_fields(EventEnded, problems=("a volume was recreated",)), "something else as well"),
        (without(EventEnded), "the event did not end"),
        (without(ControlsChecked), "the controls were not checked"),
        (with_fields(ControlsChecked, checks=()), "control was not checked"),
        (with_fields(ControlsChecked, checks=FAILED_CONTROL), "did not behave: the file is still there"),
        (without(StackReadyAgain), "ready again"),
        (without(StepEnded), "the run ended in the middle of this step"),
        (
            lambda r: StepFaulted("restart", "the engine went away") if isinstance(r, StepEnded) else r,
            "engine",
        ),
    ],
)
def test_what_makes_a_step_inconclusive_also_where_something_is_lost(
    edit: Callable[[Record], Record | None], reason: str, gone: bool
) -> None:
    judged = edited(restarted(gone=("a",) if gone else ()), edit)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert any(reason in line for line in judged.reasons)
    assert gone or not judged.findings


@pytest.mark.parametrize(("gone", "verdict"), [((), Verdict.INCONCLUSIVE), (("a",), Verdict.LOST)])
def test_what_nobody_met_shows_nothing_unless_something_is_lost(
    gone: tuple[str, ...], verdict: Verdict
) -> None:
    judged = edited(restarted(gone=gone), with_fields(EventEnded, unmet=("no write met it",)))
    assert judged.verdict is verdict
    assert ("no write met it" in judged.reasons) is not bool(gone)


def test_a_loss_is_listed_though_the_event_did_not_land() -> None:
    judged = edited(restarted(gone=("a",)), with_fields(EventEnded, landed=False))
    assert [finding.symptom for finding in judged.findings] == [Symptom.MISSING]
    assert judged.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("path", [path.name for path in FOUR])
def test_a_pass_that_was_not_made_or_could_not_be_is_inconclusive(phase: Phase, path: str) -> None:
    def mine(record: Record) -> bool:
        return isinstance(record, PathObserved) and (record.step, record.phase, record.path) == (
            "restart",
            phase,
            path,
        )

    assert edited(restarted(), lambda r: None if mine(r) else r).verdict is Verdict.INCONCLUSIVE
    failed = PathObserved("restart", phase, path, "", {}, problem="exec failed")
    judged = edited(restarted(), lambda r: failed if mine(r) else r)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert any("exec failed" in reason for reason in judged.reasons)


def test_a_name_that_a_path_was_not_asked_for_is_not_kept() -> None:
    def forgetful(record: Record) -> Record:
        if isinstance(record, PathObserved) and record.phase is Phase.AFTER and record.path == "api":
            rest = {name: seen for name, seen in record.observations.items() if name != "a"}
            return replace(record, observations=rest)
        return record

    judged = edited(restarted(), forgetful)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reasons == ("api was not asked after the event for a",)


def test_an_oracle_that_raises_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("planted")

    play = restarted()
    monkeypatch.setattr("persistence_tests.model.oracle.judging.judge_step", fail)
    judged = play.judged()
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert [step.verdict for step in judged.steps] == [Verdict.INCONCLUSIVE] * 2
    assert judged.steps[1].reasons == ("the oracle could not judge: ZeroDivisionError: planted",)


def test_a_history_that_makes_no_sense_is_inconclusive() -> None:
    play = restarted()
    play.records = [record for record in play.records if not isinstance(record, Invoked)]
    assert {step.verdict for step in play.judged().steps} == {Verdict.INCONCLUSIVE}
    play.records = [record for record in play.records if not isinstance(record, ScenarioBegan)]
    judged = play.judged()
    assert (judged.verdict, judged.steps) == (Verdict.INCONCLUSIVE, ())
    assert judge([]) == ()


# The stack does not come back


def down(gone_on_volume: bool) -> StepJudgement:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event(ready=False)
    errors = {path: dict.fromkeys(play.names(), ERROR) for path in ("direct", "api", "proxy")}
    if gone_on_volume:
        errors["volume"] = {"a": ABSENT}
    play.observe(errors)
    play.end_step()
    return play.judgement()


def test_a_stack_that_does_not_come_back_is_unavailable_and_its_volume_judged_all_the_same() -> None:
    judged = down(gone_on_volume=False)
    assert (judged.verdict, judged.findings) == (Verdict.UNAVAILABLE, ())
    assert judged.reasons == ("the stack was not ready again after 0.7 s: exit 1",)
    assert judged.paths["volume"].checked == judged.paths["volume"].ok == 2
    judged = down(gone_on_volume=True)
    assert judged.verdict is Verdict.LOST
    assert [(f.symptom, f.paths, f.names) for f in judged.findings] == [
        (Symptom.MISSING, ("volume",), ("a",))
    ]


def test_a_stack_that_was_never_ready_is_inconclusive() -> None:
    play = Play()
    play.begin(ready=False)
    judged = play.judged()
    assert [step.verdict for step in judged.steps] == [Verdict.INCONCLUSIVE] * 2
    assert all("the stack was never ready: no answer on /health" in step.reasons for step in judged.steps)


def test_a_step_after_a_stack_that_was_not_ready_again_from_nothing_is_inconclusive() -> None:
    play = restarted(Play(steps=(("up", "up"), ("restart", "restart"), ("kill", "kill"))))
    play.epoch(2, ready=False)
    judged = play.judged()
    assert [step.verdict for step in judged.steps] == [Verdict.KEPT, Verdict.KEPT, Verdict.INCONCLUSIVE]


# Never green for nothing


def test_a_scenario_whose_every_write_fails_is_never_kept() -> None:
    for outcome in (Outcome.FAIL, Outcome.INFO, None):
        play = Play()
        play.begin()
        for step in ("up", "restart"):
            play.begin_step(step)
            operation = play.operation(OperationKind.CREATE, f"file-of-{step}")
            play.invoke(operation, outcome)
            play.observe()
            if step == "restart":
                play.event()
                play.observe()
            play.end_step()
        assert [step.verdict for step in play.judged().steps] == [Verdict.INCONCLUSIVE] * 2


def test_paths_that_all_show_an_index_page_are_never_kept() -> None:
    play = Play(blind=("api", "proxy"))
    play.begin()
    for step in ("up", "restart"):
        play.begin_step(step)
        play.write(f"file-of-{step}")
        pages = {path: dict.fromkeys(play.names(), INDEX_PAGE) for path in ("api", "proxy")}
        play.observe(pages)
        if step == "restart":
            play.event()
            play.observe(pages)
        play.end_step()
    up, restart = play.judged().steps
    assert up.verdict is Verdict.LOST
    assert [(f.symptom, f.paths) for f in up.findings] == [(Symptom.MASKED, ("api", "proxy"))]
    assert restart.verdict is Verdict.INCONCLUSIVE
    assert "api cannot show that a name is absent" in restart.reasons


def test_each_rule_must_be_seen_before_the_event() -> None:
    def two_rules(record: Record) -> Record:
        if isinstance(record, ScenarioBegan):
            second = RuleDeclared(1, "direct", Acknowledgement.EXIT_0, "direct")
            return replace(record, rules=(*record.rules, second))
        return record

    judged = edited(restarted(), two_rules)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reasons == ("of the writes of rule 1 (direct), none was acknowledged",)


EVERY = tuple(OperationKind(kind) for kind in ("create", "overwrite", "append", "rename", "delete"))


def every_operation(leave_out: OperationKind | None = None, blind: tuple[str, ...] = ()) -> StepJudgement:
    """A rule that asks for every kind of operation, in a step that makes all but one of them."""
    play = Play(blind=blind).opened()
    play.begin_step("restart")
    play.write("created", 2)
    for kind in (OperationKind.OVERWRITE, OperationKind.APPEND, OperationKind.RENAME, OperationKind.DELETE):
        name = f"to-{kind}"
        play.write(name, 2)
        if kind is leave_out:
            continue
        match kind:
            case OperationKind.OVERWRITE:
                play.write(name, 3)
            case OperationKind.APPEND:
                play.append(name)
            case OperationKind.RENAME:
                play.rename(name, "renamed")
            case _:
                play.delete(name)
    play.observe()
    play.event()
    play.observe()
    play.end_step()

    def asking(record: Record) -> Record:
        if isinstance(record, ScenarioBegan):
            return replace(record, rules=(replace(record.rules[0], operations=EVERY),))
        return record

    return edited(play, asking)


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not OperationKind.CREATE])
def test_each_operation_of_a_rule_must_be_seen_before_the_event(kind: OperationKind) -> None:
    assert every_operation().verdict is Verdict.KEPT
    judged = every_operation(leave_out=kind)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reasons == (f"of the {kind} operations of rule 0 (POST /media), none was acknowledged",)


def test_a_delete_is_seen_where_absence_can_be() -> None:
    assert every_operation(blind=("api", "proxy")).verdict is Verdict.KEPT
    play = Play(paths=(API,), blind=("api",), steps=(("up", "up"),))
    play.begin()
    play.begin_step("up")
    play.write("a", 2)
    play.write("b", 2)
    play.delete("b")
    play.observe()
    play.end_step()
    asked = (OperationKind.CREATE, OperationKind.DELETE)
    play.records = [
        replace(r, rules=(replace(r.rules[0], operations=asked),)) if isinstance(r, ScenarioBegan) else r
        for r in play.records
    ]
    judged = play.judgement("up")
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert any("no path can show that a name is absent" in reason for reason in judged.reasons)


def test_what_is_wrong_before_the_event_belongs_to_up_and_is_not_counted_again() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.write("b", 2)
    right = play.disk.pop("a")
    play.observe()
    play.event()
    play.observe()
    play.end_step()
    up, restart = play.judged().steps
    assert [(f.symptom, f.names, f.event) for f in up.findings] == [(Symptom.MISSING, ("a",), "up")]
    assert (up.verdict, restart.verdict) == (Verdict.LOST, Verdict.INCONCLUSIVE)
    assert restart.reasons == (
        "wrong before the event already, a finding of the step up: a",
        "already wrong before, not counted again: a",
    )
    assert restart.paths["volume"].checked == 3
    assert restart.paths["volume"].ok == 2
    assert right


def test_old_names_are_still_checked_and_those_of_an_earlier_epoch_are_forgotten() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event()
    play.disk.pop("admin/first")
    play.observe()
    play.end_step()
    assert [f.names for f in play.judgement().findings] == [("admin/first",)]

    play = restarted(Play(steps=(("up", "up"), ("restart", "restart"), ("kill", "kill"))))
    play.epoch(2)
    play.begin_step("kill")
    play.write("new", 1)
    play.observe()
    play.event()
    play.observe()
    play.end_step()
    assert play.judgement("kill").verdict is Verdict.KEPT


# Steps that were not made


def test_a_skipped_step_says_what_would_enable_it() -> None:
    play = Play().opened()
    play.add(StepSkipped("restart", "restart", "no crash disk here", "run as root"))
    judged = play.judged()
    assert judged.steps[1].verdict is judged.verdict is Verdict.SKIPPED
    assert judged.steps[1].reasons == ("no crash disk here", "run as root")


def test_a_planned_step_that_never_began_is_inconclusive_unless_the_run_ended_complete() -> None:
    play = Play().opened()
    assert play.judgement(complete=False).verdict is Verdict.INCONCLUSIVE
    assert play.judgement(complete=False).reasons == ("not run",)
    assert [step.step for step in play.judged(complete=True).steps] == ["up"]
    play.add(StepFaulted("up", "the engine went away"))
    assert [step.verdict for step in play.judged(complete=True).steps] == [Verdict.INCONCLUSIVE] * 2


@pytest.mark.parametrize("kept", [True, False])
def test_a_history_cut_anywhere_is_never_kept_for_the_step_it_ends_in(kept: bool) -> None:
    whole = restarted(gone=() if kept else ("a",))
    for length in range(1, len(whole.records)):
        play = replace(whole, records=whole.records[:length])
        assert all(step.verdict is Verdict.INCONCLUSIVE for step in play.judged(complete=False).steps[1:])


# Purity


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches, batches, batches, shown)
def test_judging_twice_or_after_a_round_trip_through_the_file_says_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    opening: list[Choice],
    later: list[Choice],
    during: list[Choice],
    shows: list[int],
) -> None:
    play = up_and_two_steps(opening, later, during, shows).play
    play.disk = dict(list(play.disk.items())[::2])
    play.observe()
    play.end_step()
    entries = play.entries()
    first = judge(entries)
    assert judge(iter(entries)) == first
    oracle = Oracle()
    for entry in entries:
        oracle.follow(entry)
        if isinstance(entry.record, StepEnded):
            oracle.judgements()  # asked while the history grows
    assert oracle.judgements() == first
    assert oracle.step("s", "restart") == first[0].steps[1]
    path = Path(tmp_path_factory.mktemp("history")) / "history.jsonl"
    with HistoryWriter(path) as writer:
        for entry in entries:
            writer.append(entry.scenario, entry.record)
    assert judge(read_history(path)) == first


# Fates
