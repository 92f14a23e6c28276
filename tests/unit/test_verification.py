"""What counts of a look: strangers only if they stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.records import PathDeclared, PathObserved, Phase, Record
from persistence_tests.paths.base import View
from persistence_tests.run.verification import Verification

STRANGER = Observation(NodeKind.FILE, 3, "0" * 64)


@dataclass
class Looks:
    """A stored path that shows one listing after the other, then the last for ever."""

    listings: list[set[str]]
    within: float = 0.0
    declared: PathDeclared = field(
        default_factory=lambda: PathDeclared(
            "volume", "volume", stored=True, lists=True, while_down=True, root="/"
        )
    )

    def observe(self, names: Sequence[str]) -> View:
        there = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        return View(dict.fromkeys(there, STRANGER), "paper")

    def read(self, name: str, limit: int) -> bytes:
        return b"abc"

    def close(self) -> None:
        return


def shown(*listings: set[str]) -> set[str]:
    records: list[Record] = []
    looks = Looks([{"old"}, *listings])
    verification = Verification("run", [looks], Ledger(), records.append)
    verification.list_baseline()
    verification.observe("restart", Phase.AFTER, ())
    (seen,) = (record for record in records if isinstance(record, PathObserved))
    return set(seen.observations)


def test_a_stranger_that_stays_is_shown() -> None:
    assert shown({"old", "new"}) == {"old", "new"}


def test_a_stranger_that_passes_is_not_shown() -> None:
    assert shown({"old", "new", "brief"}, {"old", "new"}) == {"old", "new"}


def test_without_a_stranger_there_is_no_second_look() -> None:
    assert shown({"old"}, {"old", "later"}) == {"old"}
