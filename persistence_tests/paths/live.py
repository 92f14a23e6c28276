"""Reads that go on while an event is applied: nothing of them may hold up the stack that comes down or up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.http_reader import Reader
from persistence_tests.paths.origin import NotConnected
from persistence_tests.paths.replica import read_by_exec

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.paths.session import Session

_MOST = 1 << 20


class LiveHttpReader:
    """One connection; where it is lost, the server is looked up anew."""

    def __init__(
        self, origin: Session, target: Callable[[str], str], received: Callable[[int], None], *, logs_in: bool
    ) -> None:
        self._origin, self._target, self._received, self._logs_in = origin, target, received, logs_in
        self._address: tuple[str, int] | None = None
        self._reader: Reader | None = None

    def read(self, name: str) -> Observation:
        try:
            if self._reader is None:
                self._address = self._origin.address()
                self._reader = Reader(self._origin, self._address, self._received)
        except NotConnected as error:
            return Observation(NodeKind.ERROR, error=str(error))
        seen = self._reader.observe(self._target(name))
        self._origin.heard(seen.status)
        if seen.kind is NodeKind.ERROR:
            self._forget()
        return seen

    def surely_whole(self) -> bool:
        """A port that this stack no longer has may be another server's by now, and a server that has forgotten its
        sessions may show the login's page."""
        try:
            here = self._origin.address()
        except NotConnected:
            here = None
        sure = (
            self._reader is not None and self._reader.framed and here == self._address and not self._logs_in
        )
        if here != self._address:
            self._forget()
        return sure

    def close(self) -> None:
        self._forget()

    def _forget(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class LiveExecReader:
    """A program in the first container that runs, one for each read.

    The archive API would do without a running container, but holds on to one that is being removed.
    """

    def __init__(
        self, replicas: Callable[[], list[Container]], root: str, user: str, received: Callable[[int], None]
    ) -> None:
        self._replicas, self._root, self._user, self._received = replicas, root, user, received

    def read(self, name: str) -> Observation:
        content = None
        try:
            for container in self._replicas()[:1]:
                content = read_by_exec(container, self._root, name, _MOST, self._user)
        except StackError as error:
            return Observation(NodeKind.ERROR, error=error.what)
        if content is None:
            return Observation(NodeKind.ERROR, error="no program of the container could read it")
        self._received(len(content))
        return Observation(NodeKind.FILE, len(content), hashlib.sha256(content).hexdigest())

    def surely_whole(self) -> bool:
        """A program that is killed ends as one does that has read all."""
        return False

    def close(self) -> None:
        """Nothing is kept open between reads."""
