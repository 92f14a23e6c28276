"""One name through one path: right, wrong, or nothing that could be told from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from persistence_tests.model.closure import ABSENT, Absent, Anything, Directory, Link, Match, allowed
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.oracle.symptoms import attributable, wrong_bytes


class Judged(Enum):
    RIGHT = auto()
    WRONG = auto()
    GONE = auto()  # not there, or an error, on a served path: the stored paths decide what it means
    UNTOLD = auto()  # an error for a name that need not be there, or a path that answers 2xx to anything
    UNDECIDED = auto()  # the bytes were not attributed far enough


@dataclass(frozen=True, slots=True)
class Sight:
    path: str
    stored: bool
    seen: Observation
    judged: Judged
    symptom: Symptom | None = None


@dataclass(frozen=True, slots=True)
class Vantage:
    """A path as the oracle needs it; one that answers 2xx to anything cannot show an absence. One that `refers` shows
    rows, no files."""

    path: str
    stored: bool
    lists: bool
    shows_absence: bool
    refers: bool = False


def look(ledger: Ledger, name: str, vantage: Vantage, seen: Observation) -> Sight:
    if seen.kind is NodeKind.ERROR and seen.status in (404, 410):
        seen = replace(seen, kind=NodeKind.ABSENT)
    judged, symptom = _judge(ledger, name, vantage, seen)
    return Sight(vantage.path, vantage.stored, seen, judged, symptom)


def _judge(ledger: Ledger, name: str, vantage: Vantage, seen: Observation) -> tuple[Judged, Symptom | None]:
    states = ledger.states(name)
    may_be_absent = Absent() in states
    linked = any(isinstance(state, Link) for state in states)
    if linked and not vantage.stored:
        return Judged.UNTOLD, None  # what a server makes of a symbolic link is its own affair
    if seen.kind is NodeKind.ERROR:
        if may_be_absent:
            return Judged.UNTOLD, None
        return (Judged.WRONG, Symptom.UNSERVED) if vantage.stored else (Judged.GONE, None)
    if states == ABSENT and not vantage.shows_absence:
        return Judged.UNTOLD, None
    match allowed(states, seen, ledger.specs):
        case Match.YES:
            return (Judged.UNTOLD if Anything() in states else Judged.RIGHT), None
        case Match.UNDECIDED:
            return Judged.UNDECIDED, None
        case Match.NO:
            pass
    if seen.kind is NodeKind.ABSENT:
        return (Judged.WRONG, Symptom.MISSING) if vantage.stored else (Judged.GONE, None)
    if linked:
        return Judged.WRONG, Symptom.METADATA
    if states == ABSENT:
        ours = vantage.stored or attributable(ledger, name, seen)
        return Judged.WRONG, Symptom.RESURRECTED if ours else Symptom.MASKED
    if seen.kind is not NodeKind.FILE or states == {Directory()}:
        return Judged.WRONG, Symptom.UNEXPECTED if may_be_absent else Symptom.MISSING
    symptom = wrong_bytes(ledger, name, seen, served=not vantage.stored)
    if symptom is Symptom.MASKED and may_be_absent and not vantage.shows_absence:
        return Judged.UNTOLD, None
    return Judged.WRONG, symptom


def resolve(sights: list[Sight]) -> list[Sight]:
    """Decide what a served path's absence is a sign of, from what the stored paths show of the same name.

    The bytes are right there: `unserved`. They are wrong or gone there: part of the same finding. No stored
    path was looked at: an absence is `missing`, an error `unserved`.
    """
    if not any(sight.judged is Judged.GONE for sight in sights):
        return sights
    stored = [sight for sight in sights if sight.stored]
    right = any(sight.judged is Judged.RIGHT for sight in stored)
    wrong = sorted((s.symptom for s in stored if s.symptom), key=list(Symptom).index)
    resolved = []
    for sight in sights:
        if sight.judged is Judged.GONE:
            if right:
                symptom = Symptom.UNSERVED
            elif wrong:
                symptom = wrong[0]
            else:
                symptom = Symptom.MISSING if sight.seen.kind is NodeKind.ABSENT else Symptom.UNSERVED
            sight = replace(sight, judged=Judged.WRONG, symptom=symptom)
        resolved.append(sight)
    return resolved


def diverging(sights: list[Sight]) -> list[Sight]:
    """The sights of a name that is right on each path alone, where they do not agree; else nothing.

    What was stored and never acknowledged may well be served to nobody, as where the row that goes with it is not
    there.
    """
    right = [sight for sight in sights if sight.judged is Judged.RIGHT]
    if any(sight.judged is Judged.WRONG for sight in sights):
        return []
    telling = [sight.seen for sight in right if sight.stored or sight.seen.kind is not NodeKind.ABSENT]
    return right if len({(seen.kind, seen.sha256) for seen in telling}) > 1 else []
