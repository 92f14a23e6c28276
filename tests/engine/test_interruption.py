"""A run that is interrupted, killed, or whose engine goes away: what it says, what it keeps, what it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from persistence_tests.stack import workspace
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.identity import RUN_LABEL, STACK_LABEL, WORKSPACE_LABEL
from tests.stacks.box_scenario import WRITES, Entry, write_scenario
from tests.stacks.command import Command, Ended, made_below, named_after
from tests.stacks.own_engine import IMAGE, OwnEngine, why_not

pytestmark = pytest.mark.engine

EVENTS: list[Entry] = ["down-up", {"kill": {"while": "writing"}}]
MANY_FILES = {**WRITES, "files": 150}
Start = Callable[..., Command]
Point = Callable[[Command], None]


def building(run: Command) -> None:
    run.wait_for_record("StackPrepared")


def writing(run: Command) -> None:
    run.wait_for_record("Completed")


def applying_the_event(run: Command) -> None:
    run.wait_for_record("EventBegan", step="down-up")


def applying_it_while_writing(run: Command) -> None:
    run.wait_for_record("EventBegan", step="kill")


def verifying(run: Command) -> None:
    run.wait_for_record("StackReadyAgain", step="down-up")


def only(point: Point) -> tuple[str, str]:
    """No other event than that of the point."""
    return "--event", "kill" if point is applying_it_while_writing else "down-up"


POINTS = [building, writing, applying_the_event, applying_it_while_writing, verifying]
each_point = pytest.mark.parametrize("point", POINTS, ids=lambda point: point.__name__)


@pytest.fixture
def client() -> Iterator[DockerClient]:
    engine = Engine.connect()
    yield engine.client
    engine.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `persistence run` over the box; what it started is ended, and what that left is removed."""
    started: list[Command] = []

    def run(*arguments: str, engine: str | None = None, **parts: Any) -> Command:
        scenario = write_scenario(tmp_path, EVENTS, **parts)
        command = Command(
            *("run", str(scenario), "--report-dir", str(tmp_path / "reports"), *arguments),
            directory=tmp_path,
            engine=engine,
        )
        started.append(command)
        return command

    yield run
    for command in started:
        command.kill()


def checked(run: Command, tmp_path: Path) -> Ended:
    """What `persistence check` says of its history; it needs no engine."""
    directory = tmp_path / "check"
    directory.mkdir()
    command = Command("check", str(run.history), "--json", directory=directory, engine="unix:///nowhere.sock")
    return command.ended()


@each_point
def test_an_interrupted_run_leaves_its_history_and_nothing_else(
    start: Start, client: DockerClient, tmp_path: Path, point: Point
) -> None:
    run = start(*only(point), writes=[MANY_FILES])
    point(run)
    run.send(signal.SIGINT)
    assert_interrupted(run, run.ended(), client, tmp_path)


@pytest.mark.parametrize("point", [building, applying_it_while_writing])
def test_interrupting_again_and_again_does_not_stop_the_removal(
    start: Start, client: DockerClient, tmp_path: Path, point: Point
) -> None:
    run = start(*only(point), writes=[MANY_FILES])
    point(run)
    run.send_until_it_ends(signal.SIGTERM)
    ended = run.ended()
    assert_interrupted(run, ended, client, tmp_path)
    assert "what the run made is being removed" in ended.stderr


def test_an_interrupt_during_the_last_removal_waits_for_it(
    start: Start, client: DockerClient, tmp_path: Path
) -> None:
    run = start("--event", "down-up")

    def being_removed() -> bool:
        containers = client.api.containers(all=True, filters={"label": f"{RUN_LABEL}={run.run}"})
        return len(containers) < 2

    run.wait_for_record("StepEnded", step="down-up")
    run.wait_for(being_removed)
    run.send_until_it_ends(signal.SIGINT)
    assert_interrupted(run, run.ended(), client, tmp_path, verdict="kept")


def assert_interrupted(
    run: Command, ended: Ended, client: DockerClient, tmp_path: Path, verdict: str = "inconclusive"
) -> None:
    assert ended.code == 130, ended
    assert "the run is not complete: interrupted" in ended.said
    assert f"report: {run.history.parent}/" in ended.said
    assert "Traceback" not in ended.said
    assert made_below(client, run.temporary) == []
    assert named_after(client, run.run) == []
    [last] = run.records("RunEnded")
    assert (last["complete"], last["why"]) == (False, "interrupted")
    judged = checked(run, tmp_path)
    assert judged.code == 130, judged
    result = json.loads(judged.stdout)
    assert result["complete"] is False
    assert result["verdict"] == verdict
    written = json.loads((run.history.parent / "result.json").read_text())
    assert (written["exit_code"], written["verdict"]) == (130, verdict)


# With an engine of our own: `clean` acts on whatever it finds, and the other tests' engine is not to be killed.


@pytest.fixture(scope="module")
def own_engine() -> Iterator[OwnEngine]:
    if reason := why_not():
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="engine-"))
    engine = OwnEngine(directory)
    try:
        engine.start()
        engine.load()
        yield engine
    finally:
        engine.close()


@each_point
def test_what_a_killed_run_left_is_cleaned_and_nothing_else(
    start: Start,
    own_engine: OwnEngine,
    tmp_path: Path,
    point: Point,
) -> None:
    client = own_engine.client
    run = start(*only(point), writes=[MANY_FILES], engine=own_engine.url)
    point(run)
    run.kill()
    assert run.ended().code == -signal.SIGKILL
    judged = checked(run, tmp_path)
    assert judged.code == 2, judged
    assert json.loads(judged.stdout)["verdict"] != "kept"
    assert made_below(client, run.temporary)

    canary = Canary(client)
    other = OfALiveRun(client, run.temporary)
    try:
        cleaned = clean(run, tmp_path, own_engine)
        assert cleaned.code == 0, cleaned
        assert f"run {run.run}" in cleaned.stdout
        assert "Traceback" not in cleaned.said
        assert canary.is_there()
        assert other.is_there()
        other.remove()
        assert made_below(client, run.temporary) == []
        assert named_after(client, run.run) == []
    finally:
        other.remove()
        canary.remove()


def clean(run: Command, tmp_path: Path, engine: OwnEngine) -> Ended:
    directory = tmp_path / "clean"
    directory.mkdir()
    (directory / "tmp").symlink_to(run.temporary)
    return Command("clean", "--yes", directory=directory, engine=engine.url).ended()


class Canary:
    """A container and its volume that are somebody's own."""

    def __init__(self, client: DockerClient, labels: dict[str, str] | None = None) -> None:
        self._client = client
        self._volume = client.volumes.create(labels=labels or {})
        name = str(self._volume.name)
        self._container = client.containers.create(
            IMAGE, ["true"], labels=labels or {}, volumes={name: {"bind": "/data"}}, network_mode="none"
        )

    def is_there(self) -> bool:
        containers = {container.id for container in self._client.containers.list(all=True)}
        volumes = {volume.name for volume in self._client.volumes.list()}
        return self._container.id in containers and self._volume.name in volumes

    def remove(self) -> None:
        if self.is_there():
            self._container.remove()
            self._volume.remove()


class OfALiveRun(Canary):
    """The same of a run whose process, this one, still lives."""

    def __init__(self, client: DockerClient, temporary: Path) -> None:
        self._workspace = temporary / f"{workspace.PREFIX}alive"
        self._workspace.mkdir()
        marker = {"run": "alive", "process": os.getpid(), "started": workspace._start_of(os.getpid())}
        (self._workspace / workspace.MARKER).write_text(json.dumps(marker))
        labels = {RUN_LABEL: "alive", STACK_LABEL: "alive", WORKSPACE_LABEL: str(self._workspace)}
        super().__init__(client, labels)

    def remove(self) -> None:
        super().remove()
        shutil.rmtree(self._workspace, ignore_errors=True)


def test_an_engine_that_is_absent_is_said_to_be(start: Start, tmp_path: Path) -> None:
    run = start(engine=f"unix://{tmp_path}/nobody.sock")
    ended = run.ended()
    assert ended.code == 2, ended
    assert f"error: no Docker engine answers at unix://{tmp_path}/nobody.sock" in ended.stderr
    assert "help: start Docker" in ended.stderr
    assert "Traceback" not in ended.said
    assert list(run.temporary.iterdir()) == []


BOUND_SECONDS = 90.0


@pytest.mark.parametrize("point", [building, applying_the_event, applying_it_while_writing, verifying])
def test_an_engine_that_dies_makes_the_step_inconclusive(
    start: Start,
    own_engine: OwnEngine,
    tmp_path: Path,
    point: Point,
) -> None:
    run = start(*only(point), writes=[MANY_FILES], engine=own_engine.url)
    point(run)
    own_engine.kill()
    try:
        ended = run.ended(within=BOUND_SECONDS)
    finally:
        own_engine.start()
    assert ended.code == 2, ended
    assert "Traceback" not in ended.said
    assert "engine" in ended.said
    assert "run `persistence clean`" in ended.said
    result = json.loads((run.history.parent / "result.json").read_text())
    assert (result["verdict"], result["exit_code"]) == ("inconclusive", 2)
    assert {step["verdict"] for step in result["scenarios"][0]["steps"]} <= {"kept", "inconclusive"}
    assert checked(run, tmp_path).code == 2

    cleaned = clean(run, tmp_path, own_engine)
    assert cleaned.code == 0, cleaned
    assert made_below(own_engine.client, run.temporary) == []
    assert named_after(own_engine.client, run.run) == []
