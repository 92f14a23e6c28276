"""Reads that go on while an event is applied: what counts as what, and what opens the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from persistence_tests.events.gate import Gate
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.run import meanwhile, reading
from persistence_tests.run.meanwhile import Meanwhile
from persistence_tests.run.reading import Content, Reads

RIGHT = Observation(NodeKind.FILE, 4, "right", status=200)
OTHER = Observation(NodeKind.FILE, 3, "other", status=200)
CUT = Observation(NodeKind.ERROR, error="cut off")
EXPECTED: dict[str, Content] = {"a": (4, "right"), "b": (4, "right")}
SECONDS = 30.0


class PaperReader:
    """Answers in turn, with what it is sure of, and then always as the last time."""

    def __init__(self, answers: Iterable[tuple[Observation, bool]]) -> None:
        self.answers = list(answers)
        self.names: list[str] = []
        self.through = threading.Event()
        self.closed = False
        self._sure = False

    def reader(self, received: Callable[[int], None]) -> PaperReader:
        self.received = received
        return self

    def read(self, name: str) -> Observation:
        self.names.append(name)
        seen, self._sure = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if len(self.answers) == 1:
            self.through.set()
        if seen.size:
            self.received(seen.size)
        return seen

    def surely_whole(self) -> bool:
        return self._sure

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(reading, "DOWN_SECONDS", 0.0)
    monkeypatch.setattr(meanwhile, "IDLE_SECONDS", 0.2)


def going_on(paper: PaperReader, gate: Gate) -> tuple[Meanwhile, Reads]:
    reads = Reads("api")
    work = reading.reading(paper.reader, EXPECTED, reads, count_bytes=gate.observed == "received")
    return Meanwhile(gate, [work], [reads]), reads


def test_every_answer_is_counted_as_what_it_is() -> None:
    answers = [(RIGHT, True), (ABSENT, True), (CUT, False), (OTHER, False), (OTHER, True), (OTHER, True)]
    paper = PaperReader([*answers, (RIGHT, True)])
    on, reads = going_on(paper, Gate("read", 2))
    with on:
        assert on.begin() == []
        assert on.stop(SECONDS) == []
    record = reads.record("restart")
    assert (record.step, record.path, record.absent, record.failed) == ("restart", "api", 1, 2)
    assert record.right >= 2
    assert record.others == {"a": OTHER, "b": OTHER}
    assert paper.names[:4] == ["a", "b", "a", "b"]
    assert paper.closed
    told = [evidence.fact for evidence in on.evidence()]
    assert told[0] == "the event began after 2 reads"
    assert told[1] == (
        f"api: {record.right} files read, 1 said that there is no such file, 2 were cut off or not answered, "
        "2 files had other bytes"
    )


def test_only_whole_files_with_the_right_bytes_open_the_gate() -> None:
    for answer in ((ABSENT, True), (CUT, False), (OTHER, True)):
        on, _ = going_on(PaperReader([answer]), Gate("read", 1))
        with on:
            assert on.begin() == ["the event was to begin after 1 reads, which did not come: there were 0"]
            assert on.stop(SECONDS) == []


def test_bytes_that_came_open_the_gate() -> None:
    paper = PaperReader([(RIGHT, True)] * 3 + [(CUT, False)])
    on, reads = going_on(paper, Gate("received", 12))
    with on:
        assert on.begin() == []
        assert reads.right >= 2
        on.stop(SECONDS)
    on, _ = going_on(PaperReader([(RIGHT, True)] * 3 + [(CUT, False)]), Gate("received", 13))
    with on:
        assert on.begin() == [
            "the event was to begin after 13 bytes received, which did not come: there were 12"
        ]
        on.stop(SECONDS)


def test_nothing_to_read_is_said_at_once() -> None:
    with Meanwhile(Gate("read", 20), []) as on:
        assert on.begin() == ["the event was to begin after 20 reads, which did not come: there were 0"]
    work = reading.reading(PaperReader([(RIGHT, True)]).reader, {}, Reads("api"), count_bytes=False)
    with Meanwhile(Gate("read", 20), [work]) as on:
        assert on.begin() == ["the event was to begin after 20 reads, which did not come: there were 0"]


def test_a_reader_that_raises_is_a_problem_of_a_reader() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no glasses")

    with Meanwhile(Gate("read", 1), [broken]) as on:
        on.begin()
        assert on.stop(SECONDS) == ["reader failed: RuntimeError('no glasses')"]
