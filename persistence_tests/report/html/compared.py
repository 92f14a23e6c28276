"""Chooses the names of findings whose bytes are shown, and finds what was expected of each when it was looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from persistence_tests.model.closure import States
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import Operation
from persistence_tests.model.records import Completed, Entry, Invoked, PathObserved
from persistence_tests.report.html.allowance import COMPARISONS_A_FINDING, Allowance
from persistence_tests.report.html.hexdump import Comparison, compare
from persistence_tests.report.result import FindingResult, ScenarioResult

Sight = tuple[str, str, str]  # step, path, name


class Bytes:
    """What was seen of the names of findings, where their bytes were looked at, and what was expected of them."""

    def __init__(self, result: ScenarioResult, entries: Sequence[Entry], allowance: Allowance) -> None:
        wanted: dict[str, set[str]] = {}
        for finding in _findings(result):
            wanted.setdefault(finding.step, set()).update(finding.names)
        self._operations: dict[int, Operation] = {}
        self._seen: dict[Sight, Observation] = {}
        self._states: dict[Sight, States] = {}
        if not wanted:
            return
        written: set[str] = set()
        for entry in entries:
            record = entry.record
            if isinstance(record, Invoked):
                operation = self._operations[record.operation.identity] = record.operation
                if operation.payload and operation.payload.size:
                    written.add(operation.name)
            elif isinstance(record, Completed) and record.name is not None:
                named = replace(self._operations[record.operation], name=record.name)
                self._operations[record.operation] = named
                written.add(record.name)
            elif isinstance(record, PathObserved) and record.step in wanted:
                for name in wanted[record.step] & record.observations.keys():
                    seen = record.observations[name]
                    self._seen.pop((record.step, record.path, name), None)  # the last look is what is judged
                    if seen.kind is NodeKind.FILE and (
                        seen.spans is not None if seen.size else name in written
                    ):
                        self._seen[record.step, record.path, name] = seen
        self._shown = {id(finding): self._choose(finding, allowance) for finding in _findings(result)}
        self._remember({sight for chosen in self._shown.values() for sight in chosen}, entries)

    def comparisons(self, finding: FindingResult) -> list[Comparison]:
        if not self._seen:
            return []
        return [
            compare(
                name, path, self._seen[step, path, name], self._states[step, path, name], self._operations
            )
            for step, path, name in self._shown[id(finding)]
        ]

    def _choose(self, finding: FindingResult, allowance: Allowance) -> list[Sight]:
        """One path for each name, for as many names as there is room."""
        sights: list[Sight] = []
        for name in finding.names:
            on = (sight for path in finding.paths if (sight := (finding.step, path, name)) in self._seen)
            sights += islice(on, 1)
        shown = sights[: min(COMPARISONS_A_FINDING, allowance.comparisons)]
        allowance.comparisons -= len(shown)
        allowance.comparisons_left_out += len(sights) - len(shown)
        return shown

    def _remember(self, sights: set[Sight], entries: Sequence[Entry]) -> None:
        """The states that each name was allowed to be in when it was looked at; a name knows of no other."""
        names = {name for _, _, name in sights}
        ledger = Ledger()
        for entry in entries if names else ():
            record = entry.record
            if isinstance(record, Invoked):
                operation = record.operation
                if not operation.provisional and not {operation.name, operation.target} & names:
                    continue
            if isinstance(record, Completed) and record.operation not in ledger.operations:
                continue
            if isinstance(record, PathObserved):
                own = {name: record.observations[name] for name in names & record.observations.keys()}
                for name in own:
                    if (sight := (record.step, record.path, name)) in sights:
                        self._states[sight] = ledger.states(name)
                record = replace(record, observations=own, directories={})
            ledger.record(record)


def _findings(result: ScenarioResult) -> Iterator[FindingResult]:
    return (finding for step in result.steps for finding in step.findings)
