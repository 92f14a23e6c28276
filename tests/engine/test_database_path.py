"""Pictures in files and a row for each: what the path `database` shows of sound events, and what is planted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.operation import OperationKind
from persistence_tests.model.records import EventEnded, Invoked, StackReadyAgain
from persistence_tests.stack.exec_stream import run_any
from persistence_tests.stack.machine.tunnel import tunnel
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import Entry

pytestmark = pytest.mark.engine

GALLERY = Path(__file__).parents[1] / "stacks" / "gallery"
PASSWORD = "per/fectly:se@cret %41"
URL = "/pictures/{name}"
EVENTS: dict[str, Entry] = {"restart": "restart", "kill": {"kill": {"while": "writing"}}, "pause": "pause"}
PARTS: dict[str, Any] = {
    "stack": {
        "compose": str(GALLERY / "compose.yaml"),
        "env": {"POSTGRES_PASSWORD": PASSWORD},
        "ready": {"path": "api", "url": "/health"},
    },
    "paths": {
        "volume": {"volume": "pictures"},
        "direct": {"service": "gallery", "root": "/pictures"},
        "api": {"service": "gallery", "port": 8000, "url": URL},
        "database": {
            "service": "gallery",
            "url": "postgresql://gallery:${POSTGRES_PASSWORD}@/postgres",
            "references": [
                {"table": "public.picture", "column": "file", "sha256": "file_sha256", "size": "file_size",
                 "where": "NOT removed AND file NOT LIKE '%.never'"},
                {"table": "public.picture", "column": "small"},
            ],
            "within": "10s",
        },
    },
    "writes": [
        {
            "through": "api",
            "request": {"create": f"PUT {URL}", "overwrite": f"PUT {URL}", "delete": f"DELETE {URL}"},
            "operations": ["create", "overwrite", "delete"],
            "into": ["."],
            "files": 16,
            "sizes": [1, 4096, 5000],
            "without": ["nested"],
        },
        {"through": "direct", "into": ["."], "files": 2, "sizes": [100], "names": "plain"},
    ],
    "expect": {"ignore": ["small/**", "**/*.new"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("gallery"), EVENTS, times=2, **PARTS) as opened:
        up = opened.running.open()
        assert (up.verdict, up.findings) == (Verdict.KEPT, ()), up.reasons
        yield opened


def sql(gallery: Bench, statement: str) -> str:
    return inside(gallery, "psql", "-h", "/tmp", "-U", "gallery", "-Atqc", statement, "postgres")


def inside(gallery: Bench, *command: str) -> str:
    (container,) = gallery.stack.containers("gallery")
    out, err, code = run_any(container, command)
    assert code == 0, (out, err)
    return out.decode()


END = "at=/data/postgres/postmaster.pid; kill -QUIT $(head -n 1 $at); while [ -e $at ]; do :; done; "
BEGIN = (
    "setsid setpriv --reuid=postgres --regid=postgres --init-groups postgres -D /data/postgres -c listen_addresses=* "
    "-c unix_socket_directories=/tmp </dev/null >/dev/null 2>&1 &"
)


@pytest.mark.parametrize("event", ["restart", "kill"])
def test_rows_that_were_acknowledged_are_there(gallery: Bench, event: str) -> None:
    """Also where the database crashes and recovers just before it is looked at."""
    if event == "restart":
        gallery.reactions[StackReadyAgain] = lambda _: inside(gallery, "sh", "-c", END + BEGIN)
    judged = gallery.step(gallery.take(event))
    gallery.reactions.clear()
    assert (judged.verdict, judged.findings) == (Verdict.KEPT, ()), judged
    assert judged.paths["database"].checked >= 16
    assert judged.paths["database"].ok == judged.paths["database"].checked


def test_the_password_is_told_nowhere(gallery: Bench) -> None:
    history = (gallery.run.directory / "history.jsonl").read_text()
    assert '"method":"SQL as gallery"' in history
    assert PASSWORD not in history
    assert "per/fectly" not in history


def test_a_port_is_reached_through_a_container(gallery: Bench) -> None:
    """As one in a machine is: by what runs there, whatever is published."""
    import psycopg

    (container,) = gallery.stack.containers("gallery")
    with tunnel(container, "127.0.0.1", 5432) as (host, port):
        address: dict[str, Any] = {"host": host, "port": port, "user": "gallery", "dbname": "postgres"}
        with psycopg.connect(**address, password=PASSWORD) as connection:
            (rows,) = connection.execute("SELECT repeat('x', 1000000)").fetchone() or ("",)
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(**address, password="another")
    with tunnel(container, "127.0.0.1", 1) as (host, port), pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=host, port=port, password="nobody listens")
    assert len(rows) == 1_000_000


def test_each_symptom_is_found_where_it_is_planted(gallery: Bench) -> None:
    planned = gallery.take("pause")
    names: dict[str, str] = {}
    earlier = sum(isinstance(entry.record, Invoked) for entry in gallery.run.entries)

    def plant(_: EventEnded) -> None:
        entries = [e.record.operation for e in gallery.run.entries if isinstance(e.record, Invoked)]
        mine = [operation for operation in entries[earlier:] if operation.rule == 0]
        touched = {o.name for o in mine if o.kind is not OperationKind.CREATE}
        one, two, three, four = [
            o for o in mine if o.name not in touched and o.payload and o.payload.size > 1
        ][:4]
        again = next(o for o in mine if o.kind is OperationKind.OVERWRITE)
        deleted = next(o for o in entries if o.kind is OperationKind.DELETE)
        old = next(o.payload for o in entries if o.name == again.name and o.payload and o is not again)
        names.update(file=one.name, row=two.name, small=f"small/{three.name}", digest=four.name)
        names.update(old=again.name, back=deleted.name)
        inside(gallery, "rm", f"/pictures/{one.name}", f"/pictures/small/{three.name}")
        sql(gallery, f"DELETE FROM picture WHERE file = {quoted(two.name)}")
        nobodys = hashlib.sha256(b"nobody's").hexdigest()
        sql(gallery, f"UPDATE picture SET file_sha256 = '{nobodys}' WHERE file = {quoted(four.name)}")
        said = f"file_sha256 = '{old.sha256}', file_size = {old.size}"
        sql(gallery, f"UPDATE picture SET {said} WHERE file = {quoted(again.name)}")
        columns = "(file, file_sha256, file_size)"
        sql(gallery, f"INSERT INTO picture {columns} VALUES ({quoted(deleted.name)}, '', 0)")
        sql(gallery, f"INSERT INTO picture {columns} VALUES ('a.never', '', 0)")

    gallery.reactions[EventEnded] = plant
    judged = gallery.step(planned)
    gallery.reactions.clear()
    assert judged.verdict is Verdict.LOST
    assert on_rows(judged) == {
        Symptom.DANGLING: {names["file"], names["small"], names["back"]},
        Symptom.UNREFERENCED: {names["row"]},
        Symptom.CORRUPTED: {names["digest"]},
        Symptom.STALE: {names["old"]},
    }
    others = {(f.symptom, f.paths, f.names) for f in judged.findings if f.paths != ("database",)}
    assert others == {(Symptom.MISSING, ("volume", "direct", "api"), (names["file"],))}


def test_a_database_that_does_not_come_back_is_unserved(gallery: Bench) -> None:
    """The files are served all the same, and the stack counts as ready."""

    gallery.reactions[StackReadyAgain] = lambda _: inside(gallery, "sh", "-c", END)
    judged = gallery.step(gallery.take("restart"))
    gallery.reactions.clear()
    assert set(on_rows(judged)) == {Symptom.UNSERVED}, judged
    assert {found.paths for found in judged.findings} == {("database",)}


def on_rows(judged: StepJudgement) -> dict[Symptom, set[str]]:
    return {found.symptom: set(found.names) for found in judged.findings if found.paths == ("database",)}


def quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
