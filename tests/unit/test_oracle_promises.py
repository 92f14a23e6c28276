"""Verdicts: what was promised, under a power loss or the crash of a process, and what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from persistence_tests.model.finding import StepJudgement, Verdict
from persistence_tests.model.operation import Acknowledgement, Outcome, PromiseClass
from tests.unit.oracle_histories import Play
from tests.unit.test_oracle_verdict import restarted


def after_power_loss(promised: tuple[PromiseClass, ...], level: Acknowledgement) -> StepJudgement:
    play = Play(promised=promised).opened()
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    play.write("a", 2, acknowledgement=level)
    play.write("kept", 2, acknowledgement=Acknowledgement.FSYNC)
    play.observe()
    play.event()
    play.disk.pop("a")
    play.observe()
    play.end_step()
    return play.judgement()


def test_what_is_not_promised_under_power_loss_is_not_judged() -> None:
    both = tuple(PromiseClass)
    assert after_power_loss(both, Acknowledgement.EXIT_0).verdict is Verdict.KEPT
    assert after_power_loss(both, Acknowledgement.FSYNC).verdict is Verdict.LOST
    assert after_power_loss(both, Acknowledgement.HTTP_2XX).verdict is Verdict.LOST
    nothing = after_power_loss((PromiseClass.PROCESS_CRASH,), Acknowledgement.FSYNC)
    assert nothing.verdict is Verdict.INCONCLUSIVE
    assert "no name was checked on volume after the event" in nothing.reasons
    assert "the scenario promises nothing for a power-loss" in nothing.reasons


def test_a_power_loss_that_could_lose_nothing_promised_is_inconclusive() -> None:
    for level, verdict in (
        (Acknowledgement.EXIT_0, Verdict.INCONCLUSIVE),
        (Acknowledgement.FSYNC, Verdict.KEPT),
    ):
        play = Play().opened(names=())
        play.begin_step("restart", PromiseClass.POWER_LOSS)
        play.write("a", 2, acknowledgement=level)
        play.observe()
        play.event()
        play.observe()
        play.end_step()
        judged = play.judgement()
        assert judged.verdict is verdict, judged.reasons
        said = any("acknowledged at a level that promises anything" in reason for reason in judged.reasons)
        assert said is (level is Acknowledgement.EXIT_0)


@pytest.mark.parametrize("cuts", [True, False])
def test_what_is_answered_after_a_cut_began_counts_as_never_answered(cuts: bool) -> None:
    play = Play().opened()
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    play.write("kept", 2)
    play.observe()
    play.add_event_began(cuts)
    play.write("a", 2)
    play.disk.pop("a")
    play.end_event()
    play.observe()
    play.end_step()
    assert play.judgement().verdict is (Verdict.KEPT if cuts else Verdict.LOST)


def test_an_unacknowledged_write_once_seen_must_stay_in_a_process_crash() -> None:
    for seen_before, verdict in ((True, Verdict.LOST), (False, Verdict.KEPT)):
        play = Play().opened()
        play.begin_step("restart")
        play.write("a", 2)
        play.write("maybe", 2, Outcome.INFO)
        if not seen_before:
            play.disk.pop("maybe")
        play.observe()
        play.event()
        play.disk.pop("maybe", None)
        play.observe()
        play.end_step()
        assert play.judgement().verdict is verdict


def test_a_promised_write_makes_good_what_came_before_it_on_the_name() -> None:
    play = Play().opened()
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    play.write("b", 1)
    play.write("a", 1, acknowledgement=Acknowledgement.EXIT_0)
    play.append("a", 1, acknowledgement=Acknowledgement.FSYNC)
    play.observe()
    play.event()
    play.disk["a"] = play.disk["a"][1:]
    play.observe()
    play.end_step()
    assert [f.names for f in play.judgement().findings] == [("a",)]


@pytest.mark.parametrize("by", [Acknowledgement.EXIT_0, Acknowledgement.FSYNC])
@pytest.mark.parametrize("written", [Acknowledgement.EXIT_0, Acknowledgement.FSYNC])
@pytest.mark.parametrize("left", ["empty", "absent", "whole", "others"])
def test_a_name_that_content_was_moved_to_promises_no_more_than_the_content(
    written: Acknowledgement, by: Acknowledgement, left: str
) -> None:
    play = Play().opened()
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    play.write("b", 1, acknowledgement=Acknowledgement.FSYNC)
    play.write("a", 2, acknowledgement=written)
    play.rename("a", "to", acknowledgement=by)
    play.observe()
    play.event()
    whole = play.disk.pop("to")
    if left != "absent":
        play.disk["to"] = {"empty": (), "whole": whole, "others": play.disk["b"]}[left]
    play.observe()
    play.end_step()
    right = {
        "empty": written is Acknowledgement.EXIT_0,  # the name may be older than the bytes
        "absent": False,  # neither the old name nor the new one: a rename is never that
        "whole": True,
        "others": False,
    }
    if left == "absent" and by is written is Acknowledgement.EXIT_0:
        right["absent"] = True  # the file itself may never have been on the disk
    assert (play.judgement().verdict is Verdict.KEPT) is right[left], play.judgement()


def test_a_file_written_during_the_event_may_have_another_mode() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("b", 1)
    play.write("a", 2)
    play.observe()
    play.add_event_began()
    play.write("a", 2, Outcome.INFO)
    play.end_event()
    other = replace(play.content(play.disk["a"]), mode="0600")
    play.observe({path: {"a": other} for path in ("volume", "direct")})
    play.end_step()
    assert play.judgement().verdict is Verdict.KEPT


def test_what_was_wrong_in_an_earlier_epoch_counts_again() -> None:
    play = restarted(Play(steps=(("up", "up"), ("restart", "restart"), ("kill", "kill"))), gone=("a",))
    play.epoch(2)
    play.begin_step("kill")
    play.write("a", 2)
    play.write("b", 2)
    play.observe()
    play.event()
    play.disk.pop("a")
    play.observe()
    play.end_step()
    assert [f.names for f in play.judgement("kill").findings] == [("a",)]
