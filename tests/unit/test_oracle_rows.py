"""Rows that refer to files: what is dangling, unreferenced or wrong, and what nobody can know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.finding import Symptom, Verdict
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import OperationKind, Outcome, PromiseClass
from persistence_tests.model.records import DataFate, PathDeclared
from tests.unit.oracle_histories import API, DATABASE, DIRECT, VOLUME, Content, Play

ALL = (VOLUME, DIRECT, API, DATABASE)


def opened(paths: tuple[PathDeclared, ...] = ALL, **options: object) -> Play:
    play = Play(paths=paths, directories=(), **options)  # type: ignore[arg-type]
    play.opened(["old"])
    play.begin_step("restart")
    play.write("a", 2)
    play.write("gone", 1)
    play.delete("gone")
    play.observe()
    return play


def findings(play: Play) -> dict[tuple[str, tuple[str, ...]], tuple[str, ...]]:
    """Names by symptom and paths, of the last step."""
    judged = play.judgement("restart")
    assert judged.verdict is (Verdict.LOST if judged.findings else Verdict.KEPT), judged
    return {(str(found.symptom), found.paths): found.names for found in judged.findings}


def shown(play: Play) -> dict[tuple[str, tuple[str, ...]], tuple[str, ...]]:
    play.observe()
    play.end_step()
    return findings(play)


def test_rows_and_files_that_are_there_are_right() -> None:
    play = opened()
    play.event()
    assert shown(play) == {}
    assert play.judgement("restart").paths["database"].checked == 3


@pytest.mark.parametrize("says", [(None, None), (128, None), (None, "digest")])
def test_a_row_need_not_say_anything_of_the_file(says: tuple[int | None, str | None]) -> None:
    play = opened()
    play.event()
    size, digest = says
    digest = play.table["a"].sha256 if digest else None
    play.table["a"] = replace(play.table["a"], size=size, sha256=digest)
    assert shown(play) == {}


def test_a_row_without_its_file_is_dangling() -> None:
    play = opened()
    play.event()
    del play.disk["a"]
    files = ("volume", "direct", "api")
    assert shown(play) == {("missing", files): ("a",), ("dangling", ("database",)): ("a",)}


def test_a_row_that_is_back_without_its_file_is_dangling() -> None:
    play = opened()
    play.event()
    play.table["gone"] = play.row(((99, 0),))
    assert shown(play) == {("dangling", ("database",)): ("gone",)}


def test_a_file_without_its_row_is_unreferenced() -> None:
    play = opened()
    play.event()
    del play.table["a"]
    assert shown(play) == {("unreferenced", ("database",)): ("a",)}


def test_where_both_are_gone_it_is_one_finding() -> None:
    play = opened()
    play.event()
    del play.table["a"], play.disk["a"]
    assert shown(play) == {("missing", ("volume", "direct", "api", "database")): ("a",)}


def test_where_both_are_back_it_is_one_finding() -> None:
    play = opened()
    play.event()
    play.disk["gone"] = ((3, 0),)
    play.table["gone"] = play.row(play.disk["gone"])
    assert shown(play) == {("resurrected", ("volume", "direct", "api", "database")): ("gone",)}


def test_a_row_that_says_what_the_file_was_before_is_stale() -> None:
    play = opened()
    before = play.table["a"]
    play.write("a", 3)
    play.observe()
    play.event()
    play.table["a"] = before
    assert shown(play) == {("stale", ("database",)): ("a",)}


@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 5}])
def test_a_row_that_says_what_nobody_wrote_is_corrupted(wrong: dict[str, object]) -> None:
    play = opened()
    play.event()
    play.table["a"] = replace(play.table["a"], **wrong)  # type: ignore[arg-type]
    assert shown(play) == {("corrupted", ("database",)): ("a",)}


def test_without_a_path_to_the_files_rows_alone_are_judged() -> None:
    play = opened(paths=(DATABASE,))
    play.event()
    del play.table["a"], play.disk["old"]
    assert shown(play) == {("missing", ("database",)): ("a",)}


def test_a_database_that_does_not_answer_is_unserved() -> None:
    play = opened()
    play.event()
    silent = Observation(NodeKind.ERROR, error="the database system is starting up")
    play.table = dict.fromkeys(play.names(), silent)
    assert shown(play) == {("unserved", ("database",)): ("a", "old")}


def test_rows_of_another_rule_are_not_asked_for() -> None:
    play = opened()
    written = replace(play.operation(OperationKind.CREATE, "by hand", 2), path="direct")
    play.invoke(written, Outcome.OK)
    play.disk["by hand"] = play.tiles(written.identity)
    play.event()
    look = {path.name: play.look(path) for path in ALL}
    del look["database"].observations["by hand"]
    play.add(*look.values())
    play.end_step()
    assert findings(play) == {}


STRANGE = "small/a"


def with_a_strange_row(play: Play, beside: str | None, *, file: bool) -> Play:
    play.table[STRANGE] = Observation(NodeKind.ROW, row="picture.small", beside=beside)
    if file:
        play.ignore = ("small/**",)
        play.disk[STRANGE] = ((98, 0),)
    return play


@pytest.mark.parametrize("beside", ["a", None])
def test_a_strange_row_without_its_file_is_dangling(beside: str | None) -> None:
    play = opened()
    play.event()
    with_a_strange_row(play, beside, file=False)
    assert shown(play) == {("dangling", ("database",)): (STRANGE,)}


def test_a_strange_row_that_was_so_at_first_is_nobodys_fault() -> None:
    play = opened(strange_rows=(STRANGE,))
    play.event()
    with_a_strange_row(play, None, file=False)
    assert shown(play) == {}


@pytest.mark.parametrize(
    ("beside", "dangles"), [("open", False), ("gone", False), (None, False), ("a", True)]
)
def test_a_strange_row_may_be_of_an_operation_without_an_answer(beside: str | None, dangles: bool) -> None:
    play = opened()
    play.add_event_began()
    play.write("open", 1, Outcome.INFO)
    play.end_event()
    with_a_strange_row(play, beside, file=False)
    assert bool(shown(play)) is dangles
    if not dangles:
        assert any("rows without their file" in reason for reason in play.judgement("restart").reasons)


def test_what_a_power_loss_leaves_of_what_nobody_acknowledged_is_open() -> None:
    play = Play(paths=ALL, directories=()).opened(["old"])
    play.begin_step("restart", PromiseClass.POWER_LOSS)
    play.write("a", 2)
    play.observe()
    play.event()
    with_a_strange_row(play, None, file=False)
    assert shown(play) == {}


def test_a_file_without_an_answer_has_no_row_for_sure_be_it_restored() -> None:
    """The write was cut off between the file and its row; the file is seen, backed up and restored."""
    play = Play(paths=ALL, directories=(), steps=(("up", "up"), ("kill", "kill"), ("restart", "restart")))
    play.opened(["old"])
    play.begin_step("kill")
    play.write("a", 2)
    play.observe()
    play.add_event_began()
    play.write("half", 1, Outcome.INFO)
    del play.table["half"]
    play.end_event()
    play.observe()
    play.end_step()
    play.begin_step("restart", fate=DataFate.RESTORED)
    play.write("b", 2)
    play.observe()
    play.event(checkpoint=True)
    assert shown(play) == {}


def test_after_everything_was_destroyed_a_row_that_is_left_is_dangling() -> None:
    play = Play(paths=ALL, directories=()).opened(["old"])
    play.begin_step("restart", fate=DataFate.DESTROYED)
    play.write("a", 2)
    play.observe()
    play.event()
    play.disk = {}
    assert shown(play) == {("dangling", ("database",)): ("a", "old")}


# Against a model that knows for each name what is sure of it, and nothing of how the oracle comes to it.

NAMES = ("a", "b", "c")
FATES = (Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAIL, Outcome.INFO)


@dataclass
class Known:
    """`sure` is what the name must hold (None: nothing), as long as it is not `open`."""

    sure: Content | None = None
    earlier: list[Content] = field(default_factory=list)
    open: bool = False


def expected(known: Known, file: bool, row: Observation, play: Play) -> set[Symptom]:
    """What must be said of the rows of a name; `file` is whether the stored paths have it."""
    there = row.kind is NodeKind.ROW
    if known.open or (known.sure is None and not there):
        return set()
    if there and not file:
        return {Symptom.DANGLING}
    if known.sure is None:
        return {Symptom.RESURRECTED}
    if not there:
        return {Symptom.UNREFERENCED if file else Symptom.MISSING}
    right = play.row(known.sure)
    if row.sha256 in (None, right.sha256) and row.size in (None, right.size):
        return set()
    versions = {play.row(content).sha256 for content in (*known.earlier, known.sure)}
    return {Symptom.STALE if row.sha256 in versions and row.sha256 != right.sha256 else Symptom.CORRUPTED}


choices = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 2), st.sampled_from(FATES)), max_size=8)
rows = st.lists(st.integers(0, 5), min_size=3, max_size=3)
files = st.lists(st.booleans(), min_size=3, max_size=3)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(choices, choices, rows, files)
def test_the_oracle_says_of_rows_what_the_model_says(
    before: list[tuple[str, int, Outcome]],
    during: list[tuple[str, int, Outcome]],
    row_shown: list[int],
    file_shown: list[bool],
) -> None:
    play = opened(paths=(VOLUME, DATABASE))
    known = {name: Known() for name in NAMES}
    known["a"] = Known(play.disk["a"])
    for choice in before:
        operate(play, known, *choice)
    play.observe()
    play.add_event_began()
    for choice in during:
        operate(play, known, *choice)
    play.end_event()
    for name, number, file in zip(NAMES, row_shown, file_shown, strict=True):
        if known[name].open or not play.touched(name):
            continue
        content = known[name].sure or ((77, 0),)
        table: list[Observation] = [
            play.row(content),
            replace(play.row(content), sha256=None),
            replace(play.row(content), sha256=None, size=None),
            play.row((known[name].earlier or [content])[0]),
            replace(play.row(content), sha256="0" * 64),
            ABSENT,
        ]
        play.table[name] = table[number]
        play.disk.pop(name, None)
        if file:
            play.disk[name] = content
    play.observe()
    play.end_step()
    said = {
        name: {
            f.symptom for f in play.judgement("restart").findings if name in f.names and "database" in f.paths
        }
        for name in NAMES
    }
    assert said == {
        name: expected(known[name], name in play.disk, play.table.get(name, ABSENT), play) for name in NAMES
    }


def operate(play: Play, known: dict[str, Known], name: str, tiles: int, fate: Outcome) -> None:
    mine = known[name]
    if mine.open:
        return
    delete = tiles == 0 and mine.sure is not None
    kind = OperationKind.DELETE if delete else OperationKind.OVERWRITE if mine.sure else OperationKind.CREATE
    operation = play.operation(kind, name, tiles or 1)
    play.invoke(operation, fate)
    if fate is Outcome.FAIL:
        return
    if mine.sure is not None:
        mine.earlier.append(mine.sure)
    mine.sure = None if delete else play.tiles(operation.identity)
    mine.open = fate is Outcome.INFO
    play.disk.pop(name, None)
    play.table.pop(name, None)
    if mine.sure is not None:
        play.disk[name] = mine.sure
        play.table[name] = play.row(mine.sure)
