"""What is asked of single events, against the engine of paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from persistence_tests.events import pause
from persistence_tests.events.base import Event
from persistence_tests.stack.compose import ComposeFailed
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.state import EngineEvent, EngineState, Mount, VolumeState
from tests.stacks.during import Silent
from tests.unit.paper_engine import (
    CONFIG,
    PROJECT,
    RUNNING,
    SERVICES,
    PaperEngine,
    kill_api,
    made,
    pause_api,
    played,
)


def test_kill_names_the_exit_code_that_is_missing() -> None:
    event, before, after, seen = played("kill")
    api = before.containers["api-1"].identity
    graceful = [
        replace(e, attributes={"exitCode": "0"}) if e.identity == api and e.action == "die" else e
        for e in seen
    ]
    problems = event.prove(before, after, graceful).problems
    assert any(
        p.startswith("no `die` with exit code 137 of api") and "die with exit code 0" in p for p in problems
    )


def test_a_process_that_outlives_its_signal_was_not_killed() -> None:
    event = made("kill", {"service": "api", "signal": "SIGTERM"})
    engine = PaperEngine()
    before = engine.state()
    engine.signal("api", 15)
    engine.signal(CONTROL_SERVICE, 15)
    engine.die(CONTROL_SERVICE, 143)
    engine.start(CONTROL_SERVICE)
    engine.start("job")
    problems = event.prove(before, engine.state(), engine.seen).problems
    assert "api outlived SIGTERM: its main process did not end" in problems


def test_any_exit_code_will_do_for_a_signal_that_can_be_handled() -> None:
    event = made("kill", {"service": "api", "signal": 15})
    engine = PaperEngine()
    before = engine.state()
    for service, code in (("api", 0), (CONTROL_SERVICE, 143)):
        engine.signal(service, 15)
        engine.die(service, code)
    for service in ("api", CONTROL_SERVICE, "job"):
        engine.start(service)
    assert event.prove(before, engine.state(), engine.seen).problems == ()


def test_kill_of_a_service_that_does_not_run_is_a_problem() -> None:
    event = made("kill", {"service": ["api", "job"]})
    engine = PaperEngine()
    before = engine.state()
    kill_api(engine)
    problems = event.prove(before, engine.state(), engine.seen).problems
    assert problems == ("no container of job was running, so that there was nothing to kill",)


def test_kill_of_all_reaches_every_running_container() -> None:
    event = made("kill", {})
    engine = PaperEngine()
    before = engine.state()
    for service in RUNNING:
        engine.end(service)
    for service in SERVICES:
        engine.start(service)
    assert event.prove(before, engine.state(), engine.seen).problems == ()


def test_a_kill_through_the_engine_is_no_crash() -> None:
    event, before, after, seen = played("crash")
    entry = EngineEvent(0, "container", "kill", before.containers["api-1"].identity, {"signal": "9"})
    problems = event.prove(before, after, [entry, *seen]).problems
    assert problems == ("api was killed through the engine, so that its restart policy was not asked",)


def test_a_crash_that_the_policy_did_not_answer_is_a_problem() -> None:
    event, before, after, seen = played("crash")
    by_hand = replace(after.containers["api-1"], restart_count=0)
    problems = event.prove(
        before, replace(after, containers={**after.containers, "api-1": by_hand}), seen
    ).problems
    assert any("RestartCount went from 0 to 0" in problem for problem in problems)


def test_crash_without_a_restart_policy_says_what_to_do() -> None:
    event, before, after, seen = played("crash")
    container = SimpleNamespace(
        id=before.containers["api-1"].identity,
        attrs={
            "State": {"Running": True, "StartedAt": "start 0"},
            "HostConfig": {"RestartPolicy": {"Name": "no"}},
            "Config": {},
        },
    )
    stack = SimpleNamespace(
        control=SimpleNamespace(service=CONTROL_SERVICE),
        containers=lambda service: [container] if service == "api" else [],
    )
    event.prepare(cast("Any", stack))
    problems = event.prove(before, after, seen).problems
    assert len(problems) == 1
    assert problems[0].startswith("api has no restart policy")


def test_a_rebuild_of_a_stack_that_builds_nothing_is_a_problem() -> None:
    event, before, after, seen = played("rebuild")
    config = {"services": {"api": {"image": "a"}, CONTROL_SERVICE: {"build": {}}}}
    event.prepare(
        cast(
            "Any",
            SimpleNamespace(config=config, project=PROJECT, control=SimpleNamespace(service=CONTROL_SERVICE)),
        )
    )
    assert any("has a `build`" in problem for problem in event.prove(before, after, seen).problems)


def test_a_rebuild_that_gave_the_same_image_is_a_problem() -> None:
    event, before, after, seen = played("rebuild")
    same = replace(after.containers["api-1"], image=before.containers["api-1"].image)
    problems = event.prove(
        before, replace(after, containers={**after.containers, "api-1": same}), seen
    ).problems
    assert problems == ("image of api: expected made anew, but it is unchanged",)


def test_a_death_after_the_event_that_the_policy_answered_is_told_not_judged() -> None:
    event, before, after, seen = played("restart")
    identity = before.containers["proxy-1"].identity
    late = [
        EngineEvent(900, "container", "die", identity, {"exitCode": "1"}),
        EngineEvent(901, "container", "start", identity, {}),
    ]
    proof = event.prove(before, after, [*seen, *late])
    assert proof.problems == ()
    assert any("proxy: die with exit code 1 after it had been started" in e.fact for e in proof.evidence)


def test_up_expects_the_control_again_wherever_the_state_was_taken() -> None:
    event, before, after, seen = played("up")
    without = {key: state for key, state in before.containers.items() if state.service != CONTROL_SERVICE}
    early = [
        e for e in seen if e.action not in ("kill", "die", "destroy") or e.attributes.get("exitCode") == "0"
    ]
    assert event.prove(replace(before, containers=without), after, early).problems == ()


def test_replicas_are_told_apart() -> None:
    event, before, after, seen = played("restart")
    second = replace(before.containers["api-1"], identity="e" * 64, number=2)
    problems = event.prove(
        replace(before, containers={**before.containers, "api-2": second}),
        replace(after, containers={**after.containers, "api-2": second}),
        seen,
    ).problems
    assert "api-2: expected the same container, started again, but it is unchanged" in problems
    assert not any(problem.startswith("api-1") for problem in problems)


def restored(tmp_path: Path) -> Event:
    """A backup-restore that was applied: the archive is made by a command on paper."""
    event = made("backup-restore", {"backup": "./b", "restore": "./r {archive}"})

    def command(line: str, **_: Any) -> CommandResult:
        (tmp_path / "a.tar").write_text(line)
        return CommandResult("a.tar", "", 0)

    event.apply(cast("Any", SimpleNamespace(workspace=tmp_path, config=CONFIG, command=command)), Silent())
    return event


def test_a_restore_may_start_containers_again(tmp_path: Path) -> None:
    engine = PaperEngine()
    before = engine.state()
    for service in ("api", "proxy"):
        engine.end(service)
        engine.stopped(service)
        engine.start(service)
    attributes = {"container": "f" * 64}
    seen = [*engine.seen, EngineEvent(999, "volume", "mount", "paper_media", attributes)]
    proof = restored(tmp_path).prove(before, engine.state(), seen)
    assert proof.problems == ()
    facts = [fact.fact for fact in proof.evidence if fact.source == "stream"]
    assert any(
        fact.startswith("api: kill with signal 9, die with exit code 137, stop, start") for fact in facts
    )
    assert "volume paper_media: mounted by 1 other containers" in facts


def test_a_restore_must_leave_what_ran_running(tmp_path: Path) -> None:
    engine = PaperEngine()
    before = engine.state()
    engine.end("api")
    problems = restored(tmp_path).prove(before, engine.state(), engine.seen).problems
    assert problems == ("api ran before the backup, and after the restore it is there, but not running",)
    without = {key: state for key, state in before.containers.items() if key != "api-1"}
    problems = restored(tmp_path).prove(before, replace(before, containers=without), ()).problems
    assert problems == ("api ran before the backup, and after the restore it is gone",)


def test_a_restore_must_leave_the_volumes(tmp_path: Path) -> None:
    before = PaperEngine().state()
    left = {name: volume for name, volume in before.volumes.items() if name != "paper_media"}
    problems = restored(tmp_path).prove(before, replace(before, volumes=left), ()).problems
    assert problems == ("volume paper_media is gone after the restore",)


def test_a_pause_reaches_only_those_that_it_names() -> None:
    event, before, after, seen = played("pause")
    also = EngineEvent(900, "container", "pause", before.containers["proxy-1"].identity, {})
    problems = event.prove(before, after, [*seen, also]).problems
    assert problems == ("proxy was to be left alone, but the engine's stream has pause",)


@pytest.mark.parametrize("action", ["kill", "die", "restart", "stop", "destroy"])
def test_nothing_else_may_happen_to_what_is_paused(action: str) -> None:
    event, before, after, seen = played("pause")
    also = EngineEvent(5, "container", action, before.containers["api-1"].identity, {})
    problems = event.prove(before, after, [*seen, also]).problems
    assert any(problem.startswith("api was to be left alone") for problem in problems)


def test_a_pause_of_what_does_not_run_is_a_problem() -> None:
    event = made("pause", {"service": ["api", "job"]})
    engine = PaperEngine()
    before = engine.state()
    pause_api(engine)
    problems = event.prove(before, engine.state(), engine.seen).problems
    assert problems == ("no container of job was running, so that there was nothing to pause",)


def with_anonymous_volume(state: EngineState, name: str) -> EngineState:
    mount = Mount("volume", name, "/scratch", True)
    api = replace(state.containers["api-1"], mounts=(mount,))
    volumes = {**state.volumes, name: VolumeState(name, None, "2026-01-01T00:00:00Z")}
    return EngineState({**state.containers, "api-1": api}, volumes)


def test_an_anonymous_volume_that_was_not_renewed_is_a_problem() -> None:
    event, before, after, seen = played("renew-anon")
    old, new = "a" * 64, "b" * 64
    proof = event.prove(with_anonymous_volume(before, old), with_anonymous_volume(after, new), seen)
    assert proof.problems == ()
    facts = [fact.fact for fact in proof.evidence]
    assert "anonymous volume of api at /scratch: aaaaaaaaaaaa, now bbbbbbbbbbbb" in facts
    proof = event.prove(with_anonymous_volume(before, old), with_anonymous_volume(after, old), seen)
    assert proof.problems == ("api has the same anonymous volume at /scratch as before: aaaaaaaaaaaa",)


def test_a_service_that_has_the_replicas_already_is_not_scaled() -> None:
    event, before, _, _ = played("scale")
    second = replace(before.containers["proxy-1"], identity="e" * 64, number=2)
    more = replace(before, containers={**before.containers, "proxy-2": second})
    problems = event.prove(more, more, ()).problems
    assert "proxy had 2 replicas already: write a larger number than that in `to`" in problems


def test_a_replica_that_did_not_run_is_a_problem() -> None:
    event = made("scale", {"service": "proxy", "to": 3})
    engine = PaperEngine()
    before = engine.state()
    stack = SimpleNamespace(state=engine.state, up=engine.up)
    event.apply(cast("Any", stack), Silent())
    problems = event.prove(before, engine.state(), engine.seen).problems
    assert problems == ("2 replicas of proxy were running in the middle, not 3",)


def test_a_replica_that_stays_is_a_problem() -> None:
    event, before, after, seen = played("scale")
    second = replace(before.containers["proxy-1"], identity="e" * 64, number=2)
    more = replace(after, containers={**after.containers, "proxy-2": second})
    assert "proxy-2: expected unchanged, but it is new" in event.prove(before, more, seen).problems


def test_one_container_is_run_once_and_ends_well() -> None:
    event, before, after, seen = played("run-once")
    another = [replace(e, identity="d" * 64) for e in seen]
    problems = event.prove(before, after, [*seen, *another]).problems
    assert problems == ("2 containers were run once in the engine's event stream, not one",)
    ill = [replace(e, attributes={**e.attributes, "exitCode": "1"}) if e.action == "die" else e for e in seen]
    [problem] = event.prove(before, after, ill).problems
    assert problem.startswith("no `die` with exit code 0 of the container of proxy that was run once")


def test_a_command_gets_the_name_wherever_it_asks_for_it() -> None:
    command = "import --into {directory} --as '{filename} of ${name}' --file={name}"
    event = made("run-once", {"service": "api", "command": command})
    lines: list[tuple[str, ...]] = []

    def run(*words: str, input: bytes) -> None:
        lines.append((*words, input.decode()))

    event.apply(cast("Any", SimpleNamespace(compose=SimpleNamespace(run=run))), Silent())
    assert lines == [
        ("run", "--rm", "--no-deps", "-T", "api", "import", "--into", "admin", "--as", "once.bin of ${name}",
         "--file=admin/once.bin", "content"),
    ]  # fmt: skip


class FreezingStack:
    """`compose pause` fails that many times with these words, having paused the first container only."""

    def __init__(self, failures: int, said: str) -> None:
        self.lines: list[str] = []
        self.control = SimpleNamespace(service=CONTROL_SERVICE)
        self.compose = self
        self.paused = False
        self._failures, self._said = failures, said

    def run(self, command: str, *services: str) -> None:
        self.lines.append(command)
        if command == "pause" and self._failures:
            self._failures -= 1
            self.paused = True
            raise ComposeFailed("docker compose pause", 1, self._said)

    def containers(self) -> list[Any]:
        def unpause() -> None:
            self.paused = False
            self.lines.append("thawed")

        return [SimpleNamespace(status="paused" if self.paused else "running", unpause=unpause)]


def test_what_a_busy_engine_did_not_freeze_is_paused_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "POLL_SECONDS", 0.0)
    stack = FreezingStack(2, "OCI runtime pause failed: unable to freeze: unknown")
    made("pause", {}).apply(cast("Any", stack), Silent())
    assert stack.lines == ["pause", "thawed", "pause", "thawed", "pause", "unpause"]


def test_any_other_failure_to_pause_is_one_and_leaves_nothing_paused() -> None:
    stack = FreezingStack(1, "no such service: api")
    with pytest.raises(ComposeFailed):
        made("pause", {}).apply(cast("Any", stack), Silent())
    assert stack.lines == ["pause", "thawed"]
