"""What a plan chooses to do to the files of a step, against a replay of all that was done so far."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.closure import Absent, Exactly
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.names import NameTrait
from persistence_tests.model.operation import (
    Acknowledgement,
    Also,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.records import Completed, Invoked
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.frames import Overwriting
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.paths.shell_writer import units
from persistence_tests.paths.uploading import Parts, Uploading
from persistence_tests.run.changes import MODES
from persistence_tests.run.writing import WritePlan, merged
from persistence_tests.scenario.scenario import WriteRule
from tests.unit.reference_model import Act, worlds

EVERY = tuple(OperationKind(kind) for kind in ("create", "overwrite", "append", "rename", "delete"))
RULE = WriteRule(
    index=0,
    through="direct",
    into=("admin", "blog"),
    files=8,
    kinds=(PayloadKind.BYTES, PayloadKind.PNG, PayloadKind.TEXT),
    sizes=(0, 1, 100, 5000),
    names="hostile",
    traits=tuple(NameTrait),
    title="",
    operations=EVERY,
    also=(),
    overwriting=Overwriting.TRUNCATE,
    requests={},
    writers=1,
    uploading=Uploading(),
    as_stored=False,
    cut=0,
    left_out=0,
    acknowledgement=Acknowledgement.EXIT_0,
    atomic=True,
)
LONG_INFO = 5
examples = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


class Play:
    """A plan whose operations end as they are told, and what a store must have made of them."""

    def __init__(self, rule: WriteRule = RULE, seed: int = 7) -> None:
        self.ledger = Ledger()
        self.plan = WritePlan(_scenario(rule), "run-1", seed, itertools.count(1), self.ledger)
        self.acts: list[Act] = []
        self.there: set[str] = set()
        self.open: set[str] = set()
        self.seen: set[str] = set()

    def creates(self, step: str, outcomes: Iterable[Outcome] = ()) -> list[Operation]:
        return self._end(self.plan.batches(step, _nobody), outcomes)

    def changes(self, step: str, outcomes: Iterable[Outcome] = ()) -> list[Operation]:
        return self._end(self.plan.changes(step, _nobody), outcomes)

    def endless(self, step: str, count: int) -> list[PendingWrite]:
        return list(itertools.islice(self.plan.endless(step, RULE, 1000, None), count))

    def _end(self, batches: Iterable[Any], outcomes: Iterable[Outcome]) -> list[Operation]:
        operations = [write.operation for batch in batches for write in batch.writes]
        self.check(operations)
        told = itertools.chain(outcomes, itertools.repeat(Outcome.OK))
        for operation in operations:
            outcome = Outcome.OK if operation.kind is OperationKind.MKDIR else next(told)
            self.ledger.record(Invoked(operation))
            self.ledger.record(Completed(operation.identity, outcome))
            if operation.kind is not OperationKind.MKDIR:
                self._done(operation, outcome)
        return operations

    def check(self, operations: Iterable[Operation]) -> None:
        """No name twice, none that is open or not there; new names are new."""
        touched: set[str] = set()
        for operation in operations:
            if operation.kind is OperationKind.MKDIR:
                continue
            names = {operation.name, operation.target or operation.name}
            assert not names & touched
            touched |= names
            new = operation.name if operation.kind is OperationKind.CREATE else operation.target
            assert new not in self.seen
            if operation.kind is not OperationKind.CREATE:
                assert operation.name in self.there and operation.name not in self.open
            self.seen |= names

    def _done(self, operation: Operation, outcome: Outcome) -> None:
        content = ((operation.identity, 0),) if operation.payload else ()
        target = operation.target or ""
        self.acts.append(Act(operation.kind.value, operation.name, content, target, fate=outcome.value))
        if outcome is Outcome.INFO:
            self.open |= {operation.name, operation.target or operation.name}
        elif outcome is Outcome.OK:
            gone = operation.kind in (OperationKind.DELETE, OperationKind.RENAME)
            self.there -= {operation.name} if gone else set()
            self.there |= (
                {operation.target or operation.name} if operation.kind is not OperationKind.DELETE else set()
            )


def _scenario(rule: WriteRule) -> Any:
    return SimpleNamespace(rules=(rule,))


def _nobody(_: WriteRule) -> Any:
    return None


rounds = st.lists(
    st.tuples(st.booleans(), st.lists(st.sampled_from((Outcome.OK, Outcome.OK, Outcome.FAIL, Outcome.INFO)))),
    max_size=5,
)


def bounded(told: list[tuple[bool, list[Outcome]]]) -> list[tuple[bool, list[Outcome]]]:
    """Every operation without an answer doubles the stores that are possible."""
    left = iter(range(LONG_INFO))
    return [
        (new, [Outcome.OK if o is Outcome.INFO and next(left, None) is None else o for o in outcomes])
        for new, outcomes in told
    ]


@examples
@given(rounds.map(bounded), st.integers(0, 1000))
def test_a_plan_never_touches_an_open_name_and_the_ledger_knows_what_it_led_to(
    told: list[tuple[bool, list[Outcome]]], seed: int
) -> None:
    play = Play(seed=seed)
    play.creates("up")
    for number, (new, outcomes) in enumerate(told):
        (play.creates if new else play.changes)(f"step-{number}", outcomes)
    possible = worlds(play.acts)
    for name in play.ledger.names():
        expected = {world.as_dict().get(name) for world in possible}
        states = {
            None if isinstance(state, Absent) else tuple((p.operation, 0) for p in state.version.pieces)
            for state in play.ledger.states(name)
            if isinstance(state, Absent | Exactly)
        }
        assert states == expected


@examples
@given(st.integers(0, 1000), st.integers(5, 20))
def test_every_operation_of_a_rule_occurs_in_every_step(seed: int, files: int) -> None:
    play = Play(replace(RULE, files=files), seed)
    for step in ("up", "restart", "kill"):
        made = [*play.creates(step), *play.changes(step)]
        count = {kind: sum(operation.kind is kind for operation in made) for kind in EVERY}
        each = max(1, files // 8)
        assert count == {kind: files if kind is OperationKind.CREATE else each for kind in EVERY}
        untouched = {o.name for o in made if o.kind is OperationKind.CREATE} & play.there
        assert any(sum(name in (o.name, o.target) for o in made) == 1 for name in untouched)


def test_as_many_files_as_there_are_traits_have_them_all() -> None:
    play = Play(replace(RULE, files=len(NameTrait)))
    made = play.plan.batches("up", _nobody)[0].writes
    names = [
        write.operation.name.removeprefix("admin/").removeprefix("blog/") for write in made if write.content
    ]
    signs = (
        " ",
        '"',
        "%",
        "#",
        "?",
        "-rf",
        "..",
        "$HOME",
        "Crème",
        "Cre\u0300me",
        "写真",
        "x" * 100,
        "/level 16/",
    )
    assert len(names) == len(signs)
    assert all(any(sign in name for name in names) for sign in signs)


def test_the_same_seed_chooses_the_same_and_another_one_does_not() -> None:
    def made(seed: int) -> list[Operation]:
        play = Play(seed=seed)
        return [*play.creates("up"), *play.changes("up"), *play.creates("kill"), *play.changes("kill")]

    assert made(1) == made(1)
    assert [(o.kind, o.name) for o in made(1)] != [(o.kind, o.name) for o in made(2)]


def test_files_of_earlier_steps_are_changed_too_and_images_are_never_appended_to() -> None:
    play = Play()
    created = {o.name: step for step in ("up", "restart") for o in play.creates(step)}
    steps, kinds = set(), set()
    for number in range(12):
        for operation in play.changes(f"step-{number}"):
            steps.add(created.get(operation.name))
            if operation.kind is OperationKind.APPEND:
                kinds.add(operation.payload.kind if operation.payload else None)
                assert not operation.name.endswith(".png")
            elif operation.payload:
                assert operation.name.endswith(".png") is (operation.payload.kind is PayloadKind.PNG)
    assert {"up", "restart"} <= steps
    assert kinds <= {PayloadKind.BYTES, PayloadKind.TEXT} and kinds


def test_changes_are_spread_among_the_files_that_are_written_while_an_event_is_applied() -> None:
    play = Play()
    play.creates("up")
    writes = play.endless("kill", 40)
    kinds = [w.operation.kind for w in writes if w.operation.kind is not OperationKind.MKDIR]
    assert set(kinds) == set(EVERY)
    assert [sum(made is kind for made in kinds) for kind in EVERY[1:]] == [1] * 4
    assert all(
        earlier is OperationKind.CREATE or later is OperationKind.CREATE
        for earlier, later in itertools.pairwise(kinds)
    )
    assert all(w.operation.payload.size <= 1000 for w in writes if w.operation.payload)
    play.check([w.operation for w in writes])
    taken = {w.operation.name for w in writes}
    assert not taken & {operation.name for operation in play.changes("kill")}


def test_what_a_directory_is_made_for_stays_with_it() -> None:
    play = Play(replace(RULE, traits=(NameTrait.NESTED,)))
    (batch,) = play.plan.batches("up", _nobody)
    together = list(units(batch.writes))
    assert [write for unit in together for write in unit] == batch.writes
    for made, used in together:
        assert made.operation.kind is OperationKind.MKDIR
        assert used.operation.name.startswith(made.operation.name + "/")


def test_links_and_what_they_lead_to_and_marked_files_are_never_changed() -> None:
    play = Play(replace(RULE, files=20, also=tuple(Also)))
    for step in ("up", "restart", "kill"):
        created = play.creates(step)
        marked = [operation for operation in created if operation.mode]
        assert {operation.mode for operation in marked} <= set(MODES) and marked
        assert [operation.xattr for operation in marked] == [f"{o.identity:016x}" for o in marked]
        batches = play.plan.besides(step, _nobody)
        links = [w.operation for batch in batches for w in batch.writes if w.operation.link]
        sparse = [w.operation for batch in batches for w in batch.writes if w.operation.payload]
        assert [(o.kind, o.payload and o.payload.kind) for o in sparse] == [
            (OperationKind.CREATE, PayloadKind.SPARSE)
        ] * 2
        assert not {operation.name for operation in sparse} & play.seen
        assert [link.kind for link in links] == [OperationKind.SYMLINK] * 2 + [OperationKind.LINK] * 2
        for link in links:
            beside = posixpath.join(posixpath.dirname(link.name), link.link or "")
            old = posixpath.normpath(beside) if link.kind is OperationKind.SYMLINK else link.link
            assert old in play.there and link.name not in play.seen
            play.seen |= {link.name, old or ""}
            play.there.discard(old or "")
        play.there -= {operation.name for operation in marked}
        play.seen |= {operation.name for operation in sparse}
        for operation in sparse:
            play.ledger.record(Invoked(operation))
            play.ledger.record(Completed(operation.identity, Outcome.OK))
        play.changes(step)  # of what is in `play.there`, where neither a sparse file nor a marked one is
        assert all(play.ledger.is_settled(link.name) for link in links)


@examples
@given(seed=st.integers(0, 10_000))
def test_what_is_changed_is_nothing_that_is_linked_to_at_the_same_time(seed: int) -> None:
    play = Play(replace(RULE, files=24, also=tuple(Also)), seed)
    play.creates("up")
    play.creates("restart")
    batches = [*play.plan.besides("restart", _nobody), *play.plan.changes("restart", _nobody)]
    (batch,) = merged(batches)
    assert [write for each in batches for write in each.writes] == batch.writes
    operations = [w.operation for w in batch.writes if w.operation.kind is not OperationKind.MKDIR]
    assert {OperationKind.LINK, OperationKind.SYMLINK, *EVERY} == {o.kind for o in operations}
    touched = [o.name for o in operations] + [o.target for o in operations if o.target]
    hard = [o.link for o in operations if o.kind is OperationKind.LINK]
    soft = [
        posixpath.normpath(posixpath.join(posixpath.dirname(o.name), o.link or ""))
        for o in operations
        if o.kind is OperationKind.SYMLINK
    ]
    assert hard and soft and len({*touched, *hard, *soft}) == len(touched) + len(hard) + len(soft)


@pytest.mark.parametrize(
    ("request_line", "elsewhere"),
    [("POST /files/{name}?to={to}", True), ("POST /files/{name}?name={to_filename}", False)],
)
def test_a_rename_leads_where_its_request_can_say(request_line: str, elsewhere: bool) -> None:
    requests = {OperationKind.RENAME: RequestTemplate.parse(request_line)}
    play = Play(replace(RULE, files=40, requests=requests))
    play.creates("up")
    renames = [o for o in play.changes("up") if o.kind is OperationKind.RENAME]
    moved = [o.name.rpartition("/")[0] != (o.target or "").rpartition("/")[0] for o in renames]
    assert len(renames) == 5 and any(moved) is elsewhere


def test_an_overwrite_is_atomic_where_it_replaces_or_where_the_path_is() -> None:
    for atomic, overwriting, expected in (
        (False, Overwriting.TRUNCATE, {False}),
        (False, Overwriting.IN_PLACE, {False}),
        (False, Overwriting.REPLACE, {True}),
        (True, Overwriting.TRUNCATE, {True}),
    ):
        play = Play(replace(RULE, atomic=atomic, overwriting=overwriting))
        created = play.creates("up")
        overwrites = [o for o in play.changes("up") if o.kind is OperationKind.OVERWRITE]
        assert {o.atomic for o in overwrites} == expected
        assert {o.atomic for o in created} == {atomic}


@examples
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 5), left_out=st.integers(0, 5))
def test_some_files_of_a_step_are_disturbed_as_the_seed_says(seed: int, cut: int, left_out: int) -> None:
    parts = Parts(1000, "PATCH /{name}?offset={offset}")
    rule = replace(RULE, operations=EVERY[:1], cut=cut, left_out=left_out, uploading=Uploading(parts=parts))

    def disturbances() -> list[tuple[int | None, bool]]:
        play = Play(rule, seed)
        (batch,) = play.plan.batches("up", lambda _: None)  # type: ignore[arg-type, return-value]
        writes = [write for write in batch.writes if write.content is not None]
        for write in writes:
            size = write.content.size if write.content else 0
            assert write.cut_after is None or 1 <= write.cut_after < size
            assert not write.left_out or size > parts.size
            assert not (write.left_out and write.cut_after is not None)
        return [(write.cut_after, write.left_out) for write in writes]

    found = disturbances()
    assert found == disturbances()
    assert sum(after is not None for after, _ in found) <= cut
    assert sum(left for _, left in found) <= left_out
    if cut:
        assert any(after is not None for after, _ in found)
