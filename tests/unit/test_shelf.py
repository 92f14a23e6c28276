"""What is put away must answer as what is kept whole would: against dictionaries and sets, and against itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model import shelf as shelf_module
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import ABSENT, NodeKind, Observation, Span, SpanSource
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
    PromiseClass,
)
from persistence_tests.model.oracle import judge
from persistence_tests.model.records import (
    Checkpointed,
    Completed,
    DataFate,
    Entry,
    Invoked,
    PathObserved,
    Record,
    ScenarioBegan,
    StackReady,
)
from persistence_tests.model.shelf import Shelf
from persistence_tests.model.sightings import NameSet, Sightings
from tests.unit.oracle_histories import DIRECT, JUNK, PROXY, VOLUME, Play

MARKS: list[dict[str, Any]] = [*[{}] * 6, {"mode": "0600"}, {"provisional": True}, {"as_stored": True}]
NAMES = ("a", "b/c", "b/d", "b/é\udc80", "e\ud7ff", "e\U0001f5ff", "e\udcff", "made/f")
many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
kept = st.sampled_from([0, 1, 3, 100])


@contextmanager
def keeping(operations: int) -> Iterator[None]:
    """In memory, that is; the others go to the database."""
    with patch.object(shelf_module, "KEPT", operations):
        yield


@contextmanager
def nothing_put_away() -> Iterator[None]:
    with patch.object(Shelf, "takes", return_value=False):
        yield


def create(identity: int, name: str, rule: int = 0, size: int = 16) -> Operation:
    spec = PayloadSpec("r", identity, PayloadKind.BYTES, size, hashlib.sha256(b"%d" % identity).hexdigest())
    return Operation(
        identity, OperationKind.CREATE, name, "api", rule, Acknowledgement.HTTP_2XX, rule > 0, spec
    )


@many
@given(kept, st.lists(st.tuples(st.sampled_from(["enter", "put", "epoch"]), st.sampled_from(NAMES))))
def test_a_shelf_is_a_dictionary_of_operations(keep: int, script: list[tuple[str, str]]) -> None:
    entered: dict[str, int] = {}
    made: dict[str, Operation] = {}
    every: dict[int, tuple[int, Operation]] = {}
    numbers = first = identity = 0
    with keeping(keep):
        shelf = Shelf()
        for what, name in script:
            if what == "epoch":
                shelf.forget_names()
                entered, made, first = {}, {}, numbers
            elif name not in entered:
                shelf.enter(name)
                entered[name], numbers = numbers, numbers + 1
            elif what == "put":
                identity += 1
                operation = create(identity, name, rule=identity % 3, size=identity)
                assert shelf.takes(operation) is (name not in made)
                if name not in made:
                    shelf.put(operation)
                    made[name] = operation
                    every[identity] = entered[name], operation
        for name in NAMES:
            assert shelf.number(name) == entered.get(name)
            assert shelf.holds(name) is (name in made)
            assert shelf.named(name) == made.get(name)
        for name, operation in made.items():
            spec = operation.payload
            assert spec is not None
            assert shelf.holding(name, spec.size, spec.sha256) == entered[name]
            assert shelf.holding(name, spec.size + 1, spec.sha256) is None
            assert shelf.holding(name, spec.size, spec.sha256[::-1]) is None
        assert shelf.names() == sorted(made)
        assert sorted(shelf.below("b/")) == sorted(name for name in made if name.startswith("b/"))
        assert (shelf.first, shelf.end) == (first, numbers)
        contents = [(entered[n], n, o.payload.size, o.payload.sha256) for n, o in made.items() if o.payload]
        assert sorted(shelf.contents()) == sorted(contents)
        assert shelf.put_away() == sum(1 << entered[name] for name in made)
        for known in range(identity + 2):
            assert shelf.operation(known) == every.get(known, (0, None))[1]
        assert sorted(shelf.identities()) == sorted(every)
        for number, operation in every.values():
            assert shelf.numbered(number) == operation
            assert shelf.name(number) == operation.name
        likes = {(o.rule, o.atomic) for _, o in every.values()}
        assert {(o.rule, o.atomic) for o in shelf.likes} == likes


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "0600"},
        {"xattr": "00"},
        {"as_stored": True},
        {"kind": OperationKind.OVERWRITE},
        {"name": "a/"},
        {"identity": 2},
        {"payload": None},
        {"payload": PayloadSpec("r", 1, PayloadKind.SPARSE, 16, "0" * 64)},
        {"payload": PayloadSpec("r", 1, PayloadKind.BYTES, 16, "0" * 63 + "A")},
        {"payload": PayloadSpec("r", 1, PayloadKind.BYTES, 2**64, "0" * 64)},
    ],
)
def test_what_a_row_would_not_hold_is_not_put_away(changed: dict[str, object]) -> None:
    shelf, operation = Shelf(), create(1, "a")
    shelf.enter("a")
    shelf.enter("a/")
    assert shelf.takes(operation)
    assert not shelf.takes(replace(operation, **changed))  # type: ignore[arg-type]


def right(operation: Operation, mode: str = "0644") -> Observation:
    assert operation.payload is not None
    return Observation(NodeKind.FILE, operation.payload.size, operation.payload.sha256, mode, "0:0")


def seen_of(operation: Operation, how: int) -> Observation:
    whole = right(operation)
    return (
        whole,
        replace(whole, mode="0600"),
        replace(whole, status=200, content_type="text/plain", xattrs=("user.a=00",)),
        replace(whole, shared="a"),
        replace(whole, spans=(Span(0, 16, SpanSource.ZEROS),)),
        replace(whole, size=None),
        replace(whole, sha256="0" * 64),
        replace(whole, kind=NodeKind.OTHER),
        ABSENT,
    )[how % 9]


sights = st.lists(st.tuples(st.sampled_from(["set", "delete", "keep"]), st.integers(0, 7), st.integers(0, 8)))


@many
@given(kept, st.sets(st.integers(0, 5)), sights, sights)
def test_sightings_are_a_dictionary(
    keep: int, acknowledged: set[int], script: list[tuple[str, int, int]], later: list[tuple[str, int, int]]
) -> None:
    with keeping(keep):
        ledger = Ledger()
        operations = [create(identity, name) for identity, name in enumerate(NAMES)]
        for operation in operations[:6]:
            ledger.record(Invoked(operation))
        for identity in acknowledged:
            ledger.record(Completed(identity, Outcome.OK))
        looks = []
        for one in (script, later):
            seen, whole = Sightings(ledger), dict[str, Observation]()
            for what, place, how in one:
                name, shown = NAMES[place], seen_of(operations[place], how)
                if what == "delete" and name in whole:
                    del seen[name], whole[name]
                elif what == "delete":
                    assert name not in seen
                else:
                    (seen.__setitem__ if what == "set" else seen.keep)(name, shown)
                    whole[name] = shown
                assert dict(seen) == dict(seen.each()) == whole
                assert len(seen) == len(whole)
            assert {name for name in NAMES if name in seen} == set(whole)
            plain = {name for name in whole if name not in seen.others}
            assert plain <= {NAMES[identity] for identity in acknowledged}
            assert sorted(seen.plain()) == sorted(plain)
            looks.append((seen, whole, plain))
        (first, was, plain_then), (last, now, plain) = looks
        otherwise = {n for n in plain & was.keys() if n not in plain_then or was[n] != now[n]}
        assert last.looking_otherwise(first) == otherwise
        first.overlay(last)
        assert dict(first) == was | now


@many
@given(kept, st.lists(st.tuples(st.sampled_from("+-"), st.integers(0, 7), st.integers(0, 1))))
def test_a_set_of_names_is_a_set(keep: int, script: list[tuple[str, int, int]]) -> None:
    with keeping(keep):
        shelf = Shelf()
        for identity, name in enumerate(NAMES[:6]):
            shelf.enter(name)
            if identity % 2:
                shelf.put(create(identity, name))
        ours, theirs = (NameSet(shelf), NameSet(shelf)), (set[str](), set[str]())
        for what, place, which in script:
            name = NAMES[place]
            (ours[which].add if what == "+" else ours[which].discard)(name)
            if place < 6:
                (theirs[which].add if what == "+" else theirs[which].discard)(name)
        for mine, real in (
            (ours[0], theirs[0]),
            (ours[0] | ours[1], theirs[0] | theirs[1]),
            (ours[0] - ours[1], theirs[0] - theirs[1]),
        ):
            assert (sorted(mine), len(mine)) == (sorted(real), len(real))
            assert {name for name in NAMES if name in mine} == real


class Tale:
    """A history of anything at all, told by bytes: what it comes to need not make sense, only be the same."""

    def __init__(self, script: bytes) -> None:
        self.play = Play(paths=(VOLUME, DIRECT, PROXY), steps=(("up", "up"), ("one", "one"), ("two", "two")))
        self.numbers = iter(script)
        self.open: list[int] = []
        self.play.begin()
        self.play.begin_step("up")

    def draw(self, below: int) -> int:
        return next(self.numbers, 0) % below

    def told(self) -> list[Record]:
        for step in ("one", "two", None):
            for _ in range(self.draw(8)):
                self.operate()
            self.observe()
            if self.play.step != "up":
                self.event()
            if self.draw(8) < 7:
                self.play.end_step()
            if step and self.draw(8) == 0:
                self.play.epoch(2)
            if step:
                promise = PromiseClass.POWER_LOSS if self.draw(4) == 0 else PromiseClass.PROCESS_CRASH
                fate = (DataFate.KEPT, DataFate.KEPT, *DataFate)[self.draw(5)]
                self.play.begin_step(
                    step, promise, fate, **({"while": "writing"} if self.draw(4) == 0 else {})
                )
        return self.play.records

    def operate(self) -> None:
        play, name = self.play, NAMES[self.draw(len(NAMES))]
        kind = (OperationKind.CREATE, OperationKind.CREATE, OperationKind.CREATE, *OperationKind)[
            self.draw(11)
        ]
        target = NAMES[self.draw(len(NAMES))] if kind is OperationKind.RENAME else None
        level = tuple(Acknowledgement)[self.draw(3)]
        operation = play.operation(kind, name, 1 + self.draw(2), target, bool(self.draw(2)), level)
        if kind in (OperationKind.SYMLINK, OperationKind.LINK):
            operation = replace(operation, link=NAMES[self.draw(len(NAMES))])
        if kind is OperationKind.CREATE:
            operation = replace(operation, **MARKS[self.draw(len(MARKS))])
        play.add(Invoked(operation))
        self.open.append(operation.identity)
        if (fate := self.draw(8)) < 7:
            self.complete(operation.identity, (*[Outcome.OK] * 5, *Outcome)[fate], name)
            if fate < 5 and operation.payload:
                play.disk[target or name] = play.tiles(operation.identity)
        if self.draw(8) == 0:
            self.complete(self.open[self.draw(len(self.open))], tuple(Outcome)[self.draw(3)], name)

    def complete(self, identity: int, outcome: Outcome, name: str) -> None:
        self.play.add(Completed(identity, outcome, name=name))

    def observe(self) -> None:
        for path in self.play.paths:
            record = self.play.look(path)
            names = sorted(record.observations)
            for _ in range(self.draw(4) if names else 0):
                name, seen = names[self.draw(len(names))], dict(record.observations)
                shown, of_another = (self.play.content(self.play.disk.get(n)) for n in (name, names[0]))
                seen[name] = (
                    replace(shown, mode="0600"),
                    replace(shown, owner="7:7"),
                    replace(shown, shared=names[0]),
                    ABSENT,
                    Observation(NodeKind.ERROR, status=502),
                    self.play.content((JUNK,), path.stored),
                    of_another,
                )[self.draw(7)]
                if self.draw(6) == 0:
                    seen.pop(name)
                if self.draw(6) == 0:
                    seen["stranger"] = self.play.content((JUNK,), path.stored)
                record = replace(record, observations=seen)
            self.play.add(record)

    def event(self) -> None:
        self.play.add_event_began(cuts=self.draw(6) == 0)
        for _ in range(self.draw(3)):
            self.operate()
        if self.draw(3):
            self.play.add(Checkpointed(self.play.step))
            for _ in range(self.draw(3)):
                self.operate()
        self.play.end_event(landed=True, ready=self.draw(8) > 0)
        for _ in range(1 + self.draw(2)):
            self.observe()


scripts = st.binary(min_size=30, max_size=250)


def answers(ledger: Ledger, identities: range) -> list[object]:
    names = (*NAMES, "stranger", "made", "admin")
    of_names = [
        (
            ledger.states(name),
            ledger.name(name),
            ledger.tried(name),
            ledger.operations_on(name),
            ledger.is_settled(name),
            ledger.candidates(name),
            ledger.knows(name),
            name in ledger.name_set(),
        )
        for name in names
    ]
    of_operations = [
        (ledger.operations.get(i), ledger.specs.get(i), ledger.outcomes.get(i), i in ledger.operations)
        for i in identities
    ]
    whole = (
        ledger.names(),
        ledger.directories(),
        ledger.unacknowledged(),
        sorted(map(repr, ledger.renames())),
        ledger.links(),
        ledger.doubled,
        sorted(ledger.operations),
        sorted(ledger.specs),
        sorted(ledger.outcomes),
    )
    return [*of_names, *of_operations, *whole]


@many
@given(kept, scripts)
def test_a_ledger_answers_as_if_nothing_were_put_away(keep: int, script: bytes) -> None:
    tale = Tale(script)
    records = tale.told()
    with keeping(keep):
        compact, whole = Ledger(), Ledger()
        for record in records:
            with keeping(keep):
                compact.record(record)
            with nothing_put_away():
                whole.record(record)
            if not isinstance(record, Invoked | ScenarioBegan | StackReady):
                identities = range(tale.play.identity + 1)
                assert answers(compact, identities) == answers(whole, identities)
            if isinstance(record, PathObserved):
                for name, seen in record.observations.items():
                    for stored in (True, False):
                        assert compact.allows(name, seen, stored) is whole.allows(name, seen, stored)


@settings(many, max_examples=600)
@given(kept, scripts)
def test_the_oracle_judges_as_if_nothing_were_put_away(keep: int, script: bytes) -> None:
    entries = [Entry(float(at), "s", record) for at, record in enumerate(Tale(script).told())]
    with keeping(keep):
        compact = judge(entries)
    with nothing_put_away():
        assert compact == judge(entries)
