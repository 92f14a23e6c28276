"""Whole histories, of which reports are made: a run over a stack with two services, with every kind of end."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persistence_tests.model.finding import KnownLoss, Symptom
from persistence_tests.model.history import HistoryWriter
from persistence_tests.model.observation import ABSENT, Observation
from persistence_tests.model.records import (
    Claim,
    Entry,
    PathDeclared,
    RunBegan,
    RunEnded,
    ScenarioBegan,
    StackPrepared,
    StackReady,
    StepFaulted,
    StepPlanned,
    StepSkipped,
)
from tests.unit.oracle_histories import API, PROXY, Play

VOLUME = PathDeclared("volume", "volume", True, True, True, "media", {"volume": "media"})
DIRECT = PathDeclared("direct", "direct", True, True, False, "/srv/media", {"service": "api"})
PATHS = (VOLUME, DIRECT, API, PROXY)
COMPOSE: dict[str, Any] = {
    "services": {
        "api": {
            "build": {"context": "."},
            "volumes": [{"type": "volume", "source": "media", "target": "/srv/media"}],
        },
        "proxy": {"image": "nginx"},
    },
    "volumes": {"media": {"name": "shop_media"}},
}
STEPS = (
    StepPlanned("up", "up", "up, from nothing"),
    StepPlanned("restart", "restart", "restart", 14, 5, "  - restart"),
    StepPlanned(
        "kill", "kill", "kill api while writing", 15, 5, "  - kill: { service: api }  # the API only"
    ),
)
LINE = "  - power-loss: { while: writing }"
SPREAD = (
    StepPlanned("up", "up", "up, from nothing"),
    StepPlanned("restart", "restart", "restart", 14, 5, "  - restart", 0),
    StepPlanned("power-loss", "power-loss", "power-loss", 15, 5, LINE, 1),
    StepPlanned("power-loss-2", "power-loss", "power-loss after 7s idle", 15, 5, LINE, 1),
    StepPlanned("power-loss-3", "power-loss", "power-loss after 7s idle, strict", 15, 5, LINE, 1),
)
ENVIRONMENT = {
    "engine": "27.0.1",
    "compose": "2.30.0",
    "storage_driver": "overlay2",
    "backing_filesystem": "extfs",
    "os": "Debian GNU/Linux 12",
    "kernel": "6.1.0",
}


class RunPlay(Play):
    """A `Play` with everything that a run records around it."""

    source = "scenarios/shop.persistence.yaml"
    compose: Mapping[str, Any] = COMPOSE
    planned: Sequence[StepPlanned] = STEPS
    claims: tuple[Claim, ...] = (
        Claim("docker compose restart", "restart"),
        Claim("Reboot of the host", "reboot"),
    )

    def begin(self, ready: bool = True) -> None:
        super().begin(ready)
        for place, record in enumerate(self.records):
            if isinstance(record, ScenarioBegan):
                self.records[place] = dataclasses.replace(
                    record, name="shop", source=self.source, steps=tuple(self.planned), claims=self.claims
                )
            if isinstance(record, StackReady):
                self.records[place] = dataclasses.replace(record, images={"api-1": f"sha256:{'ab' * 32}"})
        prepared = StackPrepared(
            "persistence-1-shop",
            "override",
            ENVIRONMENT,
            dict(self.compose),
            {},
            ("api: port 80 is published elsewhere",),
        )
        self.records.insert(1, prepared)

    def step_of(
        self, step: str, *names: str, changed: Mapping[str, Mapping[str, Observation]] | None = None
    ) -> None:
        """A whole step: it writes the names, sees them, and shows `changed` after the event."""
        self.begin_step(step)
        for name in names:
            self.write(name)
        self.observe()
        self.event()
        self.observe(changed)
        self.end_step()

    def entries(self, complete: bool = True, why: str | None = None) -> list[Entry]:
        began = RunBegan("20270102-030405-abcd", 42, "1.2.3", "2027-01-02T03:04:05+00:00", ENVIRONMENT)
        own = [Entry(float(i), "shop", record) for i, record in enumerate(self.records, start=1)]
        return [Entry(0.0, None, began), *own, Entry(float(len(own) + 1), None, RunEnded(complete, why))]


def run_play(
    paths: tuple[PathDeclared, ...] = PATHS, names: Sequence[str] = ("admin/first", "blog/logo.png")
) -> RunPlay:
    play = RunPlay(paths=paths)
    play.opened(names)
    return play


def kept() -> RunPlay:
    play = run_play()
    play.step_of("restart", "admin/second")
    play.step_of("kill", "blog/third")
    return play


def wiped(names: Sequence[str] = ("admin/first", "blog/logo.png")) -> RunPlay:
    """After the restart nothing is there any more, on any path."""
    play = run_play(names=names)
    gone = dict.fromkeys((*names, "admin/second"), ABSENT)
    play.step_of("restart", "admin/second", changed={path.name: gone for path in PATHS})
    return play


def known_to_be_lost() -> RunPlay:
    """What the restart takes is a known loss; another one did not show, and one is over."""
    play = wiped()
    paths = tuple(path.name for path in PATHS)

    def loss(symptom: Symptom, why: str, until: str | None, line: int) -> KnownLoss:
        return KnownLoss("restart", symptom, paths, (), why, until, 3, line, 5)

    known = (
        loss(Symptom.MISSING, "no volume yet, see #12", "2027-03-01", 40),
        loss(Symptom.EMPTY, "not fsynced", None, 41),
        loss(Symptom.STALE, "cached", "2026-12-31", 42),
    )
    play.records = [
        dataclasses.replace(record, known=known) if isinstance(record, ScenarioBegan) else record
        for record in play.records
    ]
    return play


def spread(*, lost: bool = True) -> RunPlay:
    """One entry stands for three steps, of which the second loses a name."""
    play = RunPlay(paths=PATHS)
    play.planned = SPREAD
    play.claims = (Claim("survives a power cut", "power-loss"),)
    play.opened(["admin/first"])
    play.step_of("restart", "admin/second")
    play.step_of("power-loss", "blog/third")
    gone = {path.name: {"blog/fourth": ABSENT} for path in PATHS} if lost else None
    play.step_of("power-loss-2", "blog/fourth", changed=gone)
    if lost:
        play.epoch(2)
    play.step_of("power-loss-3", "blog/fifth")
    return play


def skipped() -> RunPlay:
    play = run_play()
    play.step_of("restart", "admin/second")
    play.add(StepSkipped("kill", "kill", "this engine cannot", "another engine could"))
    return play


def faulted(what: str = "`docker compose kill` failed with exit code 1:\n  | no such service") -> RunPlay:
    play = run_play()
    play.begin_step("restart")
    play.add(StepFaulted("restart", what))
    play.end_step()
    return play


def write_history(entries: Sequence[Entry], path: Path) -> Path:
    with HistoryWriter(path) as history:
        for entry in entries:
            history.append(entry.scenario, entry.record)
    return path
