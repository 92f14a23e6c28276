"""Writes to files in a container through shells that stay, operation by operation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persistence_tests.errors import PersistenceError
from persistence_tests.model.operation import OperationKind, Outcome
from persistence_tests.paths import frames
from persistence_tests.paths.base import Journal, PendingWrite
from persistence_tests.stack.exec_stream import ExecFailed, ExecStream

if TYPE_CHECKING:
    from docker.models.containers import Container

_ANSWER = 60.0
"""Seconds after which an operation that was begun is given up."""
_AFTER_STOP = 5.0
"""The same once the writers are told to stop."""
_POLL = 0.05


class _Lost(Exception):
    """The shell is gone, or says nothing any more."""


@dataclass(frozen=True, slots=True)
class Place:
    """The directory `under` below `root` in the first of the replicas that runs, and who writes there.

    Without a `user` it is the container's own.
    """

    replicas: Callable[[], list[Container]]
    root: str
    under: str = ""
    user: str = ""


class DirectWriter:
    """Writes in one place, from so many shells at once; no two of them get the same name. Within its context the
    shells stay from one batch to the next: to start one takes longer than to write twenty files.

    `ok` when the shell's command ended with 0, and with it `sync` of file and directory where the
    acknowledgement is fsync. `fail` where opening or unlinking was refused, or no program could be
    started. `info` for all else.
    """

    def __init__(self, place: Place, overwriting: frames.Overwriting, writers: int) -> None:
        self._place, self._overwriting, self._writers = place, overwriting, max(1, writers)
        self._idle: list[_Shell] | None = None

    def __enter__(self) -> DirectWriter:
        self._idle = []
        return self

    def __exit__(self, *_: object) -> None:
        idle, self._idle = self._idle or [], None
        for shell in idle:
            shell.close()

    def write(self, batch: Iterable[PendingWrite], journal: Journal, stop: threading.Event) -> None:
        waiting, lock = units(batch), threading.Lock()

        def work() -> None:
            with _Writer(self._place, self._overwriting, journal, stop, self._idle) as writer:
                while not stop.is_set():
                    with lock:
                        unit = next(waiting, None)
                    if unit is None:
                        return
                    for pending in unit:
                        if not stop.is_set():
                            writer.make(pending)

        if self._writers == 1:
            work()
            return
        with ThreadPoolExecutor(self._writers, thread_name_prefix="writer") as pool:
            for done in [pool.submit(work) for _ in range(self._writers)]:
                done.result()


def units(writes: Iterable[PendingWrite]) -> Iterator[list[PendingWrite]]:
    """Each operation, after the directories that are made for it: what one writer must make in this order."""
    unit: list[PendingWrite] = []
    for write in writes:
        unit.append(write)
        if write.operation.kind is not OperationKind.MKDIR:
            yield unit
            unit = []
    if unit:
        yield unit


class _Writer:
    """A context manager; `make` makes one operation and completes it in the journal.

    It takes a shell from those that are `idle`, and leaves a sound one there, where there is such a place.
    """

    def __init__(
        self,
        place: Place,
        overwriting: frames.Overwriting,
        journal: Journal,
        stop: threading.Event,
        idle: list[_Shell] | None,
    ) -> None:
        self._place, self._overwriting, self._journal, self._stop = place, overwriting, journal, stop
        self._idle = idle
        self._shell: _Shell | None = None

    def __enter__(self) -> _Writer:
        with suppress(IndexError):
            self._shell = self._idle.pop() if self._idle else None
        if self._shell is not None:
            self._shell.stop = self._stop
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._idle is not None and self._shell is not None:
            self._idle.append(self._shell)
        else:
            self._drop()

    def make(self, pending: PendingWrite) -> None:
        operation = pending.operation
        if self._shell is None:
            try:
                self._shell = _Shell(self._place, self._stop)
            except (_Lost, PersistenceError) as error:
                self._journal.invoked(operation)
                self._journal.completed(operation.identity, Outcome.FAIL, f"not begun: {_said(error)}")
                self._stop.wait(_POLL)  # a container that is down takes nothing for a while
                return
        self._journal.invoked(operation)
        try:
            code, sent, complaint = self._shell.make(pending, self._overwriting)
        except _Lost as error:
            self._drop()
            self._journal.completed(operation.identity, Outcome.INFO, str(error))
            return
        except BaseException as error:
            # A payload that cannot be generated, Ctrl-C: begun all the same, its fate unknown.
            self._drop()
            self._journal.completed(operation.identity, Outcome.INFO, f"interrupted: {error!r}")
            raise
        if code == 0:
            self._journal.completed(operation.identity, Outcome.OK)
            return
        self._drop()
        outcome = Outcome.FAIL if frames.refused(operation, complaint, sent) else Outcome.INFO
        said = " ".join(complaint.decode(errors="replace").split())
        self._journal.completed(
            operation.identity, outcome, f"exit {code}: {said}" if said else f"exit {code}"
        )

    def _drop(self) -> None:
        if self._shell is not None:
            self._shell.close()
            self._shell = None


class _Shell:
    """The shell program of `frames` in the first replica that runs."""

    def __init__(self, place: Place, stop: threading.Event) -> None:
        container = next(iter(place.replicas()), None)
        if container is None:
            raise _Lost("the service has no container")
        self.stop, self._rest = stop, b""
        try:
            command = ["sh", "-c", frames.SCRIPT, "sh", place.root, place.under]
            self._stream = ExecStream(container, command, place.user)
        except ExecFailed as error:
            raise _Lost(str(error)) from error
        try:
            complaint = self._begin()
        except BaseException:
            self.close()
            raise
        if complaint is not None:
            self.close()
            raise _Lost(complaint or f"{container.name} has no shell, or cannot enter {place.root}")

    def _begin(self) -> str | None:
        self._send(b"go\n")
        try:
            line, complaint = self._until_marked()
        except _Ended as ended:
            return " ".join(ended.complaint.decode(errors="replace").split())
        return None if line == frames.READY else complaint.decode(errors="replace")

    def make(self, pending: PendingWrite, overwriting: frames.Overwriting) -> tuple[int, bool, bytes]:
        """Exit code, whether its content was begun to be sent, and what was complained."""
        try:
            self._send(frames.header(pending.operation, overwriting))
            line, complaint = self._until_marked()
            sent = line == frames.SEND
            if sent:
                line, complaint = self._content(pending)
            if line == frames.WROTE:
                self._send(frames.CONFIRM)
                line, complaint = self._until_marked()
            if not line.startswith(frames.DONE):
                raise _Lost(f"the shell said {line!r}")
            return int(line.removeprefix(frames.DONE)), sent, complaint
        except _Ended as ended:
            said = " ".join(ended.complaint.decode(errors="replace").split())
            raise _Lost(f"the shell ended before it answered{': ' if said else ''}{said}") from ended

    def close(self) -> None:
        self._stream.close()

    def _content(self, pending: PendingWrite) -> tuple[bytes, bytes]:
        assert pending.content is not None and pending.operation.payload is not None
        left = pending.operation.payload.size
        hole = frames.hole_of(pending.operation)
        try:
            for chunk in pending.content.chunks():
                left -= len(chunk)
                skipped = min(hole, len(chunk))
                hole -= skipped
                if skipped < len(chunk):
                    self._send(chunk[skipped:])
        except _Lost:
            # It takes no more: what it said of the reason is still to be read.
            return self._until_marked()
        if left:
            raise ValueError(f"the payload of operation {pending.operation.identity} is {left} bytes short")
        return self._until_marked()

    def _send(self, content: bytes) -> None:
        try:
            self._stream.send(content, _ANSWER)
        except ExecFailed as error:
            raise _Lost(str(error)) from error

    def _until_marked(self) -> tuple[bytes, bytes]:
        """The next line with a mark, and all complaints before it."""
        complaint = bytearray()
        while True:
            line = self._line(complaint)
            if line.startswith(frames.MARK):
                return line, bytes(complaint)
            complaint += line + b"\n"

    def _line(self, complaint: bytearray) -> bytes:
        begun = time.monotonic()
        while b"\n" not in self._rest:
            waited = time.monotonic() - begun
            if waited > (_AFTER_STOP if self.stop.is_set() else _ANSWER):
                raise _Lost(f"no answer for {waited:.1f} s")
            try:
                frame = self._stream.frame(_POLL)
            except TimeoutError:
                continue
            except ExecFailed as error:
                raise _Lost(str(error)) from error
            if frame is None:
                raise _Ended(bytes(complaint) + self._rest)
            self._rest += frame[1]
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class _Ended(Exception):
    def __init__(self, complaint: bytes) -> None:
        super().__init__()
        self.complaint = complaint


def _said(error: Exception) -> str:
    return error.what if isinstance(error, PersistenceError) else str(error)
