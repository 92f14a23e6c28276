"""What a file is besides its bytes: mode, owner, extended attributes, and whether its names are of one file.

Where an operation gave it, that is what must be seen. For the rest the last observation before an event says
what the event must leave as it was. What a path cannot see it says nothing of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from persistence_tests.model.closure import Exactly
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import XATTR, Outcome
from persistence_tests.model.oracle.facts import Before, Facts, Wrong
from persistence_tests.model.oracle.sight import Sight, Vantage
from persistence_tests.model.records import Phase


def wrong_metadata(
    name: str, sights: list[Sight], phase: Phase, ledger: Ledger, facts: Facts
) -> Iterator[Wrong]:
    """Compare files that are right on stored paths with what they were given, and with what they were."""
    changes: dict[str, list[str]] = {}
    for sight in sights:
        found = list(_not_as_given(name, sight.seen, ledger))
        before = facts.before(sight.path, name)
        if phase is Phase.AFTER and before and _same_file(before, sight.seen, ledger.tried(name)):
            found += changed(before.seen, sight.seen)
        if found:
            changes[sight.path] = found
    if changes:
        told = "; ".join(f"{', '.join(dict.fromkeys(those))} on {path}" for path, those in changes.items())
        yield Wrong(Symptom.METADATA, name, tuple(changes), f"{name}: {told}")


def _not_as_given(name: str, seen: Observation, ledger: Ledger) -> Iterator[str]:
    """Where the content is of one operation alone, whose acknowledgement was for mode and attribute as well."""
    states = ledger.states(name)
    state = next(iter(states))
    if len(states) != 1 or not isinstance(state, Exactly) or len(state.version.pieces) != 1:
        return
    operation = ledger.operations.get(state.version.pieces[0].operation)
    if operation is None or ledger.outcomes.get(operation.identity) is not Outcome.OK:
        return
    if operation.mode and seen.mode and seen.mode != operation.mode:
        yield f"mode was {operation.mode}, is {seen.mode}"
    if operation.xattr and seen.xattrs is not None:
        given = f"{XATTR}={operation.xattr}"
        if given not in seen.xattrs:
            yield _attributes((given,), seen.xattrs)


def changed(before: Observation, now: Observation) -> list[str]:
    pairs = (("mode", before.mode, now.mode), ("owner", before.owner, now.owner))
    told = [f"{what} was {old}, is {new}" for what, old, new in pairs if old and new and old != new]
    if before.xattrs and now.xattrs is not None and not set(before.xattrs) <= set(now.xattrs):
        told.append(_attributes(before.xattrs, now.xattrs))
    return told


def _attributes(before: tuple[str, ...], now: tuple[str, ...]) -> str:
    return f"attributes were {', '.join(before)}, are {', '.join(now) or 'none'}"


def _same_file(before: Before, now: Observation, operations: int) -> bool:
    """Content of 0 and 1 byte does not tell two writes apart, so none may have come between."""
    if before.seen.kind is NodeKind.SYMLINK and now.kind is NodeKind.SYMLINK:
        return before.operations == operations
    if before.seen.kind is not NodeKind.FILE or now.kind is not NodeKind.FILE:
        return False
    if before.seen.sha256 != now.sha256:
        return False
    return (now.size or 0) > 1 or before.operations == operations


def parted_links(
    files: Mapping[str, Mapping[str, Observation]], vantages: list[Vantage], ledger: Ledger
) -> Iterator[Wrong]:
    """Names that were made to be of one file and now are of two. `files` holds observations by path."""
    for link in ledger.links():
        parted = []
        for vantage in vantages:
            there = files.get(vantage.path, {})
            pair = [there[name] for name in (link.name, link.link or "") if name in there]
            both = len(pair) == 2 and all(seen.kind is NodeKind.FILE for seen in pair)
            if vantage.stored and both and (pair[0].shared is None or pair[0].shared != pair[1].shared):
                parted.append(vantage.path)
        if parted:
            line = (
                f"{link.name}: was another name of {link.link}, is a file of its own on {', '.join(parted)}"
            )
            yield Wrong(Symptom.METADATA, link.name, tuple(parted), line)
