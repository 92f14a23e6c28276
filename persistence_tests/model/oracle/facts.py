"""What the oracle keeps of a scenario besides its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import Observation
from persistence_tests.model.oracle.sight import Vantage
from persistence_tests.model.records import DataFate, ScenarioBegan
from persistence_tests.model.sightings import Sightings


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
    """`shows_absence` holds the answers of the probes, by path; `seen` and `wrong` last for an epoch.

    `seen` is what each stored path showed last before an event, `tried` how many operations a name had seen by then
    that is kept whole there. `power_was_lost`: so is this.
    """

    began: ScenarioBegan
    fate: DataFate = DataFate.KEPT
    shows_absence: dict[str, bool] = field(default_factory=dict)
    seen: dict[str, Sightings] = field(default_factory=dict)
    tried: dict[tuple[str, str], int] = field(default_factory=dict)
    wrong: set[tuple[str, str, bool]] = field(default_factory=set)
    power_was_lost: bool = False

    def forget(self) -> None:
        self.shows_absence.clear()
        self.seen.clear()
        self.tried.clear()
        self.wrong.clear()
        self.power_was_lost = False

    @property
    def vantages(self) -> list[Vantage]:
        """A served path that was never probed cannot show absence: nobody knows how it would."""
        return [
            Vantage(
                p.name,
                p.stored,
                p.lists,
                p.stored or p.refers or self.shows_absence.get(p.name, False),
                p.refers,
            )
            for p in self.began.paths
        ]

    @property
    def directories(self) -> set[str]:
        return {directory.strip("/") for directory in self.began.directories}

    @property
    def ignore(self) -> tuple[str, ...]:
        return self.began.ignore

    def remember(
        self, path: str, directories: dict[str, Observation], files: Sightings, ledger: Ledger
    ) -> None:
        last = self.seen.setdefault(path, Sightings(ledger))
        last.overlay_plain(files)
        for name, seen in chain(directories.items(), files.others.items()):
            last.keep(name.strip("/"), seen)
            self.tried[path, name.strip("/")] = ledger.tried(name)

    def before(self, path: str, name: str) -> Before | None:
        last = self.seen.get(path)
        if last is None or (seen := last.get(name)) is None:
            return None
        # A name that was put away had seen one operation.
        return Before(seen, self.tried[path, name] if name in last.others else 1)

    def was_wrong(self, name: str, path: str, metadata: bool) -> bool:
        return (name, path, metadata) in self.wrong or (name, path, False) in self.wrong

    def remember_wrong(self, name: str, paths: Iterable[str], metadata: bool) -> None:
        self.wrong |= {(name, path, metadata) for path in paths}
