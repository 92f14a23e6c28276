"""Writes to files in a container through one shell that stays, operation by operation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from persistence_tests.errors import PersistenceError
from persistence_tests.model.operation import Outcome
from persistence_tests.paths import frames
from persistence_tests.paths.base import Journal, PendingWrite
from persistence_tests.paths.exec_stream import ExecFailed, ExecStream

if TYPE_CHECKING:
    from docker.models.containers import Container

_ANSWER = 60.0
"""Seconds after which an operation that was begun is given up."""
_AFTER_STOP = 5.0
"""The same once the writers are told to stop."""
_POLL = 0.05


class _Lost(Exception):
    """The shell is gone, or says nothing any more."""


class ShellWriter:
    """A context manager; `make` makes one operation and completes it in the journal."""

    def __init__(
        self, replicas: Callable[[], list[Container]], root: str, journal: Journal, stop: threading.Event,
        *, under: str = "", user: str = "",
    ) -> None:  # fmt: skip
        self._replicas, self._journal, self._stop = replicas, journal, stop
        self._root, self._under, self._user = root, under, user
        self._shell: _Shell | None = None

    def __enter__(self) -> ShellWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def make(self, pending: PendingWrite) -> None:
        operation = pending.operation
        if self._shell is None:
            try:
                self._shell = _Shell(self._replicas, self._root, self._under, self._user, self._stop)
            except (_Lost, PersistenceError) as error:
                self._journal.invoked(operation)
                self._journal.completed(operation.identity, Outcome.FAIL, f"not begun: {_said(error)}")
                self._stop.wait(_POLL)  # a container that is down takes nothing for a while
                return
        self._journal.invoked(operation)
        try:
            code, sent, complaint = self._shell.make(pending)
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

    def __init__(
        self,
        replicas: Callable[[], list[Container]],
        root: str,
        under: str,
        user: str,
        stop: threading.Event,
    ) -> None:
        container = next(iter(replicas()), None)
        if container is None:
            raise _Lost("the service has no container")
        self._stop, self._lines, self._rest = stop, [], b""
        try:
            self._stream = ExecStream(container, ["sh", "-c", frames.SCRIPT, "sh", root, under], user)
        except ExecFailed as error:
            raise _Lost(str(error)) from error
        try:
            complaint = self._begin()
        except BaseException:
            self.close()
            raise
        if complaint is not None:
            self.close()
            raise _Lost(complaint or f"{container.name} has no shell, or cannot enter {root}")

    _lines: list[bytes]

    def _begin(self) -> str | None:
        self._send(b"go\n")
        try:
            line, complaint = self._until_marked()
        except _Ended as ended:
            return " ".join(ended.complaint.decode(errors="replace").split())
        return None if line == frames.READY else complaint.decode(errors="replace")

    def make(self, pending: PendingWrite) -> tuple[int, bool, bytes]:
        """Exit code, whether its content was begun to be sent, and what was complained."""
        try:
            self._send(frames.header(pending.operation))
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
        try:
            for chunk in pending.content.chunks():
                left -= len(chunk)
                self._send(chunk)
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
            if waited > (_AFTER_STOP if self._stop.is_set() else _ANSWER):
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
