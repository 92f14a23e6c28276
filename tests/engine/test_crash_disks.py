"""Crash disks and the power that goes: what is kept and what is lost, proven, and nothing left behind."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.records import EventEnded
from persistence_tests.run import epoch
from persistence_tests.stack import control
from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.disks.station import Condition, Cut, Station
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.exec_stream import run_any
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import BOX, COMMANDS, DIRECT, VOLUME, WRITES, Entry, write_scenario
from tests.stacks.command import Command, made_below
from tests.stacks.loop_devices import disks_of
from tests.stacks.shipped import judgements_of, shipped

pytestmark = pytest.mark.engine

AT_ONCE: Entry = {"power-loss": {"strict": False}}
STRICT: Entry = {"power-loss": {"strict": True}}
LATER: Entry = {"power-loss": {"after": "7s"}}
SERVED = {"service": "web", "port": 8000, "url": "/files/{name}", "within": "1s"}
FSYNCED = {"acknowledged": {"direct": "fsync"}}
WEB = {
    "compose": str(BOX / "compose.yaml"),
    "profiles": ["web"],
    "ready": {"path": "api", "url": "/health", "within": "20s"},
}
POSTED = {**WRITES, "through": "api", "request": "POST /files/{name}"}
AMID_UP: Entry = {"power-loss": {"during": "up", "strict": False}}
AMID_DEPLOY: Entry = {"power-loss": {"command": "./deploy.sh", "at": "starting", "strict": False}}
EVENTS: dict[str, Entry] = {"at once": AT_ONCE, "strict": STRICT, "later": LATER}
AMID_RESTORE: Entry = {
    "power-loss": {
        "backup": COMMANDS["backup"],
        "command": COMMANDS["restore"],
        "at": "cleared",
        "strict": False,
    }
}
AMID: dict[str, Entry] = {"up": AMID_UP, "deploy": AMID_DEPLOY, "restore": AMID_RESTORE}


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "READY_WITHIN", 20.0)
    monkeypatch.setattr(control, "WAIT", 3.0)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Files that are fsynced with their directory, so that every one must be kept."""
    directory = tmp_path_factory.mktemp("synced")
    with bench(directory, {**EVENTS, **AMID}, times=6, promise=FSYNCED) as opened:
        assert opened.running.open().verdict is Verdict.KEPT
        yield opened
        assert disks_of(opened.run.identity)
    assert disks_of(opened.run.identity) == []


@pytest.mark.parametrize("name", EVENTS)
def test_what_was_synced_is_kept(synced: Bench, name: str) -> None:
    judgement = synced.step(synced.take(name))
    assert (judgement.verdict, judgement.reasons) == (Verdict.KEPT, ())
    [ended] = [e.record for e in synced.run.entries if isinstance(e.record, EventEnded)][-1:]
    said = [evidence.fact for evidence in ended.proof]
    flushed = "journal written out" if name == "strict" else "nothing written out"
    assert any(
        f"FS_IOC_SHUTDOWN, {flushed}; a write was then answered: Input/output error" in s for s in said
    )
    assert any("mounted by nobody after the cut, its journal to be replayed" in s for s in said)


@pytest.mark.parametrize("name", AMID)
def test_what_was_synced_is_kept_when_the_power_goes_in_the_middle(synced: Bench, name: str) -> None:
    judgement = synced.step(synced.take(name))
    assert (judgement.verdict, judgement.reasons) == (Verdict.KEPT, ())
    [ended] = [e.record for e in synced.run.entries if isinstance(e.record, EventEnded)][-1:]
    assert any("was under way and had come to" in evidence.fact for evidence in ended.proof)


def test_a_cut_that_does_not_happen_is_inconclusive(synced: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretended(self: Station, *, journal: bool = False) -> list[Cut]:
        self._unmount()
        return [Cut(place, "Input/output error") for place in range(len(self._devices))]

    monkeypatch.setattr(Station, "cut", pretended)
    judgement = synced.step(synced.take("at once"))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    # The kernel took its time: what was never synced is there, or the disk was unmounted like any other.
    assert any("did not behave" in reason or "did not land" in reason for reason in judgement.reasons)


def test_disks_that_somebody_holds_are_no_fresh_ones(synced: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Station, "_unmounting", lambda self: [])
    monkeypatch.setattr("persistence_tests.stack.disks.station.FREE_SECONDS", 1.0)
    judgement = synced.step(synced.take("at once"))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any("still mounted" in reason for reason in judgement.reasons), judgement.reasons


@pytest.mark.parametrize(("spared", "duty"), [("never-synced", "must-keep"), ("synced", "must-lose")])
def test_each_control_is_needed(
    synced: Bench, spared: str, duty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is put in the place of each before it is looked at."""
    real = Station.look_anew

    def exchanged(self: Station, token: str) -> tuple[list[Condition], list[tuple[str, str]]]:
        conditions, held = real(self, token)
        return conditions, [(lost, lost) if spared == "never-synced" else (kept, kept) for kept, lost in held]

    monkeypatch.setattr(Station, "look_anew", exchanged)
    judgement = synced.step(synced.take("at once"))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any(f"the {duty} control" in reason for reason in judgement.reasons), judgement.reasons


def judged(directory: Path, events: list[Entry], **parts: Any) -> tuple[Bench, list[StepJudgement]]:
    listed = {str(place): entry for place, entry in enumerate(events)}
    with bench(directory, listed, times=1, **parts) as opened:
        judgements = list(opened.running.judgements())
    assert disks_of(opened.run.identity) == []
    return opened, judgements


def test_a_write_that_promises_nothing_shows_nothing(tmp_path: Path) -> None:
    _, [up, cut] = judged(tmp_path, [AT_ONCE])
    assert (up.verdict, cut.verdict) == (Verdict.KEPT, Verdict.INCONCLUSIVE)
    assert any("acknowledged at a level that promises anything" in reason for reason in cut.reasons)


def test_a_server_that_does_not_sync_loses_what_it_acknowledged(tmp_path: Path) -> None:
    paths = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
    _, [up, cut, strict] = judged(tmp_path, [AT_ONCE, STRICT], stack=WEB, paths=paths, writes=[POSTED])
    assert (up.verdict, cut.verdict, strict.verdict) == (Verdict.KEPT, Verdict.LOST, Verdict.LOST)
    # Empty, where more than five seconds passed from the write to the cut.
    assert {finding.symptom for finding in cut.findings} <= {Symptom.MISSING, Symptom.EMPTY}
    assert {finding.symptom for finding in strict.findings} == {Symptom.EMPTY}


STORES = """
services:
  app:
    build: .
    init: true
    volumes: [own:/own, ./bound:/bound, outer:/outer, filled:/filled]
volumes:
  own: {}
  filled: {}
  outer: {external: true, name: somewhere-else}
"""
FILLED = """
FROM debian:bookworm-slim
RUN mkdir /filled && echo born >/filled/born && chown 7:8 /filled && chmod 750 /filled
CMD ["sleep", "infinity"]
"""


@pytest.mark.parametrize("at", ["/own", "/bound", "/outer"])
def test_every_kind_of_store_is_cut(tmp_path: Path, at: str) -> None:
    (tmp_path / "bound").mkdir(mode=0o701)
    (tmp_path / "bound" / "there").write_text("before")
    (tmp_path / "Dockerfile").write_text(FILLED)
    (tmp_path / "compose.yaml").write_text(STORES)
    stack = {"compose": str(tmp_path / "compose.yaml"), "copy": ["./bound"]}
    volume = {"bind": "./bound"} if at == "/bound" else {"volume": at.removeprefix("/")}
    paths = {"volume": volume, "direct": {"service": "app", "root": at}}
    listed = {"at once": AT_ONCE}
    with bench(tmp_path, listed, times=1, stack=stack, paths=paths, promise=FSYNCED) as opened:
        assert opened.running.open().verdict is Verdict.KEPT
        judgement = opened.step(opened.take("at once"))
        [app] = opened.stack.containers("app")
        said, _, _ = run_any(
            app, ["sh", "-c", "cat /bound/there; stat -c %a:%u:%g /bound /filled; cat /filled/born"]
        )
        # What the engine and the harness brought there first has been on the disk for long.
        assert said.decode() == "before701:0:0\n750:7:8\nborn\n"
    assert (judgement.verdict, judgement.reasons) == (Verdict.KEPT, ())


def test_a_path_off_the_disks_shows_nothing(tmp_path: Path) -> None:
    paths = {"volume": VOLUME, "direct": {"service": "box", "root": "/tmp"}}
    write = {**WRITES, "through": "direct"}
    _, [_, cut] = judged(
        tmp_path, [AT_ONCE], paths={"direct": paths["direct"]}, writes=[write], promise=FSYNCED
    )
    assert cut.verdict is Verdict.INCONCLUSIVE
    assert any("direct reads /tmp, which is on no crash disk" in reason for reason in cut.reasons), (
        cut.reasons
    )


def test_a_killed_run_leaves_no_disk_once_it_is_cleaned_up(tmp_path: Path) -> None:
    scenario = write_scenario(tmp_path, [AT_ONCE], promise=FSYNCED)
    command = Command("run", str(scenario), "--report-dir", str(tmp_path / "reports"), directory=tmp_path)
    command.wait_for_record("PathObserved", step="power-loss", phase="before")
    command.kill()
    assert disks_of(command.run)
    engine = Engine.connect()
    left = leftovers(engine)
    mine = Leftovers(tuple(each for each in left.found if each.run == command.run))
    assert remove(engine, mine) == []
    assert made_below(engine.client, tmp_path / "tmp") == []
    engine.close()
    assert disks_of(command.run) == []


@pytest.mark.soak
@pytest.mark.parametrize("instant", range(20))
def test_killed_at_any_instant_nothing_is_left_once_it_is_cleaned_up(
    tmp_path: Path, instant: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = write_scenario(tmp_path, [AT_ONCE, STRICT], promise=FSYNCED)
    line = random.Random(instant).randrange(1, 40)
    command = Command("run", str(scenario), "--report-dir", str(tmp_path / "reports"), directory=tmp_path)
    command.wait_for_line(line)
    command.kill()
    monkeypatch.setattr(tempfile, "tempdir", str(command.temporary))  # where its workspace is looked for
    engine = Engine.connect()
    mine = Leftovers(tuple(each for each in leftovers(engine).found if each.run == command.run))
    assert remove(engine, mine) == []
    assert made_below(engine.client, tmp_path / "tmp") == []
    engine.close()
    assert disks_of(command.run) == []


@pytest.mark.soak
def test_the_media_stack_outlives_a_hundred_power_cuts(tmp_path: Path) -> None:
    variants: list[dict[str, Any]] = [
        {"strict": False},
        {"strict": True},
        {"strict": False, "while": "writing"},
    ]
    events: list[Entry] = [{"power-loss": variants[cut % len(variants)]} for cut in range(100)]
    document = shipped("media")
    for rule, files in zip(document["writes"], (3, 3), strict=True):
        rule |= {"files": files, "operations": ["create"]}
        rule.pop("also", None)
    document["writes"][1]["request"] = document["writes"][1]["request"]["create"]
    identity, judgements = judgements_of(document | {"events": events, "claims": {}}, tmp_path)
    wrong = [(j.step, j.verdict, j.reasons, j.findings) for j in judgements if j.verdict is not Verdict.KEPT]
    assert wrong == []
    assert len(judgements) == 101
    assert disks_of(identity) == []
