"""Every event against a small engine of paper: what it must leave in the stream, and what each gap means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.events import EVENTS, pause
from persistence_tests.events.base import Event
from persistence_tests.stack.compose import ComposeFailed
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.inspection import ONEOFF, SERVICE
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.state import ContainerState, EngineEvent, EngineState, Mount, VolumeState
from tests.stacks.during import Silent

PROJECT = "paper"
CONFIG: dict[str, Any] = {
    "services": {
        "api": {"build": {"context": "."}, "restart": "always"},
        "proxy": {
            "image": "proxy:1",
            "depends_on": {"api": {"condition": "service_started", "restart": True}},
        },
        "sidecar": {"image": "proxy:1", "network_mode": "service:api"},
        "job": {"image": "proxy:1"},
        CONTROL_SERVICE: {"build": {"context": "./control"}},
    },
    "volumes": {
        "media": {"name": "paper_media"},
        "outside": {"name": "outside", "external": True},
        NAMED_VOLUME: {"name": f"paper_{NAMED_VOLUME}"},
    },
}
OWN_VOLUMES = ["paper_media", f"paper_{NAMED_VOLUME}"]
SERVICES = list(CONFIG["services"])
RUNNING = [name for name in SERVICES if name != "job"]


class PaperEngine:
    """Keeps containers and volumes, and writes down what it does to them."""

    def __init__(self) -> None:
        self.ticks = 0
        self.seen: list[EngineEvent] = []
        self.containers = {f"{name}-1": self._container(name, running=name != "job") for name in SERVICES}
        self.volumes = {
            name: VolumeState(name, key, "2026-01-01T00:00:00Z")
            for key, name in (
                ("media", "paper_media"),
                ("outside", "outside"),
                (NAMED_VOLUME, OWN_VOLUMES[1]),
            )
        }
        self.volumes["a" * 64] = VolumeState("a" * 64, None, "2026-01-01T00:00:00Z")

    def state(self) -> EngineState:
        return EngineState(dict(self.containers), dict(self.volumes))

    def signal(self, service: str, number: int = 9) -> None:
        self._container_event(service, "kill", signal=str(number))

    def die(self, service: str, code: int = 137) -> None:
        self._container_event(service, "die", exitCode=str(code))
        self._update(service, running=False, exit_code=code)

    def stopped(self, service: str) -> None:
        self._container_event(service, "stop")

    def start(self, service: str, action: str = "start") -> None:
        self._update(service, running=service != "job", exit_code=0, started_at=f"start {self.ticks}")
        self._container_event(service, action)
        if service == "job" and action == "start":
            self._container_event(service, "die", exitCode="0")

    def destroy(self, service: str) -> None:
        self._container_event(service, "destroy")

    def create(self, service: str, *, image: str | None = None) -> None:
        old = self.containers[f"{service}-1"]
        made = self._container(service, running=False)
        self.containers[f"{service}-1"] = replace(made, image=image or old.image)
        self._container_event(service, "create")

    def up(self, *arguments: str) -> None:
        """`up -d --scale SERVICE=NUMBER`, for one replica more or less."""
        service, _, number = arguments[1].partition("=")
        self._started_job_once()
        if int(number) > 1:
            second = replace(self._container(service, running=True), number=2)
            self.containers[f"{service}-2"] = second
            for action in ("create", "start"):
                self._event("container", second.identity, action)
            return
        gone = self.containers.pop(f"{service}-2").identity
        self._event("container", gone, "kill", signal="15")
        self._event("container", gone, "die", exitCode="143")
        self._event("container", gone, "destroy")

    def _started_job_once(self) -> None:
        if self.containers["job-1"].started_at == "start 0":
            self.start("job")

    def run(self, *arguments: str, **_: Any) -> None:
        """`compose run --rm` of a service."""
        labels = {ONEOFF: "True", SERVICE: next(word for word in arguments if word in SERVICES)}
        for action, more in (("create", {}), ("start", {}), ("die", {"exitCode": "0"}), ("destroy", {})):
            self._event("container", "c" * 64, action, **labels, **more)

    def volume(self, name: str, action: str) -> None:
        self._event("volume", name, action)
        if action == "create" and name in OWN_VOLUMES:
            self.volumes[name] = replace(self.volumes[name], created_at=f"2026-01-02T00:00:{self.ticks:02}Z")

    def end(self, service: str) -> None:
        if self.containers[f"{service}-1"].running:
            self.signal(service)
            self.die(service)

    def _container(self, service: str, *, running: bool) -> ContainerState:
        self.ticks += 1
        identity = f"{self.ticks:064x}"
        return ContainerState(
            identity,
            f"paper-{service}-1",
            service,
            1,
            f"sha256:{service}",
            running,
            "start 0",
            0,
            0,
            1,
            None,
            (),
        )

    def _update(self, service: str, **values: Any) -> None:
        self.containers[f"{service}-1"] = replace(self.containers[f"{service}-1"], **values)

    def _container_event(self, service: str, action: str, **attributes: str) -> None:
        self._event("container", self.containers[f"{service}-1"].identity, action, **attributes)

    def _event(self, kind: str, identity: str, action: str, **attributes: str) -> None:
        self.ticks += 1
        self.seen.append(EngineEvent(self.ticks, kind, action, identity, attributes))


def _up(engine: PaperEngine) -> None:
    _anew(engine, [CONTROL_SERVICE])
    engine.start("job")


def _restart(engine: PaperEngine) -> None:
    for service in SERVICES:
        engine.end(service)
        engine.stopped(service)
        engine.start(service)
        engine._container_event(service, "restart")


def _stop_start(engine: PaperEngine) -> None:
    for service in RUNNING:
        engine.end(service)
        engine.stopped(service)
    for service in SERVICES:
        engine.start(service)


def _kill_api(engine: PaperEngine) -> None:
    for service in ("api", CONTROL_SERVICE):
        engine.end(service)
    for service in ("api", CONTROL_SERVICE, "job"):
        engine.start(service)


def _pause_api(engine: PaperEngine) -> None:
    for action in ("pause", "unpause"):
        for service in ("api", CONTROL_SERVICE):
            engine._container_event(service, action)


def _crash_api(engine: PaperEngine) -> None:
    for service in ("api", CONTROL_SERVICE):
        engine.die(service)
        engine._update(service, restart_count=1)
        engine.start(service)


def _anew(engine: PaperEngine, services: list[str], images: dict[str, str] | None = None) -> None:
    for service in services:
        engine.end(service)
        engine.destroy(service)
    for service in services:
        engine.create(service, image=(images or {}).get(service))
        engine.start(service)


def _recreate(engine: PaperEngine) -> None:
    _anew(engine, SERVICES)


def _down_volumes(engine: PaperEngine) -> None:
    for service in SERVICES:
        engine.end(service)
        engine.destroy(service)
    for name in (*OWN_VOLUMES, "a" * 64):
        engine.volume(name, "destroy")
    for name in (*OWN_VOLUMES, "outside"):
        engine.volume(name, "create")
    for service in SERVICES:
        engine.create(service)
        engine.start(service)


def _rebuild(engine: PaperEngine) -> None:
    engine.end("proxy")
    engine.stopped("proxy")
    _anew(
        engine,
        ["api", "sidecar", CONTROL_SERVICE],
        {"api": "sha256:second", CONTROL_SERVICE: "sha256:second-control"},
    )
    engine.start("proxy")
    engine.start("job")


def _edited(engine: PaperEngine) -> None:
    """The `api` is another one to Compose; the sidecar and the proxy follow it."""
    engine.end("proxy")
    engine.stopped("proxy")
    _anew(engine, ["api", "sidecar", CONTROL_SERVICE])
    engine.start("proxy")
    engine.start("job")


def _renamed(engine: PaperEngine) -> None:
    for service in SERVICES:
        engine.end(service)
        engine.destroy(service)
    for name in RENAMED_VOLUMES.values():
        engine.volumes[name] = VolumeState(name, "media", "2026-01-02T00:00:00Z")
        engine.volume(name, "create")
    for service in SERVICES:
        engine.create(service)
        engine.start(service)


WRITING = {"service": "proxy", "command": "sh -c 'cat > /files/{name}'"}
# Without a play: the event itself, applied to the engine of paper.
PLAYS: dict[str, tuple[dict[str, Any], Callable[[PaperEngine], None] | None]] = {
    "up": ({}, _up),
    "restart": ({}, _restart),
    "stop-start": ({}, _stop_start),
    "kill": ({"service": "api"}, _kill_api),
    "crash": ({"service": "api"}, _crash_api),
    "pause": ({"service": "api"}, _pause_api),
    "recreate": ({}, _recreate),
    "renew-anon": ({}, _recreate),
    "scale": ({"service": "proxy"}, None),
    "run-once": (WRITING, None),
    "down-up": ({}, _recreate),
    "rebuild": ({}, _rebuild),
    "down-volumes": ({}, _down_volumes),
    "volume-recreate": ({}, _down_volumes),
    "image-upgrade": ({"service": "api"}, _rebuild),
    "up-changed": ({}, _edited),
    "rename-project": ({}, _renamed),
}
LEAVING_ALL = ("pause", "run-once")  # the stack is in the end as it was
# Entries that come with an event and prove nothing of it.
OPTIONAL = {"stop": {"restart", "rebuild"}}
RENAMED_VOLUMES = {key: f"paper-renamed_{key}" for key in ("media", NAMED_VOLUME)}
HASHES = {name: "second" if name in ("api", CONTROL_SERVICE) else "first" for name in SERVICES}


class PaperStack:
    """What events ask of a stack before they are applied; renaming its directory renames its volumes."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.project = PROJECT
        self.control = SimpleNamespace(service=CONTROL_SERVICE)
        self.engine = None
        self.compose = SimpleNamespace(run=self._run)
        self.prepared = SimpleNamespace(original={"edits": 0})
        self.edits: list[Any] = []

    def containers(self, service: str | None = None) -> list[Any]:
        labels = "com.docker.compose.service", "com.docker.compose.config-hash"
        found = [SimpleNamespace(labels=dict(zip(labels, (name, "first"), strict=True))) for name in SERVICES]
        return found if service is None else []

    def services(self) -> tuple[str, ...]:
        return tuple(SERVICES)

    def volume(self, key: str) -> str:
        volumes = RENAMED_VOLUMES if self.project != PROJECT else {}
        return str(volumes.get(key, CONFIG["volumes"][key]["name"]))

    def edit(self, changes: Any = None, file: str | None = None) -> None:
        self.edits.append(changes or file)
        self.prepared = SimpleNamespace(original={"edits": len(self.edits)})

    def rename_directory(self) -> None:
        self.project = f"{PROJECT}-renamed"

    def up(self, *arguments: str) -> None:
        return

    def down(self) -> None:
        return

    def _run(self, *arguments: str) -> CommandResult:
        assert arguments == ("config", "--hash", "*")
        return CommandResult("".join(f"{name} {hashed}\n" for name, hashed in HASHES.items()), "", 0)


def made(name: str, options: dict[str, Any]) -> Event:
    kind = EVENTS[name]
    event = kind(kind.Options.model_validate(options))
    stack = PaperStack()
    event.prepare(cast("Any", stack))
    if name == "rename-project":  # which volumes follow is known once it is done
        event.apply(cast("Any", stack), Silent())
    return event


def required(name: str) -> list[str]:
    return [key for key, field in EVENTS[name].Options.model_fields.items() if field.is_required()]


def played(name: str) -> tuple[Event, EngineState, EngineState, list[EngineEvent]]:
    options, play = PLAYS[name]
    engine = PaperEngine()
    before = engine.state()
    event = made(name, options)
    if play is None:
        event.apply(cast("Any", SimpleNamespace(state=engine.state, up=engine.up, compose=engine)), Silent())
    else:
        play(engine)
    return event, before, engine.state(), engine.seen


def necessary(name: str, event: EngineEvent, before: EngineState) -> bool:
    job = next(state.identity for state in before.containers.values() if state.service == "job")
    if event.kind == "volume":
        return event.identity in OWN_VOLUMES
    if event.action == "die" and event.attributes["exitCode"] == "0":
        return name == "run-once"  # else it is the job's own end
    if event.action == "stop":
        return name == "stop-start" and event.identity != job
    return True


@pytest.mark.parametrize("name", PLAYS)
def test_complete_stream_proves_the_event(name: str) -> None:
    event, before, after, seen = played(name)
    proof = event.prove(before, after, seen)
    assert proof.problems == ()
    assert any(fact.source == "stream" for fact in proof.evidence)


@pytest.mark.parametrize("name", PLAYS)
def test_every_missing_entry_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    checked = 0
    for index, entry in enumerate(seen):
        if necessary(name, entry, before):
            proof = event.prove(before, after, seen[:index] + seen[index + 1 :])
            assert proof.problems, f"{entry} is missing and nothing says so"
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", PLAYS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_stream_with_gaps_is_never_a_proof(name: str, data: st.DataObject) -> None:
    event, before, after, seen = played(name)
    needed = [i for i, entry in enumerate(seen) if necessary(name, entry, before)]
    missing = data.draw(st.sets(st.sampled_from(needed), min_size=1))
    assert event.prove(before, after, [e for i, e in enumerate(seen) if i not in missing]).problems


@pytest.mark.parametrize("name", PLAYS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_order_of_arrival_and_foreign_entries_do_not_matter(name: str, data: st.DataObject) -> None:
    event, before, after, seen = played(name)
    foreign = [
        EngineEvent(3, "network", "disconnect", "n" * 64, {}),
        EngineEvent(4, "container", "exec_start: true", before.containers["api-1"].identity, {}),
        EngineEvent(5, "volume", "mount", "paper_media", {}),
        EngineEvent(6, "container", "die", "f" * 64, {"exitCode": "1"}),
    ]
    mixed = data.draw(st.permutations(seen + foreign))
    assert event.prove(before, after, mixed).problems == ()


@pytest.mark.parametrize("name", EVENTS)
def test_an_engine_that_did_nothing_proves_nothing(name: str) -> None:
    commands = {"backup": "true", "restore": "true {archive}", "command": "true"}
    needed = {key: commands[key] for key in commands if key in required(name)}
    event = made(name, PLAYS[name][0] if name in PLAYS else needed)
    state = PaperEngine().state()
    assert event.prove(state, state, ()).problems


@pytest.mark.parametrize("name", PLAYS)
def test_the_states_alone_prove_nothing(name: str) -> None:
    event, before, after, _ = played(name)
    assert event.prove(before, after, ()).problems


@pytest.mark.parametrize("name", [name for name in PLAYS if name not in LEAVING_ALL])
def test_the_stream_alone_proves_nothing(name: str) -> None:
    event, before, _, seen = played(name)
    assert event.prove(before, before, seen).problems


@pytest.mark.parametrize("name", [name for name in PLAYS if name != "run-once"])
def test_entries_of_other_containers_prove_nothing(name: str) -> None:
    event, before, after, seen = played(name)
    others = [replace(entry, identity=f"f{entry.identity[1:]}") for entry in seen]
    assert event.prove(before, after, others).problems


@pytest.mark.parametrize("name", PLAYS)
def test_memory_that_ran_out_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    identity = before.containers["proxy-1"].identity
    proof = event.prove(before, after, [*seen, EngineEvent(0, "container", "oom", identity, {})])
    assert any("lack of memory" in problem for problem in proof.problems)


@pytest.mark.parametrize("name", PLAYS)
def test_a_death_of_its_own_before_the_event_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    identity = before.containers["proxy-1"].identity
    early = [
        EngineEvent(0, "container", "die", identity, {"exitCode": "3"}),
        EngineEvent(0, "container", "start", identity, {}),
    ]
    assert any("proxy" in problem for problem in event.prove(before, after, [*early, *seen]).problems)


@pytest.mark.parametrize("name", ["restart", "down-up", "rebuild", "kill"])
def test_a_container_that_was_started_again_and_died_was_reached_all_the_same(name: str) -> None:
    event, before, after, seen = played(name)
    dead = replace(after.containers["api-1"], running=False, exit_code=1)
    proof = event.prove(before, replace(after, containers={**after.containers, "api-1": dead}), seen)
    assert proof.problems == ()


@pytest.mark.parametrize("name", ["restart", "down-up", "rebuild", "kill"])
def test_a_service_that_ended_well_is_not_taken_for_one_that_is_ready(name: str) -> None:
    event, before, after, seen = played(name)
    done = replace(after.containers["api-1"], running=False, exit_code=0)
    proof = event.prove(before, replace(after, containers={**after.containers, "api-1": done}), seen)
    assert "api ran before the event and ended by itself after it (exit code 0)" in proof.problems


def not_all_started(name: str) -> tuple[Event, EngineState, EngineState, list[EngineEvent]]:
    """The event was carried out, but Compose started none of the user's services again."""
    event, before, after, seen = played(name)
    users = {
        key: state
        for key, state in after.containers.items()
        if state.service != CONTROL_SERVICE and state.started_at != before.containers[key].started_at
    }
    identities = {state.identity for state in users.values()}
    left = {
        key: replace(state, running=False, started_at=before.containers[key].started_at)
        if before.containers[key].identity == state.identity
        else replace(state, running=False)
        for key, state in users.items()
    }
    ended = [e for e in seen if e.identity not in identities or e.action != "start"]
    return event, before, replace(after, containers={**after.containers, **left}), ended


NOT_STARTED = [
    "stop-start", "kill", "recreate", "down-up", "rebuild", "down-volumes", "volume-recreate", "image-upgrade",
    "rename-project",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_STARTED)
def test_what_a_dependency_kept_from_starting_was_ended_all_the_same(name: str) -> None:
    event, before, after, seen = not_all_started(name)
    assert event.prove(before, after, seen, came_up=False).problems == ()
    assert event.prove(before, after, seen).problems


@pytest.mark.parametrize("name", NOT_STARTED)
def test_what_was_not_ended_is_a_problem_whatever_came_up(name: str) -> None:
    event, before, after, seen = not_all_started(name)
    identity = before.containers["api-1"].identity
    alive = {**after.containers, "api-1": before.containers["api-1"]}
    unharmed = [entry for entry in seen if entry.identity != identity]
    assert event.prove(before, replace(after, containers=alive), unharmed, came_up=False).problems


@pytest.mark.parametrize("name", ["restart", "down-up", "kill", "rebuild"])
def test_a_volume_that_changed_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    other = replace(after.volumes["paper_media"], created_at="2026-01-03T00:00:00Z")
    proof = event.prove(before, replace(after, volumes={**after.volumes, "paper_media": other}), seen)
    assert "volume paper_media: expected unchanged, but it is made anew" in proof.problems


def test_a_volume_made_anew_within_the_second_is_seen_in_the_stream() -> None:
    event, before, after, seen = played("down-volumes")
    assert event.prove(before, replace(after, volumes=before.volumes), seen).problems == ()
    event, before, after, seen = played("down-up")
    again = [
        EngineEvent(900 + i, "volume", a, "paper_media", {}) for i, a in enumerate(("destroy", "create"))
    ]
    problems = event.prove(before, after, [*seen, *again]).problems
    assert "volume paper_media was destroyed, which this event must not do" in problems


def test_an_external_volume_that_was_destroyed_is_a_problem() -> None:
    event, before, after, seen = played("down-volumes")
    gone = {name: volume for name, volume in after.volumes.items() if name != "outside"}
    entry = EngineEvent(999, "volume", "destroy", "outside", {})
    problems = event.prove(before, replace(after, volumes=gone), [*seen, entry]).problems
    assert "volume outside: expected unchanged, but it is gone" in problems
    assert "volume outside was destroyed, which this event must not do" in problems


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
    _kill_api(engine)
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
    _pause_api(engine)
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
