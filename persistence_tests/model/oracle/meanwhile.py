"""Answers that were given while an event was applied.

Nothing but a whole answer of success with other bytes is a finding, and only through a server: what is cut off, an
error or a 404 says that the stack is on its way down or up. Nor is there one where

- the event takes the files away or puts them back, so that they may be anything in between;
- the name may be in more than one state, or was wrong already;
- the path answers 2xx to anything, and the bytes are nobody's: that is its way to say that there is no such file.
"""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.model.closure import Exactly, Match, allowed
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind
from persistence_tests.model.operation import PromiseClass
from persistence_tests.model.oracle.facts import Facts, Wrong
from persistence_tests.model.oracle.symptoms import attributable
from persistence_tests.model.oracle.words import evidence
from persistence_tests.model.records import DataFate, ReadMeanwhile


def masked(record: ReadMeanwhile, promise: PromiseClass, ledger: Ledger, facts: Facts) -> Iterator[Wrong]:
    """The ledger must stand where it stood as the event began."""
    vantage = next((v for v in facts.vantages if v.path == record.path), None)
    if vantage is None or vantage.stored:
        return
    if facts.fate is not DataFate.KEPT or promise is not PromiseClass.PROCESS_CRASH:
        return
    for name, seen in record.others.items():
        states = ledger.states(name)
        certain = len(states) == 1 and all(isinstance(state, Exactly) for state in states)
        if (
            not certain
            or seen.kind is not NodeKind.FILE
            or facts.was_wrong(name, record.path, metadata=False)
        ):
            continue
        if allowed(states, seen, ledger.specs) is not Match.NO:
            continue
        if vantage.shows_absence or attributable(ledger, name, seen):
            line = evidence(ledger, name, [(record.path, seen)], " while the event was applied")
            yield Wrong(Symptom.MASKED, name, (record.path,), line)
