"""Disks that are full: what is acknowledged is kept, the stack goes on afterwards, and who pretends is found out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.records import EventEnded
from persistence_tests.run import epoch
from persistence_tests.stack import control
from persistence_tests.stack.disks.station import Station
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import BOX, DIRECT, VOLUME, WRITES, Entry

pytestmark = pytest.mark.engine

SERVED = {"service": "web", "port": 8000, "url": "/files/{name}", "within": "1s"}
POSTED = {**WRITES, "through": "api", "request": "POST /files/{name}"}
CHANGED = {**WRITES, "operations": ["create", "overwrite", "delete"]}
API = "rule 1 (3 files into the root through api)"
PROMISE = {"acknowledged": {"direct": "fsync"}}
PATHS = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
EVENTS: dict[str, Entry] = {
    "blocks": {"disk-full": {"of": "blocks"}},
    "inodes": {"disk-full": {"of": "inodes"}},
    "read-only": "disk-read-only",
    "error": {"disk-error": {"passes": False}},
    "error that passes": {"disk-error": {"passes": True}},
}
SEEN = {
    "blocks": "No space left on device, afterwards: written",
    "inodes": "No space left on device, afterwards: written",
    "read-only": "remounted read-only; a write of ours was answered: Read-only file system, afterwards: written",
    "error": "FS_IOC_SHUTDOWN, nothing written out; a write was then answered: Input/output error",
    "error that passes": "a write past the page cache was answered: No space left on device, then: written",
}


def web(behaviour: str) -> dict[str, Any]:
    return {
        "compose": str(BOX / "compose.yaml"),
        "profiles": ["web"],
        "env": {"BEHAVIOUR": behaviour},
        "ready": {"path": "api", "url": "/health", "within": "10s"},
        "storage": {"on": "crash-disk", "size": "32MiB"},
    }


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "READY_WITHIN", 20.0)
    monkeypatch.setattr(control, "WAIT", 3.0)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with opened(tmp_path_factory.mktemp("honest"), web("syncing"), times=3) as found:
        yield found


@contextmanager
def opened(directory: Path, stack: dict[str, Any], times: int = 1) -> Iterator[Bench]:
    parts = {"stack": stack, "paths": PATHS, "writes": [CHANGED, POSTED], "promise": PROMISE}
    with bench(directory, EVENTS, times=times, **parts) as found:
        assert found.running.open().verdict is Verdict.KEPT
        yield found


def facts(box: Bench) -> list[str]:
    ended = [entry.record for entry in box.run.entries if isinstance(entry.record, EventEnded)][-1]
    return [evidence.fact for evidence in ended.proof]


def judged(box: Bench, name: str) -> StepJudgement:
    return box.step(box.take(name))


@pytest.mark.parametrize("name", EVENTS)
def test_a_stack_that_says_so_keeps_what_it_acknowledged_and_goes_on(honest: Bench, name: str) -> None:
    judgement = judged(honest, name)
    assert (judgement.verdict, judgement.findings) == (Verdict.KEPT, ()), judgement.reasons
    told = facts(honest)
    assert any(SEEN[name] in fact for fact in told), told
    assert any(fact.startswith(f"{API}: 0 of 3 writes acknowledged while") for fact in told), told
    if name != "error":
        assert any(fact.startswith(f"{API}: 3 of 3 writes acknowledged ") for fact in told), told


def test_disks_that_are_not_full_show_nothing(honest: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Station, "filled", lambda self, what: nullcontext())
    judgement = judged(honest, "blocks")
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any("the disk of files was not full" in reason for reason in judgement.reasons), judgement.reasons


def test_disks_that_can_be_written_to_show_nothing(honest: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Station, "_remount", lambda self, option: None)
    judgement = judged(honest, "read-only")
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any("the disk of files was not read-only" in reason for reason in judgement.reasons), (
        judgement.reasons
    )


HOLDS_OPEN = """
services:
  box: {command: [sh, -c, "exec 3>>/files/.open; exec sleep infinity"]}
"""


def test_a_file_that_is_held_open_does_not_keep_the_disk_from_becoming_read_only(tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text(HOLDS_OPEN)
    stack = {**web("honest"), "compose": [str(BOX / "compose.yaml"), str(tmp_path / "open.yaml")]}
    with opened(tmp_path, stack) as box:
        judgement = judged(box, "read-only")
        told = facts(box)
    assert (judgement.verdict, judgement.findings) == (Verdict.KEPT, ()), judgement.reasons
    assert any(
        "made to give up writing, as files were open; a write of ours was answered: Read-only" in f
        for f in told
    )
    assert any(fact.startswith(f"{API}: 3 of 3 writes acknowledged after") for fact in told), told


@pytest.mark.parametrize(
    ("behaviour", "name", "symptoms"),
    [
        ("assuring", "blocks", {Symptom.MISSING}),
        ("assuring", "error", {Symptom.MISSING}),
        ("retrying", "error that passes", {Symptom.ZEROED}),
    ],
)
def test_who_acknowledges_what_the_disk_did_not_take_has_lost_it(
    tmp_path: Path, behaviour: str, name: str, symptoms: set[Symptom]
) -> None:
    with opened(tmp_path, web(behaviour)) as box:
        judgement = judged(box, name)
    assert judgement.verdict is Verdict.LOST
    assert {finding.symptom for finding in judgement.findings} == symptoms


def test_who_keeps_nothing_any_more_once_a_disk_was_full_is_not_there_again(tmp_path: Path) -> None:
    with opened(tmp_path, web("sulking")) as box:
        judgement = judged(box, "blocks")
    assert (judgement.verdict, judgement.findings) == (Verdict.UNAVAILABLE, ())
    silent = f"no write was acknowledged after the disks had room again; {API}"
    assert any(silent in reason for reason in judgement.reasons), judgement.reasons


@pytest.mark.soak
@pytest.mark.parametrize("filesystem", ["ext4", "xfs"])
def test_a_stack_that_is_written_to_meanwhile_keeps_what_it_acknowledged(
    tmp_path: Path, filesystem: str
) -> None:
    stack = {**web("syncing"), "storage": {"on": "crash-disk", "filesystem": filesystem}}
    # A disk whose error passes is a thin one, which is ext4 always.
    chosen = [entry for name, entry in EVENTS.items() if filesystem == "ext4" or name != "error that passes"]
    busy: list[Entry] = [
        {name: {**({} if isinstance(entry, str) else entry[name]), "while": "writing"}}
        for entry in chosen
        for name in ([entry] if isinstance(entry, str) else entry)
    ]
    parts = {"stack": stack, "paths": PATHS, "writes": [CHANGED, POSTED], "promise": PROMISE}
    events = {str(place): entry for place, entry in enumerate(busy)}
    with bench(tmp_path, events, times=1, **parts) as box:
        judgements = list(box.running.judgements())
    assert [(j.step, j.reasons, j.findings) for j in judgements if j.verdict is not Verdict.KEPT] == []
    assert len(judgements) == 1 + len(chosen)
