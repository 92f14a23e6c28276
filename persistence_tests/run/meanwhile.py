"""Those who go on writing or reading while an event is applied, and the gate that they open for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.records import Evidence

if TYPE_CHECKING:
    from persistence_tests.events.gate import Gate
    from persistence_tests.paths.base import Content, Journal, PendingWrite, WritingPath
    from persistence_tests.run.reading import Reads

IDLE_SECONDS = 20.0
MOST_SECONDS = 300.0
# Writes of a rule: more than a short event leaves time for, and a long one is not to fill the disk.
FREELY = 200
PACE_SECONDS = 0.05


class Progress:
    """Counts what is observed until there is enough of it for the event to begin. Thread-safe."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._count = 0
        self._parties = 0

    @property
    def count(self) -> int:
        return self._count

    def advance(self, by: int = 1) -> None:
        with self._changed:
            self._count += by
            self._changed.notify_all()

    def hold(self) -> None:
        """Advance in the middle of a transfer: whoever opens the gate so waits for `release`."""
        with self._changed:
            if self._count >= self._wanted:
                return
        self.advance()
        self._released.wait()

    def release(self) -> None:
        self._released.set()

    def enter(self) -> None:
        with self._changed:
            self._parties += 1

    def leave(self) -> None:
        with self._changed:
            self._parties -= 1
            self._changed.notify_all()

    def wait(self, idle: float, most: float) -> bool:
        """Whether there was enough; False where nothing more came for `idle` seconds, or nobody is left."""
        deadline = time.monotonic() + most
        with self._changed:
            while self._count < self._wanted and self._parties:
                left = min(idle, deadline - time.monotonic())
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._count >= self._wanted


Work = Callable[[Progress, threading.Event], None]


class Meanwhile:
    """Threads that go on while an event is applied; leaving the context ends them, whatever happened, without a
    wait."""

    def __init__(self, gate: Gate, works: Sequence[Work], reads: Sequence[Reads] = ()) -> None:
        """`reads` is where those of `works` that read keep their account."""
        self.reads = reads
        self._gate = gate
        # Of a transfer that is held in the middle, one is enough.
        self._progress = Progress(1 if gate.observed == "sent" else gate.count)
        self._stop = threading.Event()
        self._faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]

    def __enter__(self) -> Meanwhile:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def begin(self) -> list[str]:
        """Start them and wait until the event may begin; what was wrong with that, in words."""
        for thread in self._threads:
            self._progress.enter()
            thread.start()
        if self._progress.wait(IDLE_SECONDS, MOST_SECONDS):
            return []
        came = "" if self._gate.observed == "sent" else f": there were {self._progress.count}"
        return [f"the event was to begin after {self._gate}, which did not come{came}"]

    def stop(self, timeout: float) -> list[str]:
        """Begin nothing more and wait for what is in flight; returns what went wrong."""
        self._end()
        for thread in self._threads:
            thread.join(timeout)
        who = "writer" if self._gate.belongs_to == "writing" else "reader"
        problems = [f"{who} failed: {fault!r}" for fault in self._faults]
        if any(thread.is_alive() for thread in self._threads):
            problems.append(f"a {who} did not end within {timeout:g} s of the event")
        return problems

    def evidence(self) -> list[Evidence]:
        """Once they have stopped: what went on meanwhile."""
        began = Evidence("meanwhile", f"the event began after {self._gate}")
        return [began, *(Evidence("meanwhile", str(reads)) for reads in self.reads)]

    def _end(self) -> None:
        self._stop.set()
        self._progress.release()

    def _run(self, work: Work) -> None:
        try:
            work(self._progress, self._stop)
        except Exception as fault:  # a thread's exception must reach the step's record, whatever it is
            self._faults.append(fault)
        finally:
            self._progress.leave()


def writing(writer: WritingPath, writes: Iterable[PendingWrite], journal: Journal, gate: Gate) -> Work:
    """Writes without end through one path: as fast as it takes them at first, then a few a second."""

    def work(progress: Progress, stop: threading.Event) -> None:
        freely = FREELY + (gate.count if gate.observed == "acknowledged" else 0)
        supply = _paced(writes, stop, freely)
        if gate.observed == "sent":
            writer.write(_held_at(supply, gate.count, progress), journal, stop)
        else:
            writer.write(supply, _CountingJournal(journal, progress), stop)

    return work


def _paced(writes: Iterable[PendingWrite], stop: threading.Event, freely: int) -> Iterator[PendingWrite]:
    supply = iter(writes)
    yield from itertools.islice(supply, freely)
    while not stop.wait(PACE_SECONDS):
        yield next(supply)


def _held_at(writes: Iterable[PendingWrite], sent: int, progress: Progress) -> Iterator[PendingWrite]:
    for write in writes:
        large = write.content is not None and write.content.size > sent
        yield (
            replace(write, content=_Held(write.content, sent, progress)) if large and write.content else write
        )


class _Held:
    """Content whose writer, once it has sent the first `sent` bytes, opens the gate and waits."""

    def __init__(self, content: Content, sent: int, progress: Progress) -> None:
        self._content, self._sent, self._progress = content, sent, progress
        self._given, self._held = 0, False

    @property
    def size(self) -> int:
        return self._content.size

    def chunks(self) -> Iterator[bytes]:
        place = 0
        for chunk in self._content.chunks():
            left = self._sent - place
            place += len(chunk)
            if 0 < left <= len(chunk):
                yield chunk[:left]
                # Whoever asks for more has sent all that he had.
                self._progress.hold()
                chunk = chunk[left:]
            if chunk:
                yield chunk

    def slice(self, offset: int, length: int) -> bytes:
        """A piece of a part, in whatever order the parts come: the first that is asked for after enough were waits."""
        if self._given >= self._sent and not self._held:
            self._held = True
            self._progress.hold()
        content = self._content.slice(offset, length)
        self._given += len(content)
        return content


class _CountingJournal:
    def __init__(self, journal: Journal, progress: Progress) -> None:
        self._journal, self._progress = journal, progress

    def invoked(self, operation: Operation) -> None:
        self._journal.invoked(operation)

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        self._journal.completed(operation, outcome, detail, status, name)
        if outcome is Outcome.OK:
            self._progress.advance()
