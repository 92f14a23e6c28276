"""A history on disk is what was appended, however the run ended."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.errors import HistoryError
from persistence_tests.model.history import HistoryWriter, read_history
from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import Completed, Entry, RunBegan, RunEnded, StepEnded, StepFaulted

DAMAGED = [b"{\n", b"[]\n", b"\n", b"{}\n", b"\0\0\0\n", b'{"at":1,"scenario":null,"type":"No"}\n']
BEGAN = RunBegan("run-1", 7, "0.1", "2026-01-01T00:00:00Z", {"engine": "20.10"})


def written(path: Path) -> list[Entry]:
    with HistoryWriter(path) as writer:
        return [
            writer.append(None, BEGAN),
            writer.append("media", StepFaulted("up", "déjà\nvu \u2028 \udcff")),
            writer.append("media", StepEnded("up", 1.5)),
            writer.append(None, RunEnded(complete=True)),
        ]


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    entries = written(tmp_path / "history.jsonl")
    history = read_history(tmp_path / "history.jsonl")
    assert list(history) == entries
    assert len(history) == 4
    assert history.torn is False
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_the_first_line_carries_the_format(tmp_path: Path) -> None:
    written(tmp_path / "history.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line.get("history") for line in lines] == [2, None, None, None]
    assert lines[2] | {"at": 0, "check": ""} == {
        "check": "",
        "at": 0, "scenario": "media", "type": "StepEnded", "step": "up", "seconds": 1.5,
    }  # fmt: skip


def test_a_history_cut_at_any_byte_reads_as_its_beginning(tmp_path: Path) -> None:
    entries = written(tmp_path / "whole.jsonl")
    content = (tmp_path / "whole.jsonl").read_bytes()
    path = tmp_path / "cut.jsonl"
    for length in range(len(content) + 1):
        path.write_bytes(content[:length])
        history = read_history(path)
        assert list(history) == entries[: content[:length].count(b"\n")]
        assert history.torn == (length > 0 and content[length - 1 : length] != b"\n")


@settings(deadline=None)
@given(st.data())
def test_a_damaged_line_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(1, len(lines)))
    damaged = data.draw(
        st.sampled_from(
            [b"{\n", b"[]\n", b"\n", b"{}\n", b"\0\0\0\n", b'{"at":1,"scenario":null,"type":"No"}\n']
        )
    )
    lines[number - 1] = damaged
    path.write_bytes(b"".join(lines))
    with pytest.raises(HistoryError) as raised:
        read_history(path)
    assert raised.value.where == f"{path}:{number}"


@settings(deadline=None)
@given(st.data())
def test_lines_that_were_lost_doubled_moved_or_changed_are_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    written(path)
    lines = path.read_bytes().splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 2))
    match data.draw(st.sampled_from(["lost", "doubled", "moved", "changed"])):
        case "lost":
            del lines[place]
        case "doubled":
            lines.insert(place, lines[place])
        case "moved":
            lines[place], lines[place + 1] = lines[place + 1], lines[place]
        case _:
            bit = data.draw(st.integers(0, 100_000)) % (len(lines[place]) * 8)
            changed = bytearray(lines[place])
            changed[bit // 8] ^= 1 << bit % 8
            lines[place] = bytes(changed)
    path.write_bytes(b"".join(lines))
    with pytest.raises(HistoryError) as raised:
        read_history(path)
    assert str(raised.value.where).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ({"history": 1, "at": 0, "scenario": None, "type": "RunEnded", "complete": True}, "has format 1"),
        ({"history": True, "at": 0, "scenario": None, "type": "RunEnded", "complete": True}, "not a history"),
        ({"at": 0, "scenario": None, "type": "RunEnded", "complete": True}, "not a history"),
        ({"history": 2, "at": "0", "scenario": None, "type": "RunEnded", "complete": True}, "no entry"),
        ({"history": 2, "at": 0, "scenario": 5, "type": "RunEnded", "complete": True}, "no entry"),
        ({"history": 2, "at": 0, "scenario": None, "complete": True}, "no entry"),
        ({"history": 2, "at": 0, "scenario": None, "type": "RunEnded"}, "RunEnded.complete: .* missing"),
        (
            {"history": 2, "at": 0, "scenario": None, "type": "RunEnded", "complete": True},
            "check does not hold",
        ),
    ],
)
def test_a_wrong_first_line_says_why(tmp_path: Path, line: dict[str, object], what: str) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(HistoryError, match=what):
        read_history(path)


def test_a_history_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be read: No such file"):
        read_history(tmp_path / "none.jsonl")
    with pytest.raises(HistoryError, match="cannot be written: No such file"):
        HistoryWriter(tmp_path / "none" / "history.jsonl")


def test_an_existing_history_is_never_written_to(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    entries = written(path)
    with pytest.raises(HistoryError, match="File exists"):
        HistoryWriter(path)
    assert list(read_history(path)) == entries


def test_an_entry_can_be_read_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as writer:
        for count in range(1, 4):
            writer.append(None, BEGAN)
            assert len(read_history(path)) == count
        writer.sync()


def test_threads_append_whole_lines_and_listeners_see_their_order(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    heard: list[Entry] = []
    threads, each = 8, 200
    with HistoryWriter(path) as writer:
        writer.listeners.append(heard.append)
        start = threading.Barrier(threads)

        def append(thread: int) -> None:
            start.wait()
            for n in range(each):
                writer.append("media", Completed(thread * each + n, Outcome.OK, "x" * (n * 20)))

        running = [threading.Thread(target=append, args=(n,)) for n in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert len(heard) == threads * each
    history = read_history(path)
    assert list(history) == heard
    assert [entry.at for entry in history] == sorted(entry.at for entry in history)
    assert {e.record.operation for e in history if isinstance(e.record, Completed)} == set(
        range(threads * each)
    )


def test_a_listener_may_append_and_may_wait_for_a_thread_that_does(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    order: list[str] = []
    with HistoryWriter(path) as writer:

        def reacting(entry: Entry) -> None:
            order.append(f"first {type(entry.record).__name__}")
            if isinstance(entry.record, RunBegan):
                writer.append("media", StepEnded("up", 1))
                thread = threading.Thread(target=writer.append, args=(None, RunEnded(complete=True)))
                thread.start()
                thread.join(timeout=10)
                assert not thread.is_alive()

        writer.listeners += [reacting, lambda entry: order.append(f"second {type(entry.record).__name__}")]
        writer.append(None, BEGAN)
    assert order == [
        f"{listener} {record}"
        for record in ("RunBegan", "StepEnded", "RunEnded")
        for listener in ("first", "second")
    ]
    assert [type(entry.record) for entry in read_history(path)] == [RunBegan, StepEnded, RunEnded]


def test_a_listener_that_raises_is_heard_of_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    heard: list[Entry] = []

    def failing(entry: Entry) -> None:
        raise RuntimeError(f"no place for {type(entry.record).__name__}")

    with HistoryWriter(path) as writer:
        writer.listeners += [failing, heard.append]
        with pytest.raises(RuntimeError, match="no place for RunBegan"):
            writer.append(None, BEGAN)
        writer.listeners.remove(failing)
        writer.append(None, RunEnded(complete=False, why="it failed"))
    assert list(read_history(path)) == heard
    assert len(heard) == 2


def test_nothing_follows_a_write_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    writer = HistoryWriter(path)
    first = writer.append(None, BEGAN)
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return write(file, data[:-10])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(HistoryError, match="No space left"):
        writer.append("media", StepEnded("up", 1))
    monkeypatch.undo()
    with pytest.raises(HistoryError, match="No space left"):
        writer.append("media", StepEnded("up", 1))
    with pytest.raises(HistoryError, match="No space left"):
        writer.sync()
    writer.close()
    history = read_history(path)
    assert history.entries == (first,)
    assert history.torn is True


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.jsonl"
    write = os.write
    with HistoryWriter(path) as writer:
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:7]))
        entry = writer.append(None, BEGAN)
        monkeypatch.undo()
    assert read_history(path).entries == (entry,)


def test_a_closed_history_takes_nothing_more(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.jsonl")
    writer.close()
    writer.close()
    with pytest.raises(HistoryError, match="is closed"):
        writer.append(None, BEGAN)


def test_a_record_that_cannot_be_encoded_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with HistoryWriter(path) as writer:
        with pytest.raises(HistoryError, match="not a finite number"):
            writer.append(None, StepEnded("up", float("inf")))
        writer.append(None, BEGAN)
    assert [entry.record for entry in read_history(path)] == [BEGAN]
