"""A deploy on paper: what its command does to the engine, how it is cut short, and what is no proof of it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from persistence_tests.errors import StackError
from persistence_tests.events.base import Controls
from persistence_tests.events.deploy import Deploy, DeployOptions
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.interruption import Interruption, run_interrupted
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.state import EngineState, Store
from tests.unit.paper_engine import CONFIG, OWN_VOLUMES, PaperEngine, anew

Play = Callable[[PaperEngine], CommandResult]
WELL = CommandResult("done\n", "", 0)
DEFAULT = Controls(Store.LAYER, Store.NAMED)


class DeployedStack:
    """Each call of the deploy command takes the next play; an interrupted one is killed in the first line."""

    def __init__(self, engine: PaperEngine, *plays: Play) -> None:
        self.config = CONFIG
        self.paper = engine
        self.plays = list(plays)
        self.edits: list[Any] = []
        self.compose = SimpleNamespace(run=self._compose)

    def edit(self, changes: Any = None) -> None:
        self.edits.append(changes)

    def state(self) -> EngineState:
        return self.paper.state()

    def command(self, line: str, timeout: float, interruption: Interruption | None = None) -> CommandResult:
        result = self.plays.pop(0)(self.paper)
        if interruption is not None:
            first = result.stdout.splitlines()[0]
            if interruption.at.search(first):
                interruption.line, interruption.delivered = first, True
        return result

    def _compose(self, *arguments: str) -> None:
        assert arguments == ("up", "-d", "--no-deps", CONTROL_SERVICE)
        anew(self.paper, [CONTROL_SERVICE])


def whole(engine: PaperEngine) -> CommandResult:
    anew(engine, ["api", CONTROL_SERVICE], {"api": f"sha256:{engine.ticks}"})
    return WELL


def of_one_service(engine: PaperEngine) -> CommandResult:
    anew(engine, ["api"])
    return WELL


def nothing(_: PaperEngine) -> CommandResult:
    return CommandResult("", "", 0)


def failing(_: PaperEngine) -> CommandResult:
    return CommandResult("one\n", "it broke\n", 3)


def killed(_: PaperEngine) -> CommandResult:
    return CommandResult("Building\n", "", -signal.SIGKILL)


def down_v(engine: PaperEngine) -> CommandResult:
    for service in ("api", CONTROL_SERVICE):
        engine.end(service)
        engine.destroy(service)
    for name in OWN_VOLUMES:
        engine.volume(name, "destroy")
        engine.volume(name, "create")
    for service in ("api", CONTROL_SERVICE):
        engine.create(service)
        engine.start(service)
    return WELL


def made(**options: Any) -> Deploy:
    return Deploy(DeployOptions.model_validate({"command": "./deploy.sh", **options}))


def deployed(*plays: Play, **options: Any) -> tuple[Deploy, Any, DeployedStack]:
    event = made(**options)
    engine = PaperEngine()
    stack = DeployedStack(engine, *plays)
    event.prepare(cast("Any", stack))
    before = engine.state()
    event.apply(cast("Any", stack), cast("Any", None))
    return event, event.prove(before, engine.state(), engine.seen), stack


def test_a_whole_deploy_is_proven_and_told() -> None:
    event, proof, stack = deployed(whole)
    assert proof.problems == ()
    facts = [fact.fact for fact in proof.evidence]
    assert any(fact.startswith("`./deploy.sh` ended with exit code 0") for fact in facts)
    assert "api: made anew by the deploy" in facts
    assert any(fact.startswith("image of api: ") for fact in facts)
    assert event.duties() == DEFAULT
    [edit] = stack.edits
    assert set(edit["services"]) == {"api"}  # every service that is built has another version to deploy


def test_the_control_service_is_made_anew_beside_a_deploy_that_does_not_reach_it() -> None:
    _, proof, _ = deployed(of_one_service)
    assert proof.problems == ()
    assert any("persistence-control: made anew" in fact.fact for fact in proof.evidence)


def test_a_deploy_that_changes_nothing_is_none() -> None:
    _, proof, _ = deployed(nothing)
    assert "the deploy ended with exit code 0, but nothing of the stack changed by it" in proof.problems


def test_a_deploy_that_fails_is_told_with_what_it_said() -> None:
    _, proof, _ = deployed(failing)
    assert proof.problems == ("the deploy ended with exit code 3:\n  | it broke",)


def test_a_deploy_that_was_never_applied_is_no_proof() -> None:
    state = PaperEngine().state()
    problems = made().prove(state, state, ()).problems
    assert problems == ("the deploy command was not run",)


def test_volumes_that_went_are_told_and_turn_the_controls_round() -> None:
    event, proof, _ = deployed(down_v)
    assert proof.problems == ()
    assert f"volume paper_{NAMED_VOLUME}: destroyed by the deploy" in [fact.fact for fact in proof.evidence]
    assert event.duties() == Controls(Store.NAMED, Store.EXTERNAL)


def test_an_interrupted_deploy_is_run_again_by_another_control_service() -> None:
    event, proof, stack = deployed(killed, whole, interrupt="Build")
    assert proof.problems == ()
    facts = [fact.fact for fact in proof.evidence]
    assert 'SIGKILL at "Building" after 0.0 s: the deploy died of SIGKILL' in facts
    assert any(fact.startswith("`./deploy.sh`, run again, ended with exit code 0") for fact in facts)
    assert len(stack.edits) == 2
    assert event.duties() == DEFAULT


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (lambda _: CommandResult("Starting\n", "", 0), "no line of the deploy's output matches"),
        (lambda _: CommandResult("Building\n", "", 0), "the deploy was over before it could be interrupted"),
        (failing, "no line of the deploy's output matches"),
    ],
)
def test_an_interruption_that_did_not_land_is_a_problem_and_nothing_is_run_again(
    first: Play, problem: str
) -> None:
    _, proof, stack = deployed(first, whole, interrupt="Build")
    assert proof.problems[0].startswith(problem)
    assert len(stack.plays) == 1


def test_a_deploy_that_must_be_killed_outlived_its_signal() -> None:
    _, proof, _ = deployed(killed, whole, interrupt="Build", signal="SIGTERM")
    assert proof.problems == ("the deploy outlived SIGTERM and had to be killed",)


def test_a_deploy_that_handles_its_signal_was_interrupted_all_the_same() -> None:
    _, proof, _ = deployed(
        lambda _: CommandResult("Building\n", "", 130), whole, interrupt="B", signal="SIGINT"
    )
    assert proof.problems == ()
    facts = [fact.fact for fact in proof.evidence]
    assert 'SIGINT at "Building" after 0.0 s: the deploy ended with exit code 130' in facts


@pytest.mark.parametrize("second", [nothing, failing])
def test_a_deploy_that_cannot_be_run_again_is_a_problem(second: Play) -> None:
    _, proof, _ = deployed(killed, second, interrupt="Build")
    assert proof.problems[0].startswith("the deploy, run again, ended with exit code")


# The process itself


def interrupted(
    script: str, at: str, number: signal.Signals, tmp_path: Path
) -> tuple[Interruption, CommandResult]:
    interruption = Interruption(re.compile(at), number)
    result = run_interrupted(
        ["bash", "-c", script],
        interruption,
        said=script,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        timeout=20,
    )
    return interruption, result


FOREVER = "echo one; echo two >&2; {}; tail -f /dev/null; echo three"


def test_the_whole_session_is_signalled_at_the_line(tmp_path: Path) -> None:
    script = FOREVER.format("tail -f /dev/null & echo $! >child")
    interruption, result = interrupted(script, "tw.", signal.SIGKILL, tmp_path)
    assert (interruption.line, interruption.delivered) == ("two", True)
    assert result.exit_code == -signal.SIGKILL
    assert result.stdout == "one\ntwo\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gentler_signals(number: signal.Signals, tmp_path: Path) -> None:
    _, result = interrupted(FOREVER.format("true"), "two", number, tmp_path)
    assert result.exit_code == -number


def test_a_line_that_never_comes(tmp_path: Path) -> None:
    interruption, result = interrupted("echo one; exit 3", "two", signal.SIGKILL, tmp_path)
    assert (interruption.line, interruption.delivered, result.exit_code) == (None, False, 3)


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="did not end within"):
        run_interrupted(
            ["bash", "-c", "tail -f /dev/null"],
            Interruption(re.compile("never"), signal.SIGKILL),
            said="it",
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            timeout=0.1,
        )
