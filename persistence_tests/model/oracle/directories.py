"""Directories: those that the scenario expects, and those that an operation made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from persistence_tests.model.closure import Match, allowed
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.oracle.facts import Facts, Wrong
from persistence_tests.model.oracle.metadata import changed
from persistence_tests.model.oracle.sight import Vantage
from persistence_tests.model.oracle.words import observed
from persistence_tests.model.records import DataFate, Phase


def wrong_directories(
    observations: Mapping[str, Observation], vantage: Vantage, phase: Phase, ledger: Ledger, facts: Facts
) -> Iterator[Wrong]:
    """Judge what a stored path that lists shows; a directory that it does not show is not there.

    `observations` may leave out the names that are put away: no directory is.
    """
    there = {name.strip("/"): seen for name, seen in observations.items()}
    for name in sorted(facts.directories):
        seen = there.get(name, ABSENT)
        symptom, what = _expected(name, seen, vantage, phase, facts)
        if symptom is not None:
            yield Wrong(symptom, f"{name}/", (vantage.path,), f"{name}/: {what} on {vantage.path}")
    for name in ledger.directories():
        seen = there.get(name.strip("/"), ABSENT)
        if name.strip("/") in facts.directories or seen.kind is NodeKind.ERROR:
            continue
        if allowed(ledger.states(name), seen, ledger.specs) is Match.NO:
            line = f"{name.strip('/')}/: directory made, {observed(seen)} on {vantage.path}"
            yield Wrong(Symptom.MISSING, f"{name.strip('/')}/", (vantage.path,), line)


def _expected(
    name: str, seen: Observation, vantage: Vantage, phase: Phase, facts: Facts
) -> tuple[Symptom | None, str]:
    if seen.kind is NodeKind.ERROR:
        return Symptom.UNSERVED, f"expected directory, {observed(seen)}"
    if seen.kind is not NodeKind.DIRECTORY:
        return Symptom.MISSING, f"expected directory, {observed(seen)}"
    wanted = facts.began.directory_mode
    if wanted and seen.mode and int(seen.mode, 8) != int(wanted, 8):
        return Symptom.METADATA, f"expected mode {wanted}, is {seen.mode}"
    before = facts.before(vantage.path, name)
    if phase is Phase.BEFORE or before is None or facts.fate is DataFate.DESTROYED:
        return None, ""
    changes = changed(before.seen, seen) if before.seen.kind is NodeKind.DIRECTORY else []
    return (Symptom.METADATA, ", ".join(changes)) if changes else (None, "")
