"""What the oracle keeps of a scenario besides its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import Observation
from persistence_tests.model.oracle.sight import Vantage
from persistence_tests.model.records import DataFate, ScenarioBegan


@dataclass(frozen=True, slots=True)
class Wrong:
    """One name with one symptom on some paths."""

    symptom: Symptom
    name: str
    paths: tuple[str, ...]
    evidence: str


@dataclass(frozen=True, slots=True)
class Before:
    """The last observation before an event, and how many operations the name had seen by then."""

    seen: Observation
    operations: int


@dataclass(slots=True)
class Facts:
    """`shows_absence` holds the answers of the probes, by path; `before` and `wrong` last for an epoch."""

    began: ScenarioBegan
    fate: DataFate = DataFate.KEPT
    shows_absence: dict[str, bool] = field(default_factory=dict)
    before: dict[tuple[str, str], Before] = field(default_factory=dict)
    wrong: set[tuple[str, str, bool]] = field(default_factory=set)

    def forget(self) -> None:
        self.shows_absence.clear()
        self.before.clear()
        self.wrong.clear()

    @property
    def vantages(self) -> list[Vantage]:
        """A served path that was never probed cannot show absence: nobody knows how it would."""
        return [
            Vantage(p.name, p.stored, p.lists, p.stored or self.shows_absence.get(p.name, False))
            for p in self.began.paths
        ]

    @property
    def directories(self) -> set[str]:
        return {directory.strip("/") for directory in self.began.directories}

    @property
    def ignore(self) -> tuple[str, ...]:
        return self.began.ignore

    def remember(self, path: str, observations: dict[str, Observation], ledger: Ledger) -> None:
        for name, seen in observations.items():
            self.before[path, name.strip("/")] = Before(seen, ledger.tried(name))

    def was_wrong(self, name: str, path: str, metadata: bool) -> bool:
        return (name, path, metadata) in self.wrong or (name, path, False) in self.wrong

    def remember_wrong(self, name: str, paths: Iterable[str], metadata: bool) -> None:
        self.wrong |= {(name, path, metadata) for path in paths}
