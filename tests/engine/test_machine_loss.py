"""What befalls a machine and what does not: the power of a whole host, events disarmed, a harness that is killed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.run import epoch
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.stack import control
from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.disks.station import Cut, Station
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.machine import container as machine
from persistence_tests.stack.machine.container import Machine
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import BOX, IN_MACHINES, VOLUME, WRITES, Entry, write_scenario
from tests.stacks.command import Command, made_below
from tests.stacks.loop_devices import disks_of

pytestmark = pytest.mark.engine

STACK = {"compose": str(BOX / "compose.yaml"), "isolation": "machine"}
WEB = {**STACK, "profiles": ["web"]}
FSYNCED = {"acknowledged": {"direct": "fsync"}}
SERVED = {"service": "web", "port": 8000, "url": "/files/{name}", "within": "1s"}
POSTED = {**WRITES, "through": "api", "request": "POST /files/{name}"}
CUT = "host-power-loss"
FIXED_MEDIA = Path(__file__).parents[1] / "fixed-media" / "media-machine.persistence.yaml"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "READY_WITHIN", 20.0)
    monkeypatch.setattr(control, "WAIT", 3.0)


def judged(directory: Path, events: Sequence[Entry], **parts: Any) -> tuple[Bench, list[StepJudgement]]:
    listed = {str(place): entry for place, entry in enumerate(events)}
    with bench(directory, listed, times=1, **parts) as opened:
        judgements = list(opened.running.judgements())
    assert disks_of(opened.run.identity) == []
    return opened, judgements


def test_a_host_that_loses_its_power_loses_what_was_not_synced_and_nothing_else(tmp_path: Path) -> None:
    paths = {"volume": VOLUME, "direct": {"service": "box", "root": "/files"}, "api": SERVED}
    writes = [WRITES, {**POSTED, "into": ["posted"]}]
    _, [up, cut] = judged(tmp_path, [CUT], stack=WEB, paths=paths, writes=writes, promise=FSYNCED)
    assert up.verdict is Verdict.KEPT
    assert (cut.verdict, cut.reasons) == (Verdict.LOST, ())
    assert {finding.symptom for finding in cut.findings} <= {Symptom.MISSING, Symptom.EMPTY}
    lost = {str(name) for finding in cut.findings for name in finding.names}
    assert lost and all(name.startswith("posted/") for name in lost), lost


@pytest.mark.soak
def test_scripts_that_name_containers_and_volumes_bring_every_file_back(tmp_path: Path) -> None:
    settings = Settings(report_dir=tmp_path / "reports", seed=7)
    engine = Engine.connect()
    with Run(settings, engine) as run, run.scenario(load(FIXED_MEDIA)) as running:
        judgements = list(running.judgements())
    engine.close()
    assert [(j.step, j.reasons, j.findings) for j in judgements if j.verdict is not Verdict.KEPT] == []
    assert len(judgements) == 5


def nothing(*_: object, **__: object) -> None:
    """What a call that never reached the machine does."""


def prunes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Machine.run

    def run(self: Machine, command: Sequence[str]) -> str:
        return "" if "prune" in command else real(self, command)

    monkeypatch.setattr(Machine, "run", run)


def cuts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def pretended(self: Station, *, journal: bool = False) -> list[Cut]:
        return [Cut(place, "Input/output error") for place in range(len(self._devices))]

    monkeypatch.setattr(Station, "cut", pretended)


def without(*methods: str) -> Callable[[pytest.MonkeyPatch], None]:
    def disarm(monkeypatch: pytest.MonkeyPatch) -> None:
        for method in methods:
            monkeypatch.setattr(Machine, method, nothing)

    return disarm


DISARMED: dict[str, tuple[Entry, Callable[[pytest.MonkeyPatch], None]]] = {
    "engine-restart": ("engine-restart", without("signal_engine")),
    "engine-kill": ("engine-kill", without("signal_engine")),
    "reboot": ("reboot", without("stop")),
    "host-crash": ("host-crash", without("kill")),
    "prune": ("prune", prunes_nothing),
    CUT: (CUT, cuts_nothing),
}
OFTEN = ("engine-kill",)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    events = {name: entry for name, (entry, _) in DISARMED.items()}
    with bench(tmp_path_factory.mktemp("machine"), events, times=1, stack=STACK, promise=FSYNCED) as opened:
        assert opened.running.open().verdict is Verdict.KEPT
        yield opened


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in OFTEN else pytest.mark.soak) for each in DISARMED]
)
def test_an_event_that_reaches_no_machine_is_inconclusive(
    box: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence_tests.events.engine_loss.END_SECONDS", 2.0)
    monkeypatch.setattr("persistence_tests.events.on_machine.RESTART_SECONDS", 2.0)
    monkeypatch.setattr("persistence_tests.stack.disks.station.FREE_SECONDS", 2.0)
    planned = box.take(name)
    with monkeypatch.context() as patched:
        real = planned.event.apply

        def apply(*arguments: Any) -> None:
            with patched.context() as disarmed:
                DISARMED[name][1](disarmed)
                real(*arguments)

        patched.setattr(planned.event, "apply", apply)
        judgement = box.step(planned)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any("did not land" in reason for reason in judgement.reasons), judgement.reasons


def test_every_event_of_a_machine_is_disarmed_here() -> None:
    assert {name for name, _ in DISARMED.values()} == IN_MACHINES


@pytest.fixture
def near() -> Iterator[Path]:
    """A directory with a name that is short enough for a socket far below it."""
    with tempfile.TemporaryDirectory(prefix="m-") as directory:
        yield Path(directory)


@pytest.mark.soak
@pytest.mark.parametrize("event", ["host-crash", CUT])
def test_a_killed_run_leaves_no_machine_once_it_is_cleaned_up(near: Path, event: str) -> None:
    scenario = write_scenario(near, [event], stack=STACK, promise=FSYNCED)
    command = Command("run", str(scenario), "--report-dir", str(near / "reports"), directory=near)
    command.wait_for_record("PathObserved", step=event, phase="before")
    command.kill()
    engine = Engine.connect()
    assert made_below(engine.client, command.temporary) != []
    assert bool(disks_of(command.run)) is (event == CUT)
    mine = Leftovers(tuple(each for each in leftovers(engine).found if each.run == command.run))
    assert remove(engine, mine) == []
    assert made_below(engine.client, command.temporary) == []
    engine.close()
    assert disks_of(command.run) == []


def test_where_no_container_may_be_a_docker_host_the_step_is_skipped_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CAPABILITIES", ("NET_ADMIN",))
    monkeypatch.setattr(Machine.wait_engine, "__defaults__", (3.0,))
    with bench(tmp_path, {"reboot": "reboot"}, times=1, stack=STACK) as opened:
        judgements = list(opened.running.judgements())
    assert [judgement.verdict for judgement in judgements] == [Verdict.SKIPPED] * len(judgements)
    for judgement in judgements:
        assert any("no Docker host can be had in a container here" in reason for reason in judgement.reasons)


def test_a_socket_whose_path_is_too_long_is_said_to_be(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60)
    deep.mkdir()
    scenario = write_scenario(deep, ["reboot"], stack=STACK)
    ended = Command("run", str(scenario), "--report-dir", str(deep / "reports"), directory=deep).ended()
    assert ended.code == 2, ended
    assert "the path of the machine's socket would have" in ended.said
    assert "set TMPDIR to a directory with a shorter name" in ended.said
    assert "error:" not in ended.said
