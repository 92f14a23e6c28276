"""Rows that refer to files, against the files that the other paths showed at the same moment.

Of a name that the run wrote by what makes a row, and about which nothing is open:

    no row refers to it                         unreferenced; where the file is gone too, missing
    a row refers to it, no stored path has it   dangling, be it that it was deleted
    it was deleted, file and row are back       resurrected
    the row says another digest or size         what such bytes would be (stale, empty, …; else corrupted)

Of a name that the run did not write (a smaller picture made of an upload, what was there at first) only `dangling`,
and that only where the row cannot be one of an operation without an answer, or what a power loss may leave of it:

    the row has a name that the run wrote, which must be there
    no event was a power loss, and a file of that name was there at first, or every operation was acknowledged
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from persistence_tests.model.closure import Absent
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.oracle.facts import Facts, Wrong
from persistence_tests.model.oracle.sight import Judged, Sight, Vantage
from persistence_tests.model.oracle.symptoms import wrong_bytes
from persistence_tests.model.oracle.words import evidence, observed
from persistence_tests.model.rows import is_sure, makes_row, right
from persistence_tests.model.sightings import Sightings


def look_at_row(
    ledger: Ledger, name: str, vantage: Vantage, seen: Observation, files: list[Sight]
) -> tuple[Sight, str]:
    """The sight of a name on a path that shows rows, and evidence where it is wrong.

    `files` is what the other paths showed of the name, resolved.
    """
    judged, symptom = _judge(ledger, name, seen, files)
    stored = [(sight.path, sight.seen) for sight in files if sight.stored]
    line = evidence(ledger, name, [(vantage.path, seen), *stored]) if symptom is not None else ""
    return Sight(vantage.path, False, seen, judged, symptom), line


def _judge(ledger: Ledger, name: str, seen: Observation, files: list[Sight]) -> tuple[Judged, Symptom | None]:
    if not is_sure(ledger, name) or not makes_row(ledger, name):
        return Judged.UNTOLD, None
    (state,) = ledger.states(name)
    deleted = isinstance(state, Absent)
    if seen.kind is NodeKind.ERROR:
        return (Judged.UNTOLD, None) if deleted else (Judged.WRONG, Symptom.UNSERVED)
    as_it_must = right(state, seen)
    if as_it_must is None:
        return Judged.UNTOLD, None
    if seen.kind is NodeKind.ROW:
        stored = [sight for sight in files if sight.stored]
        if stored and all(sight.seen.kind is NodeKind.ABSENT for sight in stored):
            return Judged.WRONG, Symptom.DANGLING
        if deleted:
            return Judged.WRONG, Symptom.RESURRECTED
    if as_it_must:
        return Judged.RIGHT, None
    if seen.kind is NodeKind.ROW:
        return Judged.WRONG, wrong_bytes(ledger, name, seen, served=False)
    there = any(sight.seen.kind is NodeKind.FILE for sight in files)
    return Judged.WRONG, Symptom.UNREFERENCED if there else Symptom.MISSING


def dangling(
    rows: Sightings, vantage: Vantage, stored: Mapping[str, Sightings], ledger: Ledger, facts: Facts
) -> Iterator[tuple[str, Wrong | None]]:
    """Names that the run did not write, each in a row and on none of the stored paths; what is wrong with it, if that
    can be told."""
    before = ledger.baseline.get(vantage.path, frozenset())
    for name, seen in rows.others.items():
        if seen.kind is not NodeKind.ROW or ledger.knows(name) or name in before or not stored:
            continue
        if any(name in files and files[name].kind is not NodeKind.ABSENT for files in stored.values()):
            continue
        if not _must_be_there(name, seen, stored, ledger, facts):
            yield name, None
            continue
        where = f"absent on {', '.join(stored)}"
        line = f"{name}: {observed(seen)} refers to it on {vantage.path}, {where}"
        yield name, Wrong(Symptom.DANGLING, name, (vantage.path,), line)


def _must_be_there(
    name: str, seen: Observation, stored: Mapping[str, Sightings], ledger: Ledger, facts: Facts
) -> bool:
    if seen.beside is not None and ledger.knows(seen.beside):
        states = ledger.states(seen.beside)
        return is_sure(ledger, seen.beside) and Absent() not in states
    if facts.power_was_lost:
        return False
    first = any(name in ledger.baseline.get(path, ()) for path in stored)
    return first or not ledger.unacknowledged()
