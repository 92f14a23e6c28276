"""Events on crash disks against a station of paper: what proves them, and what each gap means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest

from persistence_tests.events.base import Played, Proof
from persistence_tests.events.disk_error import DiskError
from persistence_tests.events.disk_full import DiskFull
from persistence_tests.events.disk_read_only import DiskReadOnly
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.disks.station import Condition, Cut, Room
from persistence_tests.stack.state import EngineEvent
from tests.stacks.during import Silent
from tests.unit.paper_engine import RUNNING, PaperEngine

FULL = "No space left on device"
SOME = Played("rule 0", 3, 1, "507 no room")
NONE = Played("rule 0", 3, 0, "507 no room")
ALL = Played("rule 0", 3, 3)


@dataclass
class PaperStation:
    """Two disks with so much left when they are full, and what a write of ours is then answered."""

    left: Sequence[int] = (0, 0)
    said: Sequence[str] = (FULL, FULL)
    afterwards: str = "written"
    held: str = "intact"
    full: bool = False

    @contextmanager
    def beside(self, token: str) -> Iterator[None]:
        yield

    @contextmanager
    def filled(self, what: str) -> Iterator[None]:
        self.full = True
        yield
        self.full = False

    def room(self) -> list[Room]:
        return [Room(left, left) if self.full else Room(500, 70) for left in self.left]

    def probe(self) -> list[str]:
        return list(self.said) if self.full else [self.afterwards] * 2

    def read_controls(self, token: str) -> list[tuple[str, str]]:
        return [(self.held, "absent")] * 2


@dataclass
class Playing(Silent):
    full: Sequence[Played] = (NONE,)
    done: list[str] = field(default_factory=list)

    def write_rules(self) -> Sequence[Played]:
        self.done.append("full")
        return self.full

    def write_again(self, after: str) -> Sequence[Played]:
        self.done.append(after)
        return [ALL]


def stack_on(station: PaperStation) -> Any:
    pairs = [(SimpleNamespace(name=name), None) for name in ("files", "rows")]
    return SimpleNamespace(laid=SimpleNamespace(station=station, pairs=pairs))


def filled(
    station: PaperStation, engine: PaperEngine | None = None, during: Playing | None = None
) -> tuple[DiskFull, Proof]:
    event = DiskFull(DiskFull.Options.model_validate({"of": "blocks"}))
    engine = engine or PaperEngine()
    before = PaperEngine().state()
    event.apply(cast("Any", stack_on(station)), during or Playing())
    return event, event.prove(before, engine.state(), engine.seen)


def test_full_disks_that_have_room_again_are_proven() -> None:
    during = Playing()
    event, proof = filled(PaperStation(), during=during)
    assert (proof.problems, proof.unmet) == ((), ())
    assert during.done == ["full", "the disks had room again"]
    assert (
        "disk of rows: 500 blocks free, 0 when it was full, 500 afterwards; a write of ours was answered: "
        in str(proof.evidence)
    )
    assert [check.behaved for check in event.control_checks()] == [True, True]


@pytest.mark.parametrize(
    ("station", "problem"),
    [
        (PaperStation(left=(0, 400)), "the disk of rows was not full"),
        (PaperStation(said=("written", FULL)), "the disk of files was not full"),
        (PaperStation(said=(FULL, "Input/output error")), "the disk of rows was not full"),
        (PaperStation(afterwards=FULL), "the disk of files had no room again"),
    ],
)
def test_each_disk_must_have_been_full_and_have_room_again(station: PaperStation, problem: str) -> None:
    assert problem in "; ".join(filled(station)[1].problems)


def test_each_disk_must_have_kept_what_was_synced() -> None:
    event, _ = filled(PaperStation(held="empty"))
    assert [check.behaved for check in event.control_checks()] == [False, False]


@pytest.mark.parametrize(("played", "met"), [(ALL, False), (SOME, True), (NONE, True)])
def test_somebody_must_have_met_the_full_disk(played: Played, met: bool) -> None:
    assert bool(filled(PaperStation(), during=Playing([played]))[1].unmet) is not met


def test_what_the_stack_does_to_itself_is_told_and_what_others_do_is_a_problem() -> None:
    engine = PaperEngine()
    engine.die("api", 1)
    engine.start("api")
    _, proof = filled(PaperStation(), engine)
    assert proof.problems == ()
    assert any("api: die with exit code 1, start" in fact.fact for fact in proof.evidence)
    for others in ("signal", "destroy"):
        engine = PaperEngine()
        getattr(engine, others)("api")
        assert filled(PaperStation(), engine)[1].problems
    engine = PaperEngine()
    engine.seen.append(EngineEvent(1, "volume", "destroy", "paper_media", {}))
    assert filled(PaperStation(), engine)[1].problems


def test_a_service_that_ended_well_cannot_be_told_from_a_job_that_is_done() -> None:
    engine = PaperEngine()
    engine.die("api", 0)
    assert any("ended by itself" in problem for problem in filled(PaperStation(), engine)[1].problems)


EROFS = "Read-only file system"


@dataclass
class Remounted(PaperStation):
    """`busy` where somebody has files open to write; `works` where a remount does anything."""

    busy: str | None = None
    works: bool = True
    read_only: bool = False
    aborted: bool = False

    def make_read_only(self) -> str | None:
        self.read_only = self.busy is None
        return self.busy

    def make_writable(self) -> None:
        self.read_only = False

    def abort(self) -> None:
        self.read_only = self.aborted = True

    def wait_free(self) -> None:
        self.read_only = False

    def probe(self) -> list[str]:
        return [EROFS if self.read_only and self.works else "written"] * 2


def read_only(
    station: Remounted,
    monkeypatch: pytest.MonkeyPatch,
    engine: PaperEngine,
    reached: bool = True,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Proof:
    event = DiskReadOnly(DiskReadOnly.Options.model_validate(options))
    before = engine.state()

    def ended(_: Any) -> frozenset[str]:
        if reached:
            for service in RUNNING:
                engine.signal(service)
                engine.die(service)
        return frozenset(state.identity for state in before.containers.values() if state.running)

    def up() -> None:
        for service in [*RUNNING, "job"] if reached else []:
            engine.start(service)

    monkeypatch.setattr("persistence_tests.events.disk_read_only.BUSY_SECONDS", 0.0)
    monkeypatch.setattr("persistence_tests.events.disk_read_only.ended", ended)
    stack = stack_on(station)
    stack.up = up
    event.apply(cast("Any", stack), Playing())
    return event.prove(before, engine.state(), engine.seen)


def test_a_remount_is_proven_by_what_a_write_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_only(Remounted(), monkeypatch, PaperEngine()).problems == ()
    [problem, _] = read_only(Remounted(works=False), monkeypatch, PaperEngine()).problems
    assert problem == "the disk of files was not read-only: a write was answered: written"


def test_where_files_are_open_writing_is_given_up_and_a_fresh_mount_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    station = Remounted(busy="busy")
    assert read_only(station, monkeypatch, PaperEngine()).problems == ()
    assert station.aborted
    unreached = "; ".join(read_only(Remounted(busy="busy"), monkeypatch, PaperEngine(), False).problems)
    assert "no `kill` of api" in unreached


@pytest.mark.parametrize(("busy", "problems"), [(None, 0), ("busy", 1)])
def test_who_writes_while_writing_is_given_up_may_have_been_answered_for_nothing(
    monkeypatch: pytest.MonkeyPatch, busy: str | None, problems: int
) -> None:
    proof = read_only(Remounted(busy=busy), monkeypatch, PaperEngine(), options={"while": "writing"})
    assert len(proof.problems) == problems


@dataclass
class Erring(PaperStation):
    """`fails` and `recovers`: what the disk itself answers then; `answered` what a write is after the cut."""

    fails: str = "No space left on device"
    recovers: str = "written"
    answered: str = "Input/output error"
    conditions: Sequence[Condition] = (Condition(3, True), Condition(4, True))
    failed: bool = False
    done: list[str] = field(default_factory=list)

    def write_controls(self, token: str) -> None:
        self.done.append("both controls")

    def write_synced(self, token: str) -> None:
        self.done.append("synced")

    def write_never_synced(self, token: str) -> None:
        self.done.append("never synced")

    @contextmanager
    def failing(self) -> Iterator[None]:
        self.failed = True
        yield
        self.failed = False

    def probe_device(self) -> list[str]:
        return [self.fails if self.failed else self.recovers] * 2

    def cut(self) -> list[Cut]:
        self.done.append("cut")
        return [Cut(place, self.answered) for place in range(2)]

    def look_anew(self, token: str) -> tuple[Sequence[Condition], list[tuple[str, str]]]:
        return self.conditions, self.read_controls(token)


def erred(station: Erring, monkeypatch: pytest.MonkeyPatch, *, passes: bool) -> tuple[DiskError, Proof]:
    event = DiskError(DiskError.Options.model_validate({"passes": passes}))
    engine = PaperEngine()
    before = engine.state()

    def ended(_: Any) -> frozenset[str]:
        for service in RUNNING:
            engine.signal(service)
            engine.die(service)
        return frozenset(state.identity for state in before.containers.values() if state.running)

    def up() -> None:
        for service in [*RUNNING, "job"]:
            engine.start(service)

    monkeypatch.setattr("persistence_tests.events.disk_error.ended", ended)
    stack = stack_on(station)
    stack.up = up
    event.before_writes(stack)
    event.prepare(stack)
    event.apply(stack, Playing())
    return event, event.prove(before, engine.state(), engine.seen)


@pytest.mark.parametrize("passes", [False, True])
def test_disks_that_erred_are_cut_and_mounted_afresh(monkeypatch: pytest.MonkeyPatch, passes: bool) -> None:
    station = Erring()
    event, proof = erred(station, monkeypatch, passes=passes)
    assert (proof.problems, proof.unmet) == ((), ())
    told = [evidence.fact for evidence in proof.evidence]
    assert len([fact for fact in told if fact.startswith("api: kill with signal 9, die")]) == 1
    # What is never synced may not have had the time to reach the disk.
    order = ["synced", "never synced", "cut"] if passes else ["both controls", "cut"]
    assert station.done == order
    assert [check.behaved for check in event.control_checks()] == [True] * 4


@pytest.mark.parametrize(
    ("passes", "station", "problem"),
    [
        (False, Erring(answered="still writable"), "could still be written to after the cut"),
        (False, Erring(conditions=(Condition(3, True),)), "nobody saw that the disks were let go of"),
        (False, Erring(conditions=(Condition(3, False),) * 2), "was unmounted in an orderly way"),
        (True, Erring(answered="still writable"), "could still be written to after the cut"),
        (True, Erring(fails="written"), "the disk of files took writes all along"),
        (True, Erring(recovers="Read-only file system"), "the disk of rows did not take writes again"),
    ],
)
def test_an_error_that_did_not_come_or_stayed_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, passes: bool, station: Erring, problem: str
) -> None:
    assert problem in "; ".join(erred(station, monkeypatch, passes=passes)[1].problems)


def test_an_error_comes_in_two_steps_unless_the_scenario_chooses() -> None:
    assert [options["passes"] for options in DiskError.spread({"title": "T"})] == [False, True]
    assert DiskError.spread({"passes": True}) == [{"passes": True}]


def test_only_an_error_that_passes_needs_disks_of_another_kind() -> None:
    declared = Media(size=32 << 20)
    for passes in (False, True):
        event = DiskError(DiskError.Options.model_validate({"passes": passes}))
        assert event.media(declared) == replace(declared, thin=passes)
