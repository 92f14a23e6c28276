"""A small engine of paper, and what each event does to it: for tests of what the stream must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.inspection import ONEOFF, SERVICE
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.state import ContainerState, EngineEvent, EngineState, VolumeState
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
    anew(engine, [CONTROL_SERVICE])
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


def kill_api(engine: PaperEngine) -> None:
    for service in ("api", CONTROL_SERVICE):
        engine.end(service)
    for service in ("api", CONTROL_SERVICE, "job"):
        engine.start(service)


def pause_api(engine: PaperEngine) -> None:
    for action in ("pause", "unpause"):
        for service in ("api", CONTROL_SERVICE):
            engine._container_event(service, action)


def _crash_api(engine: PaperEngine) -> None:
    for service in ("api", CONTROL_SERVICE):
        engine.die(service)
        engine._update(service, restart_count=1)
        engine.start(service)


def anew(engine: PaperEngine, services: list[str], images: dict[str, str] | None = None) -> None:
    for service in services:
        engine.end(service)
        engine.destroy(service)
    for service in services:
        engine.create(service, image=(images or {}).get(service))
        engine.start(service)


def _recreate(engine: PaperEngine) -> None:
    anew(engine, SERVICES)


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
    anew(
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
    anew(engine, ["api", "sidecar", CONTROL_SERVICE])
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
    "kill": ({"service": "api"}, kill_api),
    "crash": ({"service": "api"}, _crash_api),
    "pause": ({"service": "api"}, pause_api),
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
