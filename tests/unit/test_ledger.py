"""The ledger: what a name may show, as the runner asks it while a history grows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import Acknowledgement, OperationKind, Outcome, PromiseClass
from persistence_tests.model.records import BaselineListed, Completed, DataFate, StackReady
from tests.unit.oracle_histories import JUNK, ZEROS, Content, Play

NAME = "admin/a"


class Table:
    """Writes old (two tiles), then one operation of one tile more, and asks what may be seen."""

    def __init__(
        self, kind: OperationKind, outcome: Outcome | None, atomic: bool, exists: bool = True
    ) -> None:
        self.play = Play().opened()
        self.play.begin_step("restart")
        self.old: Content = ()
        if exists:
            self.play.write(NAME, 2)
            self.old = self.play.disk[NAME]
        operation = self.play.operation(
            kind, NAME, 3, target="b" if kind == "rename" else None, atomic=atomic
        )
        self.play.invoke(operation, outcome)
        self.new = self.play.tiles(operation.identity)

    def ledger(self) -> Ledger:
        ledger = Ledger()
        for record in self.play.records:
            ledger.record(record)
        return ledger

    def contents(self) -> dict[str, Content | None]:
        old, new = self.old, self.new
        spelled: dict[str, Content | None] = {
            "absent": None,
            "empty": (),
            "new": new,
            "prefix of new": new[:2],
            "junk": (JUNK,),
            "zeros": (ZEROS, *new[1:]),
        }
        if not old:
            return spelled
        return spelled | {
            "old": old,
            "prefix of old": old[:1],
            "mix": (*old[:1], *new[1:2]),
            "old+new": (*old, *new),
            "old+prefix": (*old, *new[:1]),
            "damaged old+new": (JUNK, *old[1:], *new),
        }

    def allowed(self, name: str = NAME) -> set[str]:
        ledger = self.ledger()
        return {
            spelled
            for spelled, content in self.contents().items()
            if ledger.allows(name, self.play.content(content), stored=True)
        }


OK, INFO = Outcome.OK, Outcome.INFO
CREATE, OVERWRITE, APPEND = OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND


@pytest.mark.parametrize(
    ("kind", "outcome", "atomic", "allowed"),
    [
        (OVERWRITE, OK, False, {"new"}),
        (OVERWRITE, INFO, True, {"old", "new"}),
        (OVERWRITE, INFO, False, {"old", "new", "empty", "prefix of new", "mix"}),
        (OVERWRITE, None, False, {"old", "new", "empty", "prefix of new", "mix"}),
        (OVERWRITE, Outcome.FAIL, False, {"old"}),
        (APPEND, OK, False, {"old+new"}),
        (APPEND, INFO, False, {"old", "old+new", "old+prefix"}),
        (OperationKind.DELETE, OK, True, {"absent"}),
        (OperationKind.DELETE, INFO, True, {"old", "absent"}),
        (OperationKind.RENAME, OK, True, {"absent"}),
        (OperationKind.RENAME, INFO, True, {"old", "absent"}),
    ],
)
def test_the_table_row_by_row(
    kind: OperationKind, outcome: Outcome | None, atomic: bool, allowed: set[str]
) -> None:
    assert Table(kind, outcome, atomic).allowed() == allowed


@pytest.mark.parametrize(
    ("outcome", "atomic", "allowed"),
    [
        (OK, False, {"new"}),
        (INFO, True, {"absent", "new"}),
        (INFO, False, {"absent", "new", "empty", "prefix of new"}),
        (Outcome.FAIL, False, {"absent"}),
    ],
)
def test_the_row_of_create(outcome: Outcome, atomic: bool, allowed: set[str]) -> None:
    assert Table(CREATE, outcome, atomic, exists=False).allowed() == allowed


def test_a_rename_brings_its_content_to_the_target() -> None:
    assert Table(OperationKind.RENAME, OK, True).allowed("b") == {"old"}
    assert Table(OperationKind.RENAME, INFO, True).allowed("b") == {"absent", "old"}


def test_a_failed_operation_leaves_no_name() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.invoke(play.operation(CREATE, "refused"), Outcome.FAIL)
    table = Ledger()
    for record in play.records:
        table.record(record)
    assert table.names() == ["admin/first"]


def test_names_directories_and_candidates() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.invoke(play.operation(OperationKind.MKDIR, "made"), OK)
    play.write("made/a", 2)
    play.write("made/a", 2)
    play.write("maybe", 2, INFO)
    play.rename("made/a", "b")
    ledger = Ledger()
    for record in play.records:
        ledger.record(record)
    assert ledger.names() == ["admin/first", "b", "made/a", "maybe"]
    assert ledger.directories() == ["made"]
    assert [spec.operation for spec in ledger.candidates("made/a")] == [3, 4]
    assert [spec.operation for spec in ledger.candidates("b")] == [4]
    assert [spec.operation for spec in ledger.candidates("a stranger")] == [5]


def test_a_name_that_was_there_first_may_hold_anything() -> None:
    ledger = Ledger()
    ledger.record(BaselineListed("volume", ("readme",), ()))
    assert ledger.allows("readme", Observation(NodeKind.FILE, 3, "00"), stored=True)
    assert not ledger.allows("readme", ABSENT, stored=True)
    assert not ledger.allows("other", Observation(NodeKind.FILE, 3, "00"), stored=True)
    assert ledger.allows("other", ABSENT, stored=True)


def test_an_error_says_nothing_of_a_name_that_must_be_absent_but_something_of_any_other() -> None:
    table = Table(OperationKind.DELETE, OK, True)
    error = Observation(NodeKind.ERROR, status=502)
    assert table.ledger().allows(NAME, error, stored=False)
    assert not table.ledger().allows(NAME, error, stored=True)
    assert not table.ledger().allows("admin/first", error, stored=False)


def test_an_unacknowledged_write_may_still_come_after_a_later_one() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 1, INFO)
    first = play.disk["a"]
    play.write("a", 1)
    second = play.disk["a"]
    ledger = Ledger()
    for record in play.records:
        ledger.record(record)
    assert ledger.allows("a", play.content(first), stored=True)
    assert ledger.allows("a", play.content(second), stored=True)
    assert not ledger.allows("a", ABSENT, stored=True)


def test_each_stack_from_nothing_forgets_every_name() -> None:
    table = Table(OVERWRITE, OK, True)
    ledger = table.ledger()
    ledger.record(StackReady(2, True, 1.0))
    assert ledger.names() == []
    ledger.record(Completed(1, OK))
    assert ledger.names() == []


def seen_then(promise: PromiseClass) -> Ledger:
    """An unacknowledged write was seen on both stored paths; then an event of that class."""
    play = Play(directories=()).opened()
    play.begin_step("restart")
    play.write("a", 2, INFO)
    play.observe()
    play.event()
    play.begin_step("restart", promise)
    play.event()
    ledger = Ledger()
    for record in play.records:
        ledger.record(record)
    return ledger


def test_what_was_seen_is_known_until_the_next_power_loss() -> None:
    assert not seen_then(PromiseClass.PROCESS_CRASH).allows("a", ABSENT, stored=True)
    assert seen_then(PromiseClass.POWER_LOSS).allows("a", ABSENT, stored=True)


def test_a_link_that_outlived_a_power_loss_is_known() -> None:
    play = Play(directories=()).opened()
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    made = play.operation(OperationKind.SYMLINK, "l", acknowledgement=Acknowledgement.EXIT_0)
    play.invoke(replace(made, link="../a"), Outcome.OK)
    there = Observation(NodeKind.SYMLINK, target="../a")
    play.event()
    for seen in (False, True):
        if seen:
            play.observe({path: {"l": there} for path in ("volume", "direct")})
            play.begin_step("kill")
        ledger = Ledger()
        for record in play.records:
            ledger.record(record)
        assert ledger.allows("l", there, stored=True)
        assert ledger.allows("l", ABSENT, stored=True) is not seen


def test_stored_paths_that_disagree_settle_nothing() -> None:
    play = Play(directories=()).opened()
    play.begin_step("restart")
    play.write("a", 2, INFO)
    play.observe({"direct": {"a": ABSENT}})
    play.event()
    ledger = Ledger()
    for record in play.records:
        ledger.record(record)
    assert ledger.allows("a", ABSENT, stored=True)


def test_writes_during_a_destroying_event_may_come_before_or_after_it() -> None:
    cases: tuple[tuple[dict[str, Any], bool], ...] = (({"while": "writing"}, True), ({}, False))
    for options, may_be_there in cases:
        play = Play().opened()
        play.begin_step("restart", fate=DataFate.DESTROYED, **options)
        play.add_event_began()
        play.write("a", 2)
        play.end_event()
        ledger = Ledger()
        for record in play.records:
            ledger.record(record)
        assert ledger.allows("a", ABSENT, stored=True)
        assert ledger.allows("a", play.content(play.disk["a"]), stored=True) is may_be_there
        assert not ledger.allows("admin/first", play.content(play.disk["admin/first"]), stored=True)


def test_a_prefix_is_known_by_its_digest_alone() -> None:
    table = Table(OVERWRITE, INFO, atomic=False)
    prefix = replace(table.play.content(table.new[:2]), spans=None)
    mix = replace(table.play.content((*table.old[:1], *table.new[1:2])), spans=None)
    assert table.ledger().allows(NAME, prefix, stored=True)
    assert not table.ledger().allows(NAME, mix, stored=True)
