"""What is written before an event: the operations that the scenario's write rules ask for."""

from __future__ import annotations

import dataclasses
import itertools
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persistence_tests.model.names import SUFFIXES, names_for
from persistence_tests.model.operation import Operation, OperationKind
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import PendingWrite, WritingPath

if TYPE_CHECKING:
    from persistence_tests.scenario.scenario import Scenario, WriteRule


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes of one rule, and the writer that makes them."""

    rule: WriteRule
    writer: WritingPath
    writes: Sequence[PendingWrite]

    @property
    def names(self) -> list[str]:
        """The files, without the directories that are made for them."""
        return [write.operation.name for write in self.writes if write.content is not None]


class WritePlan:
    """Makes fresh operations for the write rules of a scenario; identities are unique within the run."""

    def __init__(self, scenario: Scenario, run: str, seed: int, identities: Iterator[int]) -> None:
        self._scenario = scenario
        self._run = run
        self._seed = seed
        self._identities = identities

    def batches(
        self, step: str, writers: Callable[[WriteRule], WritingPath], *, largest: int | None = None,
        count: int | None = None, rules: Iterable[WriteRule] | None = None,
    ) -> list[Batch]:  # fmt: skip
        """One batch a rule. `count` replaces the rule's number of files, `largest` drops bigger sizes (bytes)."""
        return [
            Batch(rule, writers(rule), list(self._writes(rule, step, range(count or rule.files), largest)))
            for rule in (self._scenario.rules if rules is None else rules)
        ]

    def endless(self, step: str, rule: WriteRule, largest: int, beyond: int | None) -> Iterator[PendingWrite]:
        """Writes without end, each made when it is asked for, of at most `largest` bytes.

        Where the rule has sizes above `beyond`, the least of them is among them, and comes first.
        """
        return self._writes(rule, step, itertools.count(), largest, beyond)

    def _writes(
        self,
        rule: WriteRule,
        step: str,
        positions: Iterable[int],
        largest: int | None,
        beyond: int | None = None,
    ) -> Iterator[PendingWrite]:
        sizes = [size for size in rule.sizes if largest is None or size <= largest] or [min(rule.sizes)]
        if beyond is not None:
            sizes = [*sorted(size for size in rule.sizes if size > beyond)[:1], *sizes]
        directories = itertools.cycle(rule.into)
        for position in positions:
            kind = rule.kinds[position % len(rule.kinds)]
            size = max(sizes[(position // len(rule.kinds)) % len(sizes)], Payload.minimum(kind))
            identity = next(self._identities)
            directory = next(directories)
            (name,) = names_for(
                self._seed,
                1,
                directory,
                SUFFIXES[kind],
                rule.names,
                unique=f"{step}-{identity}",
                traits=rule.traits,
            )
            parent = posixpath.dirname(name)
            if parent != directory and rule.request is None:
                yield PendingWrite(self._operation(rule, OperationKind.MKDIR, parent), None)
            payload = Payload.make(self._run, identity, kind, size)
            create = self._operation(rule, OperationKind.CREATE, name, identity)
            yield PendingWrite(dataclasses.replace(create, payload=payload.spec), payload)

    def _operation(
        self, rule: WriteRule, kind: OperationKind, name: str, identity: int | None = None
    ) -> Operation:
        return Operation(
            identity=next(self._identities) if identity is None else identity,
            kind=kind,
            name=name,
            path=rule.through,
            rule=rule.index,
            acknowledgement=rule.acknowledgement,
            atomic=rule.atomic,
        )
