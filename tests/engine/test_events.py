"""Every event on a real stack: proven with the exact delta when it happens, and never when it does not."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event, Proof
from persistence_tests.model.records import DataFate
from persistence_tests.stack.compose import Compose
from persistence_tests.stack.difference import difference
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.exec_stream import run_any
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack
from persistence_tests.stack.state import Delta, EngineState
from tests.stacks.box_scenario import IN_MACHINES, ON_DISKS
from tests.stacks.during import Silent

pytestmark = pytest.mark.engine

COMPOSE = """
services:
  api:
    build: ./api
    restart: always
    volumes: [data:/data, /scratch]
  proxy:
    image: debian:bookworm-slim
    init: true
    restart: unless-stopped
    command: [sleep, infinity]
    network_mode: service:api
    volumes: [shared:/shared]
  stubborn:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    stop_grace_period: 500ms
  follower:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    depends_on: {api: {condition: service_started, restart: true}}
  job:
    image: debian:bookworm-slim
    command: ["true"]
volumes:
  data: {}
  shared: {external: true, name: events-shared}
"""
DOCKERFILE = """
FROM debian:bookworm-slim
RUN mkdir /data && echo born >/data/born
CMD exec sh -c 'trap "exit 0" TERM; while :; do sleep 0.05; done'
"""
BACKUP = """#!/bin/bash
set -euo pipefail
mkdir -p backups
archive=backups/$(date +%s%N).tar
docker-compose exec -T api tar -C /data -c . >"$archive"
echo made "./$archive"
"""
RESTORE = """#!/bin/bash
set -euo pipefail
docker-compose exec -T api sh -c 'rm -rf /data/* && tar -C /data -x' <"$1"
"""
COMMANDS = {"backup": "./backup.sh", "restore": "./restore.sh {archive}"}
OPTIONS: dict[str, dict[str, Any]] = {
    "kill": {"service": "api"},
    # Not `proxy` too, which is in its network: the engine starts no container there while `api` is being restarted.
    "crash": {"service": "api"},
    "backup-restore": COMMANDS,
    "scale": {"service": "api", "to": 3},
    "run-once": {"service": "api", "command": "sh -c 'cat > /data/{name}'"},
}
CHANGING = frozenset({"image-upgrade", "up-changed", "rename-project", "deploy"})
"""They leave another stack behind than the one that all tests here share: test_changed_stack.py has them."""

CASES = [
    pytest.param(name, OPTIONS.get(name, {}), id=name)
    for name in EVENTS
    if name not in CHANGING | ON_DISKS | IN_MACHINES
]
CASES += [
    pytest.param("kill", {}, id="kill all"),
    pytest.param("volume-recreate", COMMANDS, id="volume-recreate, restored"),
    pytest.param("volume-recreate", {"volume": "data"}, id="volume-recreate of one"),
]
MUTATING = frozenset(
    {"up", "down", "restart", "stop", "start", "kill", "build", "rm", "create", "pause", "unpause", "run"}
)
SABOTAGE = [
    ("kill", "kill"),
    ("renew-anon", "--renew-anon-volumes"),
    ("recreate", "--force-recreate"),
    ("down-up", "down"),
    ("rebuild", "--no-cache"),
    ("down-volumes", "--volumes"),
    ("volume-recreate", "down"),
]
MORE_SABOTAGE = [
    ("scale", "up"),
    ("run-once", "run"),
    ("run-once", "--rm"),
    ("stop-start", "stop"),
    ("stop-start", "start"),
    ("kill", "up"),
    ("down-up", "up"),
    ("rebuild", "build"),
    ("rebuild", "up"),
    ("down-volumes", "down"),
    ("down-volumes", "up"),
    ("volume-recreate", "up"),
]


class Checkpoints(Silent):
    def __init__(self, stack: Stack | None = None) -> None:
        self.count = 0
        self._stack = stack

    def checkpoint(self) -> None:
        self.count += 1
        if self._stack is not None:
            put(self._stack, "after")

    def look(self) -> None:
        if self._stack is not None:
            assert len(self._stack.containers("api")) == 3

    def write(self, write: Callable[[str, bytes], None]) -> None:
        write("once", b"written by a container that is gone")


class DisarmedCompose(Compose):
    """Answers success to commands that would change something, and does nothing, or not what matters."""

    without: frozenset[str] = MUTATING

    def run(self, *arguments: str, **options: Any) -> CommandResult:
        if arguments[0] in self.without:
            return CommandResult("", "", 0)
        return super().run(*(a for a in arguments if a not in self.without), **options)


def disarm(stack: Stack, monkeypatch: pytest.MonkeyPatch, without: frozenset[str] = MUTATING) -> None:
    armed = stack.compose
    values = {field.name: getattr(armed, field.name) for field in dataclasses.fields(armed)}
    kind = type("Disarmed", (DisarmedCompose,), {"without": without})
    monkeypatch.setattr(stack, "compose", kind(**values))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("events")
    (directory / "api").mkdir()
    (directory / "compose.yaml").write_text(COMPOSE)
    (directory / "api" / "Dockerfile").write_text(DOCKERFILE)
    for name, text in (("backup.sh", BACKUP), ("restore.sh", RESTORE)):
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    engine = Engine.connect()
    spec = StackSpec(compose=(directory / "compose.yaml",), follow_project=True)
    stack = Stack.prepare(spec, engine, f"test-{secrets.token_hex(4)}", "events")
    try:
        stack.start()
        yield stack
    finally:
        stack.close()
        engine.close()


def made(name: str, options: dict[str, Any]) -> Event:
    kind = EVENTS[name]
    return kind(kind.Options.model_validate(options))


def put(stack: Stack, name: str) -> None:
    [api] = stack.containers("api")
    assert api.exec_run(["sh", "-c", f"echo {name} >/data/{name}"]).exit_code == 0


def names(stack: Stack) -> set[str]:
    [api] = stack.containers("api")
    output, _, _ = run_any(api, ["ls", "/data"])
    return set(output.decode().split())


def applied(
    event: Event, stack: Stack, during: Checkpoints | None = None
) -> tuple[EngineState, EngineState, Proof]:
    event.prepare(stack)
    before = stack.state()
    with stack.watch() as watch:
        event.apply(stack, during or Checkpoints())
        after = stack.state()
        seen = watch.finish()
    return before, after, event.prove(before, after, seen)


def test_the_stack_is_what_the_tests_say(stack: Stack) -> None:
    before = stack.state()
    assert {key for key, state in before.containers.items() if not state.running} == {"job-1"}
    assert {volume.key for volume in before.volumes.values()} >= {"data", "shared", None}


@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_event_that_happens_is_proven(
    stack: Stack, name: str, options: dict[str, Any], record_property: Any
) -> None:
    event = made(name, options)
    put(stack, "before")
    token = secrets.token_hex(8)
    stack.control.write(token)
    began = time.monotonic()
    during = Checkpoints(stack)
    before, after, proof = applied(event, stack, during)
    record_property("seconds", round(time.monotonic() - began, 2))
    assert proof.problems == ()
    assert {fact.source for fact in proof.evidence} <= {"stream", "inspect"}
    assert proof.evidence
    assert event.expected(before) == difference(before, after)

    kept = stack.control.check(token)
    if event.controls.must_keep in kept:
        assert kept[event.controls.must_keep]
    if event.controls.must_lose in kept:
        assert not kept[event.controls.must_lose]

    restored = event.fate() is DataFate.RESTORED
    assert during.count == (1 if restored else 0)
    assert ("before" in names(stack)) is (event.fate() is not DataFate.DESTROYED)
    assert "after" not in names(stack)


@pytest.mark.parametrize(
    ("name", "options"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_event_that_does_not_happen_is_never_proven(
    stack: Stack, name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    disarm(stack, monkeypatch)
    monkeypatch.setattr(stack, "signal_main_process", lambda container, signal: None)
    monkeypatch.setattr(stack, "command", lambda line, **_: CommandResult("", "", 0))
    _, _, proof = applied(made(name, options), stack)
    assert proof.problems
    monkeypatch.undo()
    stack.up()  # the control container, which `up` takes away beforehand


@pytest.mark.parametrize(
    ("name", "part"), [*SABOTAGE, *(pytest.param(*pair, marks=pytest.mark.soak) for pair in MORE_SABOTAGE)]
)
def test_an_event_of_which_a_part_does_not_happen_is_never_proven(
    stack: Stack, name: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disarm(stack, monkeypatch, frozenset({part}))
    _, _, proof = applied(made(name, OPTIONS.get(name, {})), stack)
    assert proof.problems
    monkeypatch.undo()
    stack.up()


def test_volumes_that_were_not_removed_are_a_problem(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = SimpleNamespace(remove=lambda: None)
    monkeypatch.setattr(
        type(stack.engine.client), "volumes", property(lambda _: SimpleNamespace(get=lambda name: kept))
    )
    _, _, proof = applied(made("volume-recreate", {}), stack)
    assert f"no `destroy` of volume {stack.volume('data')} in the engine's event stream" in proof.problems


@pytest.mark.parametrize("command", ["restore", "backup"])
def test_a_command_that_fails_is_told_with_its_last_words(stack: Stack, command: str) -> None:
    options = {**COMMANDS, command: "echo fine; echo the disk is full >&2; exit 3"}
    _, _, proof = applied(made("backup-restore", options), stack)
    [problem] = proof.problems
    assert "failed with exit code 3" in problem
    assert "the disk is full" in problem


def test_volumes_stay_where_the_backup_failed(stack: Stack) -> None:
    put(stack, "before")
    _, _, proof = applied(made("volume-recreate", {**COMMANDS, "backup": "exit 1"}), stack)
    assert proof.problems[0].startswith("`exit 1` failed with exit code 1")
    assert "before" in names(stack)


@pytest.mark.parametrize(
    ("backup", "told"),
    [
        ("true", "no file appeared"),
        (": >empty.tar", "is empty"),
        ("echo x >old.tar; true", None),
        ("echo old.tar", "is as it was before"),
    ],
)
def test_a_backup_without_an_archive_is_a_problem(stack: Stack, backup: str, told: str | None) -> None:
    during = Checkpoints()
    _, _, proof = applied(made("backup-restore", {"backup": backup, "restore": "true"}), stack, during)
    assert [told] == [told for problem in proof.problems if told and told in problem] or proof.problems == ()
    assert bool(proof.problems) is (told is not None)
    assert during.count == (1 if told is None else 0)


def test_the_archive_is_named_by_the_last_line_or_is_the_newest_file(stack: Stack) -> None:
    backup = "echo a >'first one.tar'; echo b >second.tar; echo c >second.tar.sha256"
    restore = "cat {archive} >restored"
    assert applied(made("backup-restore", {"backup": backup, "restore": restore}), stack)[2].problems == ()
    assert (stack.workspace / "restored").read_text() == "b\n"
    backup = f"{backup}; echo ./first one.tar"
    assert applied(made("backup-restore", {"backup": backup, "restore": restore}), stack)[2].problems == ()
    assert (stack.workspace / "restored").read_text() == "a\n"


def test_a_signal_that_is_ignored_kills_nothing(stack: Stack) -> None:
    _, _, proof = applied(made("kill", {"service": "stubborn", "signal": "SIGTERM"}), stack)
    assert "stubborn outlived SIGTERM: its main process did not end" in proof.problems


def test_a_signal_that_ends_the_process_gently_is_a_kill(stack: Stack) -> None:
    before, after, proof = applied(made("kill", {"service": "api", "signal": "SIGTERM"}), stack)
    assert proof.problems == ()
    assert event_changes(before, after) == {"api-1", "persistence-control-1", "job-1"}


def test_a_crash_without_restart_policy_is_explained(stack: Stack) -> None:
    _, after, proof = applied(made("crash", {"service": "stubborn"}), stack)
    assert any(problem.startswith("stubborn has no restart policy") for problem in proof.problems)
    assert after.containers["stubborn-1"].running


def event_changes(before: EngineState, after: EngineState) -> set[str]:
    delta: Delta = difference(before, after)
    return {key for key, change in delta.containers.items() if change.value != "same"}
