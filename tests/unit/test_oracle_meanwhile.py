"""What may be there after an event under which writers went on, and what readers may have been answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import OperationKind, Outcome, PromiseClass
from persistence_tests.model.records import (
    Checkpointed,
    Completed,
    DataFate,
    Invoked,
    ReadMeanwhile,
    StepBegan,
)
from tests.unit.oracle_histories import INDEX_PAGE, JUNK, Content, Play

NAME = "admin/meanwhile"
WRITING: dict[str, Any] = {"while": "writing"}
WHOLE = ((2, 0), (2, 1), (2, 2))

Write = Callable[[Play], None]


def acknowledged(play: Play) -> None:
    play.write(NAME, 3)


def acknowledged_in_parts(play: Play) -> None:
    play.write(NAME, 3, atomic=False)


def unanswered(play: Play) -> None:
    play.write(NAME, 3, Outcome.INFO)


def played(fate: DataFate, before: Write | None, copied: Write | None, restored: Write | None) -> Play:
    """One step in which a name is written before the event, during the backup, or after it."""
    play = Play(directories=()).opened()
    play.begin_step("restart", fate=fate, **WRITING)
    if before:
        before(play)
    play.add_event_began()
    if copied:
        copied(play)
    if fate is DataFate.RESTORED:
        play.add(Checkpointed("restart"))
    if restored:
        restored(play)
    play.end_event()
    return play


def judged(play: Play, there: dict[str, Content]) -> StepJudgement:
    play.disk = dict(there)
    play.observe()
    play.end_step()
    return play.judgement()


def first(play: Play) -> dict[str, Content]:
    """What every event but a destroying one must leave."""
    return {"admin/first": play.disk["admin/first"]}


def symptoms(judgement: StepJudgement) -> set[Symptom]:
    assert (judgement.verdict is Verdict.LOST) is bool(judgement.findings)
    return {finding.symptom for finding in judgement.findings}


@pytest.mark.parametrize("write", [acknowledged, acknowledged_in_parts, unanswered])
@pytest.mark.parametrize("there", [None, WHOLE])
def test_a_write_that_a_destroying_event_met_may_be_gone_or_there(
    write: Write, there: Content | None
) -> None:
    play = played(DataFate.DESTROYED, None, write, None)
    assert symptoms(judged(play, {NAME: there} if there else {})) == set()


def test_what_a_destroying_event_met_must_not_be_anything_else() -> None:
    for content in (WHOLE[:1], (JUNK, *WHOLE[1:])):
        assert symptoms(judged(played(DataFate.DESTROYED, None, acknowledged, None), {NAME: content}))


def test_what_was_acknowledged_before_a_destroying_event_must_be_gone() -> None:
    play = played(DataFate.DESTROYED, acknowledged, None, None)
    assert symptoms(judged(play, {NAME: play.disk[NAME]})) == {Symptom.RESURRECTED}


def test_an_append_that_a_destroying_event_met_may_begin_the_file_anew() -> None:
    allowed = {(), ((1, 0), (1, 1)), ((2, 0),), ((3, 0),), ((2, 0), (3, 0))}
    for content in [*allowed, ((1, 0), (1, 1), (2, 0)), ((3, 0), (2, 0))]:
        play = Play(directories=()).opened()
        play.begin_step("restart", fate=DataFate.DESTROYED, **WRITING)
        play.add_event_began()
        play.append("admin/first")
        play.append("admin/first")
        play.end_event()
        found = symptoms(judged(play, {"admin/first": content} if content else {}))
        assert bool(found) is (content not in allowed - {((1, 0), (1, 1)), ((2, 0),)}), content


@pytest.mark.parametrize("place", ["copied", "restored"])
@pytest.mark.parametrize("write", [acknowledged, acknowledged_in_parts, unanswered])
@pytest.mark.parametrize("there", [None, WHOLE])
def test_a_write_that_a_restoring_event_met_may_be_gone_or_there(
    place: str, write: Write, there: Content | None
) -> None:
    written = {"copied": None, "restored": None, place: write}
    play = played(DataFate.RESTORED, None, written["copied"], written["restored"])
    assert symptoms(judged(play, first(play) | ({NAME: there} if there else {}))) == set()


def test_a_backup_may_hold_a_part_of_what_was_written_in_parts_meanwhile() -> None:
    play = played(DataFate.RESTORED, None, acknowledged_in_parts, None)
    assert symptoms(judged(play, first(play) | {NAME: WHOLE[:1]})) == set()
    play = played(DataFate.RESTORED, None, acknowledged, None)
    assert symptoms(judged(play, first(play) | {NAME: WHOLE[:1]})) == {Symptom.TRUNCATED}


def test_bytes_of_nobody_are_found_whenever_the_name_was_written() -> None:
    for write in (acknowledged, acknowledged_in_parts, unanswered):
        play = played(DataFate.RESTORED, None, write, None)
        assert symptoms(judged(play, first(play) | {NAME: (JUNK, *WHOLE[1:])})) == {
            Symptom.CORRUPTED,
            Symptom.MASKED,
        }


def test_a_write_in_flight_as_the_event_began_is_met_by_it() -> None:
    for there in (None, WHOLE):
        play = Play(directories=()).opened()
        play.begin_step("restart", fate=DataFate.RESTORED, **WRITING)
        operation = play.operation(OperationKind.CREATE, NAME, 3)
        play.add(Invoked(operation))
        play.add_event_began()
        play.add(Completed(operation.identity, Outcome.OK), Checkpointed("restart"))
        play.end_event()
        assert symptoms(judged(play, first(play) | ({NAME: there} if there else {}))) == set()


def test_what_was_acknowledged_before_a_restoring_event_must_be_there_as_it_was() -> None:
    for there, symptom in ((None, Symptom.MISSING), (WHOLE[:1], Symptom.TRUNCATED)):
        play = played(DataFate.RESTORED, acknowledged_in_parts, None, None)
        assert symptoms(judged(play, first(play) | ({NAME: there} if there else {}))) == {symptom}


def test_a_temporary_file_that_the_backup_caught_is_residue() -> None:
    play = played(DataFate.RESTORED, None, acknowledged, None)
    judgement = judged(play, first(play) | {NAME: WHOLE, "admin/.upload-2": WHOLE[:2]})
    assert symptoms(judgement) == set()
    assert "residue of unacknowledged writes, no finding: admin/.upload-2" in judgement.reasons
    play = played(DataFate.KEPT, None, acknowledged, None)
    judgement = judged(play, first(play) | {NAME: WHOLE, "admin/.upload-2": WHOLE[:2]})
    assert symptoms(judgement) == {Symptom.UNEXPECTED}


@pytest.mark.parametrize("there", [ABSENT, None])
def test_what_was_acknowledged_while_any_other_event_was_applied_must_be_there(there: object) -> None:
    play = played(DataFate.KEPT, None, acknowledged, None)
    content = first(play) | ({} if there else {NAME: WHOLE})
    assert symptoms(judged(play, content)) == ({Symptom.MISSING} if there else set())


def test_writes_that_nothing_overtook_are_acknowledged_still() -> None:
    """Only what an event met, that took the files away or put them back, is nobody's to know."""
    play = played(DataFate.RESTORED, None, acknowledged, None)
    play.disk = first(play)
    play.observe()
    play.end_step()
    play.begin_step("second")
    play.write("admin/later", 2)
    play.observe()
    play.event()
    play.disk.pop("admin/later")
    play.observe()
    play.end_step()
    judgement = play.judgement("second")
    assert symptoms(judgement) == {Symptom.MISSING}
    assert {name for finding in judgement.findings for name in finding.names} == {"admin/later"}


def test_the_same_operations_without_writers_that_go_on_are_certain() -> None:
    play = played(DataFate.DESTROYED, None, acknowledged, None)
    play.records = [replace(r, options={}) if isinstance(r, StepBegan) else r for r in play.records]
    assert symptoms(judged(play, {NAME: WHOLE})) == {Symptom.RESURRECTED}


OPERATIONS = (OperationKind.OVERWRITE, OperationKind.APPEND, OperationKind.DELETE)


def done(kind: OperationKind, content: Content, new: Content) -> Content:
    """What a server makes of a file; no content means that there is none."""
    return {OperationKind.APPEND: content + new, OperationKind.DELETE: ()}.get(kind, new)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), fate=st.sampled_from([DataFate.DESTROYED, DataFate.RESTORED]), existed=st.booleans())
def test_whenever_the_files_went_or_came_back_what_is_left_is_right(
    data: st.DataObject, fate: DataFate, existed: bool
) -> None:
    """Operations, acknowledged or not, at any places among which the event copies the files and puts the copy back."""
    play = Play(directories=()).opened()
    play.begin_step("restart", fate=fate, **WRITING)
    if existed:
        play.write(NAME, 2)
        play.observe()
    there: Content = play.disk.get(NAME, ())
    play.add_event_began()
    kinds = data.draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4))
    copied_at = data.draw(st.integers(0, len(kinds)))
    replaced_at = data.draw(st.integers(copied_at, len(kinds)))
    copy: Content = ()
    for place, kind in enumerate([*kinds, None]):
        if place == copied_at and fate is DataFate.RESTORED:
            copy = there
            play.add(Checkpointed("restart"))
        if place == replaced_at:
            there = copy
        if kind is not None:
            operation = play.operation(kind, NAME)
            outcome = data.draw(st.sampled_from([Outcome.OK, Outcome.INFO]))
            play.invoke(operation, outcome)
            if outcome is Outcome.OK or data.draw(st.booleans()):
                there = done(kind, there, play.tiles(operation.identity))
    play.end_event()
    kept = {} if fate is DataFate.DESTROYED else first(play)
    assert symptoms(judged(play, kept | ({NAME: there} if there else {}))) == set()


# Reads


READING: dict[str, Any] = {"while": "reading"}
FIRST = "admin/first"


def read(
    others: dict[str, Observation],
    *,
    path: str = "proxy",
    fate: DataFate = DataFate.KEPT,
    promise: PromiseClass = PromiseClass.PROCESS_CRASH,
    blind: tuple[str, ...] = (),
    before: Callable[[Play], object] | None = None,
    unseen: Callable[[Play], object] | None = None,
) -> StepJudgement:
    """A step through which everything is kept, but these answers were given meanwhile."""
    play = Play(directories=(), blind=blind).opened()
    if before:
        before(play)
    play.begin_step("restart", promise=promise, fate=fate, **READING)
    play.write("admin/second", 2)
    play.observe()
    if unseen:
        unseen(play)
    play.add_event_began()
    if fate is DataFate.RESTORED:
        play.add(Checkpointed("restart"))
    play.add(ReadMeanwhile("restart", path, right=20, absent=3, failed=4, others=others))
    play.end_event()
    if fate is DataFate.DESTROYED:
        play.disk = {}
    play.observe()
    play.end_step()
    return play.judgement()


def test_reads_that_were_cut_off_or_said_that_there_is_no_file_are_no_finding() -> None:
    judgement = read({})
    assert judgement.verdict is Verdict.KEPT
    assert judgement.reasons == ()


def test_reads_that_nobody_noted_are_inconclusive() -> None:
    play = Play(directories=()).opened()
    play.begin_step("restart", **READING)
    play.write("admin/second", 2)
    play.observe()
    play.add_event_began()
    play.end_event()
    play.observe()
    play.end_step()
    judgement = play.judgement()
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.reasons == ("nobody noted what was read while the event was applied",)


def test_a_whole_answer_of_success_with_other_bytes_is_masked() -> None:
    judgement = read({FIRST: INDEX_PAGE})
    assert judgement.verdict is Verdict.LOST
    [finding] = judgement.findings
    assert (finding.symptom, finding.paths, finding.names) == (Symptom.MASKED, ("proxy",), (FIRST,))
    [line] = finding.evidence
    assert line.startswith(f"{FIRST}: acknowledged (http-2xx, 128 bytes")
    assert line.endswith("on proxy while the event was applied")


@pytest.mark.parametrize("fate", [DataFate.DESTROYED, DataFate.RESTORED])
def test_while_files_are_taken_away_or_put_back_they_may_be_anything(fate: DataFate) -> None:
    assert read({FIRST: INDEX_PAGE}, fate=fate).verdict is Verdict.KEPT


def test_what_a_power_loss_leaves_is_looked_at_afterwards_only() -> None:
    assert read({FIRST: INDEX_PAGE}, promise=PromiseClass.POWER_LOSS).findings == ()


def test_a_path_that_answers_everything_with_2xx_says_so_that_there_is_no_file() -> None:
    assert read({FIRST: INDEX_PAGE}, blind=("proxy",)).findings == ()


def test_an_older_version_is_the_runs_own_on_a_blind_path_too() -> None:
    def overwritten(play: Play) -> None:
        play.write(FIRST, 3)

    def judged_on(blind: tuple[str, ...]) -> set[Symptom]:
        seen = {FIRST: Play().opened().content(((1, 0), (1, 1)), stored=False)}
        return symptoms(read(seen, blind=blind, before=overwritten))

    assert judged_on(()) == judged_on(("proxy",)) == {Symptom.MASKED}


def test_stored_paths_are_judged_by_what_they_show_afterwards() -> None:
    junk = Observation(NodeKind.FILE, 4, "junk")
    assert read({FIRST: junk}, path="direct").findings == ()


def test_what_need_not_be_there_or_may_be_more_than_one_thing_is_not_judged() -> None:
    def unanswered_overwrite(play: Play) -> None:
        play.write(FIRST, 3, Outcome.INFO)

    assert read({FIRST: INDEX_PAGE}, unseen=unanswered_overwrite).findings == ()
    assert read({"admin/never": INDEX_PAGE}).findings == ()


def test_the_right_bytes_are_right_whoever_took_them_for_others() -> None:
    right = Play().opened().content(((1, 0), (1, 1)), stored=False)
    assert read({FIRST: right}).findings == ()


def test_what_was_masked_meanwhile_and_is_missing_afterwards_is_both() -> None:
    play = Play(directories=()).opened()
    play.begin_step("restart", **READING)
    play.write("admin/second", 2)
    play.observe()
    play.add_event_began()
    play.add(ReadMeanwhile("restart", "proxy", 20, 0, 0, {FIRST: INDEX_PAGE}))
    play.end_event()
    play.disk.pop(FIRST)
    play.observe()
    play.end_step()
    assert symptoms(play.judgement()) == {Symptom.MASKED, Symptom.MISSING}
