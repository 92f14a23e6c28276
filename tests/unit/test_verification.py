"""What counts of a look: strangers only if they stay, what a server made only if it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field

import pytest

from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.model.records import (
    AbsenceProbed,
    Completed,
    Invoked,
    PathDeclared,
    PathObserved,
    Phase,
    Record,
    ScenarioBegan,
)
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

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        there = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        return shown_as(dict.fromkeys(there, STRANGER), into)

    def read(self, name: str, limit: int) -> bytes:
        return b"abc"

    def close(self) -> None:
        return


def shown_as(seen: dict[str, Observation], into: MutableMapping[str, Observation] | None) -> View:
    into = {} if into is None else into
    into.update(seen)
    return View(into, "paper")


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


@dataclass
class Holding:
    """A path that holds one file."""

    name: str
    content: bytes
    declared: PathDeclared
    within: float = 0.0
    reads: int = 0

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        digest = hashlib.sha256(self.content).hexdigest()
        return shown_as({self.name: Observation(NodeKind.FILE, len(self.content), digest)}, into)

    def read(self, name: str, limit: int) -> bytes:
        self.reads += 1
        return self.content[:limit]

    def close(self) -> None:
        return


@pytest.mark.parametrize("shows_absence", [True, False])
def test_a_path_that_cannot_show_an_absence_is_not_waited_for(shows_absence: bool) -> None:
    ledger = Ledger()
    page = Holding("gone", b"<html>", API, within=0.2)
    looks = 0
    observe = page.observe

    def counted(names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        nonlocal looks
        looks += 1
        return observe(names, into)

    page.observe = counted  # type: ignore[method-assign]
    ledger.record(AbsenceProbed("api", shows_absence, ""))
    Verification("run", [page], ledger, lambda _: None).observe("restart", Phase.AFTER, ["gone"])
    assert (looks > 1) is shows_absence


VOLUME = PathDeclared("volume", "volume", stored=True, lists=True, while_down=True, root="/")
API = PathDeclared("api", "http", stored=False, lists=False, while_down=False, root="/")
WHOLE = Payload.make("run", 99, PayloadKind.JPEG, 5000).bytes()


def looked_at(stored: bytes, served: bytes) -> tuple[dict[str, Observation], Ledger, list[Holding]]:
    """What both paths show of a picture that the server made anew."""
    records: list[Record] = []
    ledger = Ledger()

    def record(each: Record) -> None:
        records.append(each)
        ledger.record(each)

    record(ScenarioBegan("s", "s.yaml", "", (VOLUME, API), (), (), (), None, (), ()))
    spec = Payload.make("run", 1, PayloadKind.PNG, 500).spec
    operation = Operation(
        1, OperationKind.CREATE, "sent", "api", 0, Acknowledgement.HTTP_2XX, True, spec, None, True, True
    )
    record(Invoked(operation))
    record(Completed(1, Outcome.OK, name="up/1.jpg"))
    paths = [Holding("up/1.jpg", stored, VOLUME), Holding("up/1.jpg", served, API)]
    Verification("run", paths, ledger, record).observe("up", Phase.BEFORE, ["up/1.jpg"])
    seen = {each.path: each.observations["up/1.jpg"] for each in records if isinstance(each, PathObserved)}
    return seen, ledger, paths


def test_the_first_whole_file_where_it_is_stored_is_what_is_kept() -> None:
    seen, ledger, (volume, api) = looked_at(WHOLE, WHOLE)
    assert seen["volume"].flaw is None
    assert ledger.kept_of(1) == (5000, hashlib.sha256(WHOLE).hexdigest())
    assert (volume.reads, api.reads) == (0, 1), "the bytes are the same wherever they are read"


@pytest.mark.parametrize("served", [WHOLE, WHOLE[:4000]])
def test_a_file_that_is_not_whole_is_said_to_be_and_not_kept(served: bytes) -> None:
    seen, ledger, _ = looked_at(WHOLE[:4000], served)
    assert seen["volume"].flaw == "a JPEG that is not whole"
    assert ledger.kept_of(1) is None
    assert ledger.unread("up/1.jpg") is not None


def test_what_another_path_shows_is_compared_with_what_is_kept() -> None:
    seen, ledger, _ = looked_at(WHOLE, WHOLE + b"and more")
    assert ledger.kept_of(1) == (5000, hashlib.sha256(WHOLE).hexdigest())
    assert seen["api"].spans is not None, "it is wrong, and its bytes are attributed"


@dataclass
class Filling(Holding):
    """A path that shows nothing before its so-manieth look, then a file."""

    missing: int = 0

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        if self.missing:
            self.missing -= 1
            return shown_as({self.name: Observation(NodeKind.ABSENT)}, into)
        return super().observe(names, into)


@pytest.mark.parametrize(("outcome", "agreed"), [(Outcome.INFO, True), (Outcome.OK, False)])
def test_what_was_never_answered_may_still_be_written_between_two_looks(
    outcome: Outcome, agreed: bool
) -> None:
    records: list[Record] = []
    ledger = Ledger()
    ledger.record(ScenarioBegan("s", "s.yaml", "", (VOLUME, API), (), (), (), None, (), ()))
    payload = Payload.make("run", 1, PayloadKind.BYTES, 500)
    operation = Operation(
        1,
        OperationKind.CREATE,
        "up",
        "api",
        0,
        Acknowledgement.HTTP_2XX,
        True,
        payload.spec,
    )
    ledger.record(Invoked(operation))
    ledger.record(Completed(1, outcome))
    paths = [
        Filling("up", payload.bytes(), VOLUME, missing=2, within=0.0 if not agreed else 5.0),
        Holding("up", payload.bytes(), API),
    ]
    Verification("run", paths, ledger, records.append).observe("kill", Phase.AFTER, ["up"])
    seen = [each.observations["up"].kind for each in records if isinstance(each, PathObserved)]
    assert seen == [NodeKind.FILE if agreed else NodeKind.ABSENT, NodeKind.FILE]
