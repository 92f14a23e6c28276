"""Verdicts: what must be gone, back, or as it was, after events that promise something else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import OperationKind, Outcome
from persistence_tests.model.oracle.listing import ignored
from persistence_tests.model.records import (
    Completed,
    ControlCheck,
    ControlsChecked,
    DataFate,
    Duty,
    PathObserved,
    Phase,
)
from tests.unit.oracle_histories import FOUR, INDEX_PAGE, Play
from tests.unit.test_oracle_verdict import ERROR


def destroyed(back: bool = False, directories: bool = True, blind: tuple[str, ...] = ()) -> StepJudgement:
    play = Play(blind=blind).opened()
    play.begin_step("restart", fate=DataFate.DESTROYED)
    play.write("a", 2)
    play.observe()
    play.event()
    kept = {} if back else {"a": play.disk["a"]}
    play.disk = {} if not back else {"a": play.disk["a"]}
    wiped = {path: {"admin/": ABSENT} for path in ("volume", "direct")} if not directories else {}
    if blind:
        wiped |= {path: dict.fromkeys(play.names(), INDEX_PAGE) for path in blind}
    play.observe(wiped)
    play.end_step()
    assert kept or back
    return play.judgement()


def test_destroyed_names_must_be_gone_and_expected_directories_back() -> None:
    assert destroyed().verdict is Verdict.KEPT
    assert [(f.symptom, f.names, f.paths) for f in destroyed(back=True).findings] == [
        (Symptom.RESURRECTED, ("a",), ("volume", "direct", "api", "proxy"))
    ]
    assert [(f.symptom, f.names, f.paths) for f in destroyed(directories=False).findings] == [
        (Symptom.MISSING, ("admin/",), ("volume", "direct"))
    ]


def test_a_path_that_cannot_show_absence_is_said_to_and_does_not_count() -> None:
    judged = destroyed(blind=("proxy",))
    assert judged.verdict is Verdict.KEPT
    assert judged.reasons == ("proxy cannot show that a name is absent",)
    assert judged.paths["proxy"].checked == 0


def restored(**shown_after: str) -> list[tuple[Symptom, tuple[str, ...]]]:
    """`a` is overwritten, `b` deleted, `c` made after the checkpoint; `old` or `new` says what is there at the end."""
    play = Play().opened()
    play.begin_step("restart", fate=DataFate.RESTORED)
    for name in ("a", "b"):
        play.write(name, 2)
    play.observe()
    old = dict(play.disk)
    play.event(checkpoint=True)
    ended = play.records[-3:]
    play.records = play.records[:-3]
    play.write("a", 2)
    play.delete("b")
    play.write("c", 2)
    play.records += ended
    new = dict(play.disk)
    play.disk = dict(old)
    for name, which in shown_after.items():
        source = {"old": old, "new": new}[which]
        play.disk.pop(name, None)
        if name in source:
            play.disk[name] = source[name]
    play.observe()
    play.end_step()
    judged = play.judgement()
    assert judged.verdict is (Verdict.LOST if judged.findings else Verdict.KEPT)
    return [(finding.symptom, finding.names) for finding in judged.findings]


def test_restored_names_are_as_at_the_checkpoint() -> None:
    assert restored() == []
    assert restored(a="new") == [(Symptom.RESURRECTED, ("a",))]
    assert restored(b="new") == [(Symptom.MISSING, ("b",))]
    assert restored(c="new") == [(Symptom.RESURRECTED, ("c",))]


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        ((), []),
        (("deleted",), [(Symptom.RESURRECTED, ("deleted",))]),
        (("before",), [(Symptom.RESURRECTED, ("before",))]),
        (("overwritten",), [(Symptom.STALE, ("overwritten",))]),
        (("appended",), [(Symptom.STALE, ("appended",))]),
    ],
)
def test_what_was_changed_before_the_checkpoint_must_not_be_as_it_was_before(
    back: tuple[str, ...], expected: list[tuple[Symptom, tuple[str, ...]]]
) -> None:
    play = Play().opened(("deleted", "before", "overwritten", "appended"))
    old = dict(play.disk)
    play.begin_step("restart", fate=DataFate.RESTORED)
    play.delete("deleted")
    play.rename("before", "after")
    play.write("overwritten", 3)
    play.append("appended")
    play.observe()
    play.event(checkpoint=True)
    play.disk |= {name: old[name] for name in back}
    play.observe()
    play.end_step()
    judged = play.judgement()
    assert [(finding.symptom, finding.names) for finding in judged.findings] == expected
    assert judged.verdict is (Verdict.LOST if expected else Verdict.KEPT)


def test_a_restore_without_a_checkpoint_is_inconclusive() -> None:
    play = Play().opened()
    play.begin_step("restart", fate=DataFate.RESTORED)
    play.write("a", 2)
    play.observe()
    play.event()
    play.observe()
    play.end_step()
    assert play.judgement().verdict is Verdict.INCONCLUSIVE


# Names nobody wrote


def strange(
    name: str,
    baseline: tuple[str, ...] = (),
    outcome: Outcome | None = Outcome.OK,
    unknown: bool = False,
) -> StepJudgement:
    """A file beside the store's own, with the bytes of a write that ended with `outcome`.

    `unknown`: there was another write of which nobody knows.
    """
    play = Play(baseline=baseline).opened()
    play.begin_step("restart")
    play.write("a", 2)
    operation = play.write("upload", 2, outcome)
    content = play.disk["upload"]
    if unknown:
        play.write("another", 2, Outcome.INFO)
    if outcome is not Outcome.OK:
        play.disk.pop("upload")
    play.observe()
    play.event()
    play.observe({"volume": {name: play.content(content[:1])}})
    play.end_step()
    assert operation.payload
    return play.judgement()


def test_a_strange_name_is_unexpected_unless_it_is_residue_ignored_or_was_there_before() -> None:
    judged = strange(".tmp-1")
    assert [(f.symptom, f.paths, f.names) for f in judged.findings] == [
        (Symptom.UNEXPECTED, ("volume",), (".tmp-1",))
    ]
    for outcome in (Outcome.INFO, Outcome.FAIL, None):
        judged = strange(".tmp-1", outcome=outcome)
        assert judged.verdict is Verdict.KEPT
        assert judged.reasons == ("residue of unacknowledged writes, no finding: .tmp-1",)
    judged = strange(".tmp-1", unknown=True)
    assert [finding.symptom for finding in judged.findings] == [Symptom.UNEXPECTED]
    assert strange("deep/er/x.ignored").verdict is strange("x.ignored").verdict is Verdict.KEPT
    assert strange("readme", baseline=("readme",)).verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("glob", "names", "others"),
    [
        ("**/*.tmp", ("a.tmp", "x/a.tmp", "x/y/a.tmp"), ("a.tmp2", "a.tmp/b")),
        ("*.tmp", ("a.tmp",), ("x/a.tmp",)),
        ("cache/**", ("cache/a", "cache/b/c"), ("cache", "x/cache/a")),
        ("a?[0-9].[!x]", ("ab1.y",), ("ab1.x", "a/1.y", "abc.y")),
        ("a+(b)[c", ("a+(b)[c",), ("aab[c",)),
    ],
)
def test_patterns_of_names_to_leave_out(glob: str, names: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert all(ignored(name, [glob]) for name in names)
    assert not any(ignored(name, [glob]) for name in others)


# Renames and directories


def renamed(shows: tuple[str, ...], outcome: Outcome) -> list[tuple[Symptom, tuple[str, ...]]]:
    play = Play().opened()
    play.begin_step("restart")
    play.write("anchor")
    play.write("a", 2)
    content = play.disk["a"]
    play.observe()
    play.add_event_began()
    play.rename("a", "b", outcome)
    play.end_event()
    play.disk.pop("b")
    play.disk |= dict.fromkeys(shows, content)
    play.observe()
    play.end_step()
    return [(finding.symptom, finding.names) for finding in play.judgement().findings]


def test_a_rename_shows_one_of_its_names() -> None:
    assert renamed(("b",), Outcome.OK) == renamed(("b",), Outcome.INFO) == renamed(("a",), Outcome.INFO) == []
    assert renamed((), Outcome.OK) == [(Symptom.MISSING, ("b",))]
    assert renamed(("a",), Outcome.OK) == [(Symptom.MISSING, ("b",)), (Symptom.RESURRECTED, ("a",))]
    assert renamed(("a", "b"), Outcome.OK) == [(Symptom.RESURRECTED, ("a",))]
    assert renamed((), Outcome.INFO) == [(Symptom.MISSING, ("a",))]
    assert renamed(("a", "b"), Outcome.INFO) == [(Symptom.RESURRECTED, ("a",))]


def test_a_rename_over_a_file_just_like_it_tells_nothing() -> None:
    play = Play().opened()
    play.begin_step("restart")
    for name, tiles in (("anchor", 1), ("a", 0), ("b", 0)):
        play.write(name, tiles)
    play.observe()
    play.add_event_began()
    play.rename("a", "b", Outcome.INFO)
    play.end_event()
    play.disk["a"] = ()
    play.observe()
    play.end_step()
    assert play.judgement().verdict is Verdict.KEPT


@pytest.mark.parametrize("child", [False, True], ids=["empty", "with a child"])
@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.INFO])
def test_a_directory_made_exists_where_it_or_a_child_was_acknowledged(outcome: Outcome, child: bool) -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("anchor")
    play.invoke(play.operation(OperationKind.MKDIR, "made"), outcome)
    if child:
        play.write("made/child")
    there = {path: {"made": Observation(NodeKind.DIRECTORY)} for path in ("volume", "direct")}
    play.observe()
    play.event()
    play.observe()
    play.end_step()

    def shown_in(*phases: Phase) -> Play:
        records = [
            replace(r, observations=r.observations | there[r.path])
            if isinstance(r, PathObserved) and r.path in there and r.phase in phases
            else r
            for r in play.records
        ]
        return replace(play, records=records)

    assert shown_in(Phase.BEFORE, Phase.AFTER).judgement().verdict is Verdict.KEPT
    gone = shown_in(Phase.BEFORE).judgement().findings
    assert [f.names for f in gone] == [("made/",)]
    never = shown_in().judged().steps[0].findings
    assert [f.names for f in never] == ([("made/",)] if outcome is Outcome.OK or child else [])


@pytest.mark.parametrize(
    ("seen", "symptom"),
    [
        (ABSENT, Symptom.MISSING),
        (Observation(NodeKind.FILE, 0), Symptom.MISSING),
        (Observation(NodeKind.DIRECTORY, mode="0700"), Symptom.METADATA),
        (Observation(NodeKind.DIRECTORY, mode="0755", owner="0:0"), Symptom.METADATA),
    ],
)
def test_an_expected_directory_is_there_with_its_mode(seen: Observation, symptom: Symptom) -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event()
    play.observe({"volume": {"admin/": seen}, "direct": {"admin/": seen}})
    play.end_step()
    assert [(f.symptom, f.names, f.paths) for f in play.judgement().findings] == [
        (symptom, ("admin/",), ("volume", "direct"))
    ]


def test_a_missing_file_that_a_server_answers_with_a_page_is_masked_there() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event()
    gone = {path: {"a": ABSENT} for path in ("volume", "direct", "api")}
    play.observe(gone | {"proxy": {"a": INDEX_PAGE}})
    play.end_step()
    assert [(f.symptom, f.paths) for f in play.judgement().findings] == [
        (Symptom.MISSING, ("volume", "direct", "api")),
        (Symptom.MASKED, ("proxy",)),
    ]
    assert [f.code for f in play.judgement().findings] == ["PV001", "PV014"]


def test_served_paths_alone_still_tell_a_loss_from_an_error() -> None:
    for answer, symptom in ((ABSENT, Symptom.MISSING), (ERROR, Symptom.UNSERVED)):
        play = Play(paths=FOUR[2:]).opened()
        play.begin_step("restart")
        play.write("a", 2)
        play.observe()
        play.event()
        play.observe({path: {"a": answer} for path in ("api", "proxy")})
        play.end_step()
        assert [(f.symptom, f.paths) for f in play.judgement().findings] == [(symptom, ("api", "proxy"))]


def test_a_late_answer_settles_an_operation() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    operation = play.write("late", 2, None)
    play.add(Completed(operation.identity, Outcome.OK))
    play.observe()
    play.event()
    play.disk.pop("late")
    play.observe()
    play.end_step()
    assert [f.names for f in play.judgement().findings] == [("late",)]


def test_how_the_controls_of_an_event_that_did_not_land_fared_is_not_told() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event(landed=False)
    place = next(i for i, record in enumerate(play.records) if isinstance(record, ControlsChecked))
    failed = ControlCheck("writable layer", Duty.MUST_LOSE, False, "still there")
    play.records[place] = ControlsChecked("restart", tuple(Duty), (failed,))
    play.observe()
    play.end_step()
    _, restart = play.judged().steps
    assert restart.verdict is Verdict.INCONCLUSIVE
    assert restart.reasons == ("the event did not land: no container was restarted",)


def test_a_stranger_that_cannot_be_read_is_unexpected() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 2)
    play.observe()
    play.event()
    play.observe({"direct": {"b": Observation(NodeKind.ERROR, error="cannot be read")}})
    play.end_step()
    _, restart = play.judged().steps
    assert restart.verdict is Verdict.LOST
    assert [(f.symptom, f.names, f.paths) for f in restart.findings] == [
        (Symptom.UNEXPECTED, ("b",), ("direct",))
    ]
