"""Events on crash disks against a station of paper: what proves them, and what each gap means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from persistence_tests.events.base import Played, Proof
from persistence_tests.events.disk_full import DiskFull
from persistence_tests.stack.disks.station import Room
from persistence_tests.stack.state import EngineEvent
from tests.stacks.during import Silent
from tests.unit.test_events_proof import PaperEngine

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
