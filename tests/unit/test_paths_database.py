"""The path to rows: its configuration, its queries, what a row comes to, and what is kept of a whole table."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from persistence_tests.errors import StackError, UsageError
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.records import BaselineListed, PathDeclared, PathObserved, Phase, Record
from persistence_tests.model.secrets import Secrets
from persistence_tests.paths.base import View
from persistence_tests.paths.database import DatabaseConfig, DatabasePath, Reference, _named, _query
from persistence_tests.run.verification import Verification

ICON = {"table": "base_company", "column": "icon"}


def config(**changes: Any) -> DatabaseConfig:
    said = {"service": "db", "url": "postgresql://app:${DB_PASSWORD}@/app", "references": [ICON], **changes}
    return DatabaseConfig(**said)


@pytest.mark.parametrize(
    "url",
    ["postgresql://app:x@db/app", "postgresql://app:x@db:5432/app", "mysql://app:x@/app", "postgresql:///app",
     "postgresql://app:x@/app?sslmode=require", "postgresql://app:x@/", "app"],
)  # fmt: skip
def test_an_address_has_no_host(url: str) -> None:
    with pytest.raises(ValidationError, match="no host, no port"):
        config(url=url)


def test_a_password_is_a_secret_and_stands_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    stack = SimpleNamespace(secrets=Secrets(), spec=SimpleNamespace(env={"DB_PASSWORD": "p@ss/word:%41"}))
    path = DatabasePath("database", config(), stack)  # type: ignore[arg-type]
    assert stack.secrets.redact("it is p@ss/word:%41") == "it is ***"
    assert "p@ss" not in str(path.declared)
    assert path._address(("127.0.0.1", 5)).password == "p@ss/word:%41"
    stack.spec.env.clear()
    with pytest.raises(UsageError, match="DB_PASSWORD is not set"):
        DatabasePath("database", config(), stack)  # type: ignore[arg-type]


def test_a_database_that_never_answered_may_be_the_scenarios_fault() -> None:
    def reached(service: str, port: int) -> Any:
        raise StackError("port 5432 of db is not published")

    stack = SimpleNamespace(
        secrets=Secrets(), spec=SimpleNamespace(env={"DB_PASSWORD": "x"}), reached=reached
    )
    path = DatabasePath("database", config(), stack)  # type: ignore[arg-type]
    assert path.observe(["a"]).problem == "port 5432 of db is not published"
    path._answered.add("base_company")
    seen = path.observe(["a"])
    assert (seen.problem, seen.observations["a"].kind) == (None, NodeKind.ERROR)


def test_one_query_reads_all_columns_of_a_table() -> None:
    from sqlalchemy.dialects import postgresql

    references = [
        Reference(table="hr.Company", column="icon", sha256="sum", where="name NOT LIKE '10%'"),
        Reference(table="hr.Company", column='odd"one', size="size"),
    ]
    compiled = _query("hr.Company", references).compile(dialect=postgresql.psycopg.dialect())  # type: ignore[no-untyped-call]
    assert " ".join(str(compiled).split()) == (
        'SELECT "icon" AS of_0_0, "sum" AS of_0_1, NULL AS of_0_2, (name NOT LIKE \'10%%\') AS of_0_counts, '
        '"odd""one" AS of_1_0, NULL AS of_1_1, "size" AS of_1_2, true AS of_1_counts FROM "hr"."Company"'
    )


texts = st.sampled_from([None, "", "/media/", "/media/a b%20/ü.png", "other/x", "/media//deep/x/"])


@given(
    st.lists(
        st.tuples(texts, st.sampled_from([None, "AB", b"\xab"]), st.sampled_from([None, 7]), st.booleans())
    )
)
def test_a_row_comes_to_the_names_in_it(cells: list[tuple[Any, Any, Any, bool]]) -> None:
    references = [Reference(table="t", column=f"c{n}", under="/media/") for n in range(len(cells))]
    found = list(_named([each for cell in cells for each in cell], references))
    wanted: list[tuple[str, str, str | None, int | None, str | None]] = []
    for number, (text, digest, size, counts) in enumerate(cells):
        if counts and text in ("/media/a b%20/ü.png", "/media//deep/x/"):
            name = "a b%20/ü.png" if "ü" in text else "deep/x"
            beside = wanted[0][0] if wanted else None
            wanted.append((name, f"t.c{number}", "ab" if digest else None, size, beside))
    assert [(n, o.row, o.sha256, o.size, o.beside) for n, o in found] == wanted
    assert {observation.kind for _, observation in found} <= {NodeKind.ROW}


# How such a path is looked at

VOLUME = PathDeclared("volume", "volume", stored=True, lists=True, while_down=True, root="/")
ROWS = PathDeclared(
    "database", "database", stored=False, lists=False, while_down=False, root="t.c", refers=True
)


@dataclass
class Shown:
    """A path that shows one set of names after the other, then the last for ever."""

    declared: PathDeclared
    each: list[set[str]]
    within: float = 0.0
    looks: int = field(default=0)

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        self.looks += 1
        there = self.each.pop(0) if len(self.each) > 1 else self.each[0]
        seen = (
            Observation(NodeKind.ROW, row="t.c")
            if self.declared.refers
            else Observation(NodeKind.FILE, 1, "0")
        )
        target: MutableMapping[str, Observation] = {} if into is None else into
        for name in there:
            target[name] = seen
        for name in names:
            if name not in target:
                target[name] = ABSENT
        return View(target, "paper")

    def read(self, name: str, limit: int) -> bytes:
        return b""

    def close(self) -> None:
        return


def looked(files: list[set[str]], rows: list[set[str]], within: float = 0.0) -> list[Record]:
    records: list[Record] = []
    ledger = Ledger()

    def record(each: Record) -> None:
        records.append(each)
        ledger.record(each)

    paths = [Shown(ROWS, rows, within), Shown(VOLUME, files)]
    verification = Verification("run", paths, ledger, record, ignore=("**",))
    verification.list_baseline()
    verification.observe("restart", Phase.AFTER, ())
    return [each for each in records if getattr(each, "path", "") == "database"]


def test_of_rows_that_nobody_asked_for_those_without_a_file_are_kept() -> None:
    before, after = looked([{"a"}, {"a", "b"}], [{"a", "old"}, {"a", "b", "new", "old"}])
    assert isinstance(before, BaselineListed)
    assert before.names == ("old",)
    assert isinstance(after, PathObserved)
    assert set(after.observations) == {"new", "old"}


def test_a_file_that_comes_after_its_row_is_waited_for() -> None:
    _, after = looked([set(), set(), {"late"}], [set(), {"late"}], within=5.0)
    assert isinstance(after, PathObserved)
    assert set(after.observations) == set()


def test_without_a_path_that_shows_files_nothing_is_strange() -> None:
    records: list[Record] = []
    Verification("run", [Shown(ROWS, [{"a"}])], Ledger(), records.append).observe("up", Phase.BEFORE, ())
    (seen,) = records
    assert isinstance(seen, PathObserved)
    assert seen.observations == {}


def test_a_table_however_long_takes_no_memory_once_it_is_read() -> None:
    names = {f"seed/{number}" for number in range(50_000)}
    _, after = looked([names], [names])
    assert isinstance(after, PathObserved)
    assert len(after.observations) == 0
