"""Writers that go on while an event is applied, and the gate that they open."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.events.gate import Gate
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import Journal, PendingWrite
from persistence_tests.run import meanwhile
from persistence_tests.run.meanwhile import Meanwhile, Progress, Work, writing

SECONDS = 30.0


class PaperJournal:
    def __init__(self) -> None:
        self.invoked_: list[int] = []
        self.completed_: list[int] = []

    def invoked(self, operation: Operation) -> None:
        self.invoked_.append(operation.identity)

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        self.completed_.append(operation)


class PaperWriter:
    """Takes the bytes of each write, and answers what `outcome` says of its place."""

    def __init__(self, outcome: Callable[[int], Outcome] = lambda _: Outcome.OK) -> None:
        self.received: dict[int, bytes] = {}
        self._outcome = outcome

    def __enter__(self) -> PaperWriter:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, batch: Iterable[PendingWrite], journal: Journal, stop: threading.Event) -> None:
        for place, pending in enumerate(batch):
            if stop.is_set():
                return
            identity = pending.operation.identity
            journal.invoked(pending.operation)
            self.received[identity] = b""
            for chunk in pending.content.chunks() if pending.content else ():
                self.received[identity] += chunk
            journal.completed(identity, self._outcome(place))


def supply(sizes: Iterable[int]) -> Iterator[PendingWrite]:
    for identity, size in enumerate(sizes, start=1):
        payload = Payload.make("run", identity, PayloadKind.BYTES, size)
        operation = Operation(
            identity, OperationKind.CREATE, f"{identity}", "api", 0, Acknowledgement.HTTP_2XX, True,
            payload.spec,
        )  # fmt: skip
        yield PendingWrite(operation, payload)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanwhile, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(meanwhile, "IDLE_SECONDS", 0.2)


def ended(going_on: Meanwhile) -> list[str]:
    return going_on.stop(SECONDS)


@pytest.mark.parametrize("count", [1, 5, 300])
def test_the_event_begins_after_that_many_acknowledgements(count: int) -> None:
    journal, gate = PaperJournal(), Gate("acknowledged", count)
    enough = threading.Event()

    def every_other(place: int) -> Outcome:
        if place >= 2 * count:
            enough.set()
        return Outcome.OK if place % 2 else Outcome.INFO

    with Meanwhile(
        gate, [writing(PaperWriter(every_other), supply(itertools.repeat(10)), journal, gate)]
    ) as on:
        assert on.begin() == []
        assert len(journal.completed_) >= 2 * count - 1
        assert enough.wait(SECONDS), "the writers go on once the event has begun"
        assert ended(on) == []
    assert journal.completed_ == journal.invoked_
    assert on.stop(SECONDS) == []


def test_an_upload_stands_still_until_the_event_is_over() -> None:
    journal, gate, writer = PaperJournal(), Gate("sent", 5000), PaperWriter()
    with Meanwhile(gate, [writing(writer, supply([100, 70_000, 100]), journal, gate)]) as on:
        assert on.begin() == []
        assert writer.received[2] == Payload.make("run", 2, PayloadKind.BYTES, 70_000).slice(0, 5000)
        assert journal.completed_ == [1]
        ended(on)
    assert writer.received[2] == Payload.make("run", 2, PayloadKind.BYTES, 70_000).bytes()
    assert journal.completed_[:2] == [1, 2]


def test_one_upload_is_held_and_the_others_go_on() -> None:
    journal, gate, writer = PaperJournal(), Gate("sent", 10), PaperWriter()
    with Meanwhile(gate, [writing(PaperWriter(), supply([20]), journal, gate)]) as on:
        on.begin()
        passing: Work = writing(writer, supply([30, 30]), journal, gate)
        with suppress(StopIteration, RuntimeError):
            passing(on._progress, threading.Event())
        assert {len(content) for content in writer.received.values()} == {30}
        ended(on)


@given(st.integers(1, 600_000), st.integers(1, 600_000))
def test_content_is_held_at_the_very_byte_and_stays_what_it_was(size: int, sent: int) -> None:
    progress = Progress(1)
    progress.release()
    [pending] = meanwhile._held_at(supply([size]), sent, progress)
    assert pending.content is not None
    assert pending.content.size == size
    before = b""
    whole = b""
    for chunk in pending.content.chunks():
        before = before if progress.count else whole + chunk
        whole += chunk
    assert whole == Payload.make("run", 1, PayloadKind.BYTES, size).bytes()
    assert progress.count == (size > sent)
    if size > sent:
        assert whole[:sent] == before[:sent]


def test_pieces_in_any_order_are_held_once_enough_were_given() -> None:
    progress = Progress(1)
    progress.release()
    [pending] = meanwhile._held_at(supply([10_000]), 2500, progress)
    content, whole = pending.content, Payload.make("run", 1, PayloadKind.BYTES, 10_000)
    assert content is not None
    held = []
    for offset in (9000, 0, 4000, 7000, 2000):
        assert content.slice(offset, 1000) == whole.slice(offset, 1000)
        held.append(progress.count)
    assert held == [0, 0, 0, 1, 1], "2500 bytes were not given before the third piece was"


def test_a_gate_that_is_never_reached_is_said_and_what_there_was() -> None:
    journal, gate = PaperJournal(), Gate("acknowledged", 5)
    writer = PaperWriter(lambda place: Outcome.OK if place < 2 else Outcome.FAIL)
    with Meanwhile(gate, [writing(writer, supply(itertools.repeat(10)), journal, gate)]) as on:
        assert on.begin() == [
            "the event was to begin after 5 acknowledgements, which did not come: there were 2"
        ]
        assert ended(on) == []
    gate = Gate("sent", 50)
    with Meanwhile(gate, [writing(PaperWriter(), supply(itertools.repeat(50)), journal, gate)]) as on:
        assert on.begin() == ["the event was to begin after 50 bytes of an upload, which did not come"]
        assert ended(on) == []


def test_a_writer_that_raises_opens_no_gate_and_is_a_problem() -> None:
    def broken(_progress: Progress, _stop: threading.Event) -> None:
        raise RuntimeError("out of ink")

    with Meanwhile(Gate("acknowledged", 1), [broken]) as on:
        assert on.begin() == [
            "the event was to begin after 1 acknowledgements, which did not come: there were 0"
        ]
        assert ended(on) == ["writer failed: RuntimeError('out of ink')"]


def test_a_writer_that_does_not_end_is_a_problem() -> None:
    wake = threading.Event()

    def stubborn(progress: Progress, _stop: threading.Event) -> None:
        progress.advance()
        wake.wait(SECONDS)

    with Meanwhile(Gate("acknowledged", 1), [stubborn]) as on:
        assert on.begin() == []
        assert on.stop(0.01) == ["a writer did not end within 0.01 s of the event"]
    wake.set()


def test_leaving_ends_them_whatever_happened() -> None:
    journal, gate = PaperJournal(), Gate("sent", 10)
    on = Meanwhile(gate, [writing(PaperWriter(), supply(itertools.repeat(20)), journal, gate)])
    with suppress(KeyboardInterrupt), on:
        assert on.begin() == []
        raise KeyboardInterrupt
    on._threads[0].join(SECONDS)
    assert not on._threads[0].is_alive()
    assert journal.completed_ == journal.invoked_
