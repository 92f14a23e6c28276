"""A replay: what of a history is run again, how rounds are counted, what the terminal shows."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from persistence_tests.cli import exit_code as exit_code_of
from persistence_tests.errors import UsageError
from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import RunBegan
from persistence_tests.report.build import build
from persistence_tests.report.progress import Progress
from persistence_tests.report.replay import (
    SCHEMA_VERSION,
    Asked,
    ReplayedScenario,
    ReplayedStep,
    ReplayResult,
    Round,
    exit_code,
    replayed_steps,
    tally,
)
from persistence_tests.report.rounds import Rounds
from persistence_tests.run.replay import differences, load_again, recording
from tests.unit.report_histories import (
    ENVIRONMENT,
    PATHS,
    RunPlay,
    faulted,
    kept,
    known_to_be_lost,
    run_play,
    skipped,
    wiped,
    write_history,
)

RESTART = Asked("shop", "restart", "restart", "restart", ("missing",))


def replay(*arguments: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = exit_code_of(["replay", *arguments])
    said = capfd.readouterr()
    return code, said.out, said.err


# What is run again


def test_the_steps_that_lost_are_run_again_with_their_seed() -> None:
    found = recording(wiped().entries(), (), "h")
    (scenario,) = found.scenarios
    assert (found.seed, scenario.source) == (42, "scenarios/shop.persistence.yaml")
    assert [(step.planned.step, step.symptoms) for step in scenario.steps] == [("restart", ("missing",))]


def test_a_known_loss_is_a_loss_here() -> None:
    assert [
        step.planned.step for step in recording(known_to_be_lost().entries(), (), "h").scenarios[0].steps
    ] == ["restart"]


def test_a_stack_that_did_not_come_back_is_run_again() -> None:
    play = run_play()
    play.begin_step("restart")
    play.write("admin/second")
    play.observe()
    play.event(ready=False)
    play.end_step()
    (step,) = recording(play.entries(), (), "h").scenarios[0].steps
    assert (step.verdict, step.symptoms) == (Verdict.UNAVAILABLE, ())


@pytest.mark.parametrize("play", [kept(), skipped(), faulted()])
def test_without_a_loss_there_is_nothing_to_run(play: RunPlay) -> None:
    with pytest.raises(UsageError, match="shows no loss") as refused:
        recording(play.entries(), (), "h")
    assert refused.value.exit_code == 64
    assert "--event kill" in str(refused.value.remedy)


@pytest.mark.parametrize("event", ["kill", "up"])
def test_what_is_asked_for_is_run_in_the_place_of_what_lost(event: str) -> None:
    (scenario,) = recording(wiped().entries(complete=False), (event,), "h").scenarios
    assert [step.planned.step for step in scenario.steps] == [event]


def test_a_step_that_the_history_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(UsageError, match="no step 'earthquake'") as refused:
        recording(wiped().entries(), ("earthquake",), "h")
    assert refused.value.remedy == "its steps are: up, restart"


# What has changed since


SCENARIO = """
stack: { compose: compose.yaml }
paths:
  direct: { service: app, root: /files }
writes:
  - { through: direct, into: [.], files: 2 }
events: [EVENTS]
"""


def saved(directory: Path, events: str) -> Path:
    """The scenario file where `wiped` says that it was."""
    file = directory / RunPlay.source
    file.parent.mkdir()
    file.write_text(SCENARIO.replace("EVENTS", events))
    (file.parent / "compose.yaml").write_text("services:\n  app:\n    image: debian:bookworm-slim\n")
    return write_history(wiped().entries(), directory / "history.jsonl")


def test_a_scenario_that_has_changed_says_so_and_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "{ restart: { title: again } }")
    (recorded,) = recording(wiped().entries(), (), "h").scenarios
    scenario, changes = load_again(recorded)
    assert scenario.name == "shop"
    assert [change.partition(" ")[0] for change in changes] == ["its", "the"]
    assert "“restart” then, “again” now" in changes[1]


def test_what_is_not_there_any_more_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    history = saved(tmp_path, "kill")
    code, out, err = replay(str(history), capfd=capfd)
    assert (code, out) == (64, "")
    assert "no step 'restart' with the event 'restart' any more" in err
    (tmp_path / RunPlay.source).unlink()
    code, out, err = replay(str(history), capfd=capfd)
    assert (code, out) == (64, "")
    assert "start the replay in the directory in which the run was started" in err


@pytest.mark.parametrize("count", ["0", "-1", "ten"])
def test_a_count_that_is_none_is_wrong_usage(count: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert replay("h", "-n", count, capfd=capfd)[:2] == (64, "")


TREES = st.recursive(
    st.integers() | st.text(max_size=2) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3),
)


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_two_configurations_differ_where_they_differ(then: object, now: object) -> None:
    assert list(differences(then, then)) == []
    assert bool(list(differences(then, now))) == (then != now)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), st.integers(), min_size=1), st.data())
def test_the_key_that_was_changed_is_named(tree: dict[str, int], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(tree)))
    places = list(differences({"services": tree}, {"services": {**tree, key: tree[key] + 1}}))
    assert places == [f"services.{key}"]


# Counting


def rounds(*plays: RunPlay, complete: bool = True) -> list[Round]:
    why = None if complete else "no engine"
    return [
        Round(number, f"round-{number}", 8.25 + number, build(play.entries(complete, why)))
        for number, play in enumerate(plays, 1)
    ]


ENDS = {"lost": wiped, "kept": kept, "inconclusive": faulted}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(sorted(ENDS)), min_size=1, max_size=5))
def test_every_round_is_counted_once_and_the_worst_decides(ends: list[str]) -> None:
    (step,) = replayed_steps([RESTART], rounds(*(ENDS[end]() for end in ends)))
    assert [each.verdict for each in step.rounds] == ends
    counted = {end: getattr(step, end) for end in ENDS}
    assert counted == {end: ends.count(end) for end in ENDS}
    expected = 1 if "lost" in ends else 2 if "inconclusive" in ends else 0
    assert exit_code([step], len(ends)) == expected


def test_a_round_that_did_not_end_well_kept_nothing_for_sure() -> None:
    start, step = replayed_steps([RESTART], rounds(kept(), complete=False))
    assert (start.kept, start.inconclusive, step.kept, step.inconclusive) == (0, 1, 0, 1)
    assert step.rounds[0].reasons == ["the round did not end well: no engine"]
    assert exit_code([start, step], 1) == 2
    *_, step = replayed_steps([RESTART], rounds(wiped(), complete=False))
    assert step.lost == 1


def test_rounds_that_were_not_run_are_not_kept() -> None:
    steps = replayed_steps([RESTART], rounds(kept(), kept()))
    assert exit_code(steps, 2) == 0
    assert exit_code(steps, 3) == 2
    assert exit_code([], 3) == 2


def test_a_skipped_round_proves_nothing() -> None:
    kill = Asked("shop", "kill", "kill", "kill", ())
    (step,) = replayed_steps([kill], rounds(skipped()))
    assert (step.kept, step.skipped) == (0, 1)
    assert exit_code([step], 1) == 2
    assert ", ".join(tally(step)) == "0/1 lost, 0 kept, 0 inconclusive, 1 skipped"


def test_a_loss_of_another_kind_is_told() -> None:
    step = replayed_steps([Asked("shop", "restart", "restart", "restart", ("empty",))], rounds(wiped()))[0]
    assert next(tally(step)) == "1/1 lost (1 missing)"


def test_a_first_start_that_loses_is_counted_by_itself() -> None:
    lost = RunPlay(paths=PATHS)
    lost.begin()
    lost.begin_step("up")
    lost.write("admin/first")
    lost.disk.clear()
    lost.observe()
    lost.end_step()
    lost.epoch(2)
    lost.step_of("restart", "admin/second")
    steps = replayed_steps([RESTART], rounds(lost, kept()))
    assert [(step.step, step.lost, step.kept) for step in steps] == [("up", 1, 1), ("restart", 0, 2)]
    assert exit_code(steps, 2) == 1


# What the terminal shows


def result_of(steps: Sequence[ReplayedStep], scenario: ReplayedScenario, count: int) -> ReplayResult:
    return ReplayResult(
        schema_version=SCHEMA_VERSION,
        replay_id="20270102-040506-cdef",
        history="reports/latest/history.jsonl",
        run_id="20270102-030405-abcd",
        seed=42,
        rounds=count,
        seconds=31.5,
        exit_code=exit_code(steps, count),
        complete=True,
        stopped=None,
        scenarios=[scenario],
        steps=list(steps),
    )


@pytest.mark.parametrize("width", [80, 120, None])
def test_the_whole_output(width: int | None, snapshot: SnapshotAssertion) -> None:
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or 80,
        force_terminal=width is not None,
        color_system=None,
        _environ={"TERM": "dumb"},
    )
    plays = rounds(wiped(), kept(), faulted())
    scenario = ReplayedScenario(
        "shop",
        "scenarios/shop.persistence.yaml",
        "ab" * 32,
        "cd" * 32,
        ["its file (sha256 abababababab then, cdcdcdcdcdcd now)"],
    )
    shown = Rounds(console, "20270102-040506-cdef", "20270102-030405-abcd", [RESTART], 3, Progress([], {}))
    with shown:
        for place, done in enumerate(plays):
            if place == 0:
                shown.heading(RunBegan("r", 42, "1.2.3", "", ENVIRONMENT), [scenario])
                shown.changed("the stack's configuration (services.api.volumes)")
            shown.round(done)
    result = result_of(replayed_steps([RESTART], plays), scenario, 3)
    shown.end(result, "reports/20270102-040506-cdef")
    assert out.getvalue() == snapshot
    assert all(len(line) <= 80 for line in out.getvalue().splitlines() if width == 80)
    assert json.loads(json.dumps(result.as_dict()))["steps"][0]["lost"] == 1
