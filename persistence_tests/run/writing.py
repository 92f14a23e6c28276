"""What is written: the operations that the scenario's write rules ask for, before an event and during it."""

from __future__ import annotations

import itertools
import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from persistence_tests.model.names import SUFFIXES, NameTrait, names_for
from persistence_tests.model.operation import (
    Acknowledgement,
    Also,
    Operation,
    OperationKind,
    PayloadKind,
    PayloadSpec,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import PendingWrite, WritingPath
from persistence_tests.paths.frames import Overwriting
from persistence_tests.paths.shell_writer import units
from persistence_tests.run.changes import (
    CHANGED,
    MARKED,
    MODES,
    change_size,
    chosen,
    content_kind,
    disturbed,
    linked,
)

if TYPE_CHECKING:
    from persistence_tests.model.ledger import Ledger
    from persistence_tests.scenario.scenario import Scenario, WriteRule


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations of one rule, and the writer that makes them."""

    rule: WriteRule
    writer: WritingPath
    writes: Sequence[PendingWrite]


Writers = Callable[["WriteRule"], WritingPath]


class WritePlan:
    """Makes operations for the write rules of a scenario; identities are unique within the run.

    One plan lasts as long as the names that it makes do: an epoch.
    """

    def __init__(
        self, scenario: Scenario, run: str, seed: int, identities: Iterator[int], ledger: Ledger
    ) -> None:
        self._scenario = scenario
        self._run = run
        self._seed = seed
        self._identities = identities
        self._ledger = ledger
        self._made: dict[int, set[str]] = defaultdict(set)
        self._turns: dict[int, Iterator[int]] = defaultdict(itertools.count)
        self._rounds = 0

    def batches(
        self, step: str, writers: Writers, *, largest: int | None = None,
        count: int | None = None, rules: Iterable[WriteRule] | None = None,
    ) -> list[Batch]:  # fmt: skip
        """New files, a batch a rule. `count` replaces the rule's number of files, `largest` drops bigger
        sizes (bytes)."""
        batches = []
        for rule in self._scenario.rules if rules is None else rules:
            writes = list(self._creates(rule, step, range(count or rule.files), largest))
            if count is None:
                writes = disturbed(writes, rule, Random(f"{self._seed} {step} {rule.index}"))
            batches.append(Batch(rule, writers(rule), writes))
        return batches

    def changes(self, step: str, writers: Writers) -> list[Batch]:
        """What the rules do to files that are there by now, each of which is taken once; a batch a rule."""
        batches = [
            Batch(rule, writers(rule), list(self._changes(rule, step))) for rule in self._scenario.rules
        ]
        return [batch for batch in batches if batch.writes]

    def besides(self, step: str, writers: Writers) -> list[Batch]:
        """Where the rules ask for them: links to files that are there by now, and files with a hole."""
        batches = [
            Batch(rule, writers(rule), [*self._links(rule, step), *self._sparse(rule, step)])
            for rule in self._scenario.rules
        ]
        return [batch for batch in batches if batch.writes]

    def endless(self, step: str, rule: WriteRule, largest: int, beyond: int | None) -> Iterator[PendingWrite]:
        """New files without end, each made when it is asked for, of at most `largest` bytes, and among the first
        of them `changes`; whatever these are to be done to is nobody else's from now on.

        Where the rule has sizes above `beyond`, the least of them is among them, and comes first.
        """
        changes = list(units(self._changes(rule, step, largest)))
        self._made[rule.index].difference_update(w.operation.name for unit in changes for w in unit)
        return _mixed(units(self._creates(rule, step, itertools.count(), largest, beyond)), changes)

    def single(self, step: str, through: str, size: int) -> PendingWrite:
        """One file of `size` bytes with a plain name, where the first rule writes, acknowledged by an exit code; no
        rule does anything to it later."""
        first, kind = self._scenario.rules[0], PayloadKind.BYTES
        rule = replace(first, through=through, acknowledgement=Acknowledgement.EXIT_0, atomic=False)
        identity = next(self._identities)
        unique = f"{step}-{identity}"
        (name,) = names_for(self._seed, 1, first.into[0], SUFFIXES[kind], "plain", unique=unique)
        return self._write(rule, OperationKind.CREATE, name, identity, kind, size)

    def _creates(
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
            name = self._new_name(rule, step, identity, next(directories), kind)
            yield from self._directories(rule, name)
            write = self._write(rule, OperationKind.CREATE, name, identity, kind, size)
            yield self._marked(rule, write, position // MARKED) if position % MARKED == 0 else write

    def _marked(self, rule: WriteRule, write: PendingWrite, turn: int) -> PendingWrite:
        """With a mode and an attribute where the rule asks for them; such a file is not changed later."""
        if {Also.MODES, Also.XATTRS} & {*rule.also}:
            self._made[rule.index].discard(write.operation.name)
        mode = MODES[turn % len(MODES)] if Also.MODES in rule.also else None
        xattr = f"{write.operation.identity:016x}" if Also.XATTRS in rule.also else None
        return replace(write, operation=replace(write.operation, mode=mode, xattr=xattr))

    def _links(self, rule: WriteRule, step: str) -> Iterator[PendingWrite]:
        """A link and what it leads to stay as they are: nothing of the two is changed from now on."""
        kinds = {Also.SYMLINKS: OperationKind.SYMLINK, Also.HARD_LINKS: OperationKind.LINK}
        self._rounds += 1
        random = Random(f"{self._seed} {self._rounds}")
        for kind in (kind for also, kind in kinds.items() if also in rule.also):
            for old in list(linked(self._ledger, self._made[rule.index], rule, random)):
                identity = next(self._identities)
                content = content_kind(self._ledger, old) or PayloadKind.BYTES
                name = self._new_name(rule, step, identity, random.choice(rule.into), content)
                self._made[rule.index] -= {name, old}
                text = posixpath.relpath(old, posixpath.dirname(name))
                link = text if kind is OperationKind.SYMLINK else old
                yield from self._directories(rule, name)
                yield PendingWrite(replace(self._operation(rule, kind, name, identity), link=link), None)

    def _sparse(self, rule: WriteRule, step: str) -> Iterator[PendingWrite]:
        """As many as there are links of a kind; what has a hole is not changed later."""
        random, kind = Random(f"{self._seed} {step} {rule.index} sparse"), PayloadKind.SPARSE
        for _ in range(max(1, rule.files // CHANGED) if Also.SPARSE in rule.also else 0):
            identity = next(self._identities)
            name = self._new_name(rule, step, identity, random.choice(rule.into), kind)
            self._made[rule.index].discard(name)
            yield from self._directories(rule, name)
            size = Payload.minimum(kind) + random.choice(rule.sizes)
            yield self._write(rule, OperationKind.CREATE, name, identity, kind, size)

    def _changes(self, rule: WriteRule, step: str, largest: int | None = None) -> Iterator[PendingWrite]:
        self._rounds += 1
        random = Random(f"{self._seed} {self._rounds}")
        # A copy: those who go on writing while an event is applied add to it.
        for operation, name, kind in chosen(rule, self._ledger, tuple(self._made[rule.index]), random):
            identity = next(self._identities)
            match operation:
                case OperationKind.OVERWRITE | OperationKind.APPEND:
                    size = change_size(rule, operation, kind, random, largest)
                    yield self._write(rule, operation, name, identity, kind, size)
                case OperationKind.RENAME:
                    target = self._renamed(rule, step, identity, name, kind, random)
                    yield from self._directories(rule, target)
                    yield PendingWrite(self._operation(rule, operation, name, identity, target=target), None)
                case _:
                    yield PendingWrite(self._operation(rule, operation, name, identity), None)

    def _renamed(
        self, rule: WriteRule, step: str, identity: int, name: str, kind: PayloadKind, random: Random
    ) -> str:
        """A new name in one of the rule's directories, or beside the old one where the request knows no other."""
        request = rule.requests.get(OperationKind.RENAME)
        if request is None or request.placeholders & {"to", "to_directory"}:
            return self._new_name(rule, step, identity, random.choice(rule.into), kind)
        flat = tuple(trait for trait in rule.traits if trait is not NameTrait.NESTED)
        return self._new_name(rule, step, identity, posixpath.dirname(name), kind, flat)

    def _new_name(
        self, rule: WriteRule, step: str, identity: int, directory: str, kind: PayloadKind,
        traits: Sequence[NameTrait] | None = None,
    ) -> str:  # fmt: skip
        given = rule.traits if traits is None else traits
        style = rule.names if given else "plain"
        # In turn, over all steps: as many files as there are traits have them all.
        turn = next(self._turns[rule.index])
        trait = given[turn % len(given) : turn % len(given) + 1] if given else ()
        unique = f"{step}-{identity}"
        (name,) = names_for(self._seed, 1, directory, SUFFIXES[kind], style, unique=unique, traits=trait)
        self._made[rule.index].add(name)
        return name

    def _directories(self, rule: WriteRule, name: str) -> Iterator[PendingWrite]:
        """Servers make the directories that a name asks for; a container's shell is told to."""
        parent = posixpath.dirname(name)
        if parent not in rule.into and not rule.served:
            identity = next(self._identities)
            yield PendingWrite(self._operation(rule, OperationKind.MKDIR, parent, identity), None)

    def _write(
        self, rule: WriteRule, kind: OperationKind, name: str, identity: int, content: PayloadKind, size: int
    ) -> PendingWrite:
        payload = Payload.make(self._run, identity, content, size)
        chance = Random(f"{self._seed} {identity}").getrandbits(32) if rule.uploading.parts else 0
        return PendingWrite(self._operation(rule, kind, name, identity, payload.spec), payload, chance=chance)

    def _operation(
        self, rule: WriteRule, kind: OperationKind, name: str, identity: int,
        payload: PayloadSpec | None = None, target: str | None = None,
    ) -> Operation:  # fmt: skip
        replaces = kind is OperationKind.OVERWRITE and rule.overwriting is Overwriting.REPLACE
        return Operation(
            identity=identity,
            kind=kind,
            name=name,
            path=rule.through,
            rule=rule.index,
            acknowledgement=rule.acknowledgement,
            atomic=rule.atomic or replaces,
            payload=payload,
            target=target,
            provisional=rule.uploading.stored_as is not None and kind is OperationKind.CREATE,
            as_stored=rule.as_stored and payload is not None,
        )


def merged(batches: Iterable[Batch]) -> list[Batch]:
    """One batch a rule."""
    of_rules: dict[int, list[Batch]] = defaultdict(list)
    for batch in batches:
        of_rules[batch.rule.index].append(batch)
    return [
        replace(own[0], writes=[write for batch in own for write in batch.writes])
        for own in of_rules.values()
    ]


def _mixed(
    news: Iterable[list[PendingWrite]], changes: Iterable[list[PendingWrite]]
) -> Iterator[PendingWrite]:
    waiting = iter(changes)
    for new in news:
        yield from new
        yield from next(waiting, ())
