"""Mode and owner of a file, which an event must leave as they were."""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.oracle.facts import Before, Facts, Wrong
from persistence_tests.model.oracle.sight import Sight
from persistence_tests.model.records import Phase


def wrong_metadata(
    name: str, sights: list[Sight], phase: Phase, ledger: Ledger, facts: Facts
) -> Iterator[Wrong]:
    """Compare files that are right on stored paths with the last observation before the event."""
    if phase is Phase.BEFORE:
        return
    changes: dict[str, list[str]] = {}
    for sight in sights:
        before = facts.before.get((sight.path, name))
        if before is None or not _same_file(before, sight.seen, ledger.tried(name)):
            continue
        for change in changed(before.seen, sight.seen):
            changes.setdefault(sight.path, []).append(change)
    if changes:
        told = "; ".join(f"{', '.join(those)} on {path}" for path, those in changes.items())
        yield Wrong(Symptom.METADATA, name, tuple(changes), f"{name}: {told}")


def changed(before: Observation, now: Observation) -> list[str]:
    pairs = (("mode", before.mode, now.mode), ("owner", before.owner, now.owner))
    return [f"{what} was {old}, is {new}" for what, old, new in pairs if old and new and old != new]


def _same_file(before: Before, now: Observation, operations: int) -> bool:
    """Content of 0 and 1 byte does not tell two writes apart, so none may have come between."""
    if before.seen.kind is not NodeKind.FILE or now.kind is not NodeKind.FILE:
        return False
    if before.seen.sha256 != now.sha256:
        return False
    return (now.size or 0) > 1 or before.operations == operations
