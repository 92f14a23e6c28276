"""What may be there after an event that took the files away or put them back, while writers went on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.observation import ABSENT
from persistence_tests.model.operation import OperationKind, Outcome
from persistence_tests.model.records import Checkpointed, Completed, DataFate, Invoked, StepBegan
from tests.unit.oracle_histories import JUNK, Content, Play

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
