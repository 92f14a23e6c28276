"""One request on one connection of a writer. Nothing is ever sent twice."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from persistence_tests.paths.answer import LONGEST, Answer
from persistence_tests.paths.base import Content
from persistence_tests.paths.origin import Address, is_stale
from persistence_tests.paths.session import Session, cookies_of

_CHUNK = 1 << 16
_HEARING_OUT = 5.0
"""Seconds for which a server may take to notice that a connection was cut."""


class Cut(Exception):
    """The harness itself has cut the connection in the middle of the body, as it was to."""


@dataclass(slots=True)
class Request:
    """One request; its body is made as it is sent: `before`, the content, `after`. Without content, `before` is all.

    `cut_after` is the number of bytes of the content after which the connection is cut.
    """

    method: str
    target: str
    headers: dict[str, str]
    content: Content | None = None
    before: bytes = b""
    after: bytes = b""
    cut_after: int | None = None
    sent_whole: bool = field(default=False, init=False)

    @property
    def length(self) -> int | None:
        if self.content is None and self.before:
            return len(self.before)
        if self.content is None:
            # Many servers ask for a length wherever there could be a body.
            return 0 if self.method in ("POST", "PUT", "PATCH") else None
        return len(self.before) + self.content.size + len(self.after)

    def body(self) -> Iterator[bytes]:
        """What is sent of it. Raises Cut where the rest is not."""
        if self.content is not None:
            # One segment with the first of the content: many servers answer a small upload sooner.
            head, left = self.before, self.cut_after
            for chunk in self.content.chunks():
                yield head + (chunk if left is None else chunk[:left])
                head = b""
                if left is not None and (left := left - len(chunk)) <= 0:
                    raise Cut(f"the connection was cut after {self.cut_after} of {self.content.size} bytes")
            if head or self.after:
                yield head + self.after
        elif self.before:
            yield self.before
        self.sent_whole = True


class Sender:
    """One connection, used again while the server keeps it open."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._address: Address | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.sent_anything = False

    def address(self) -> Address:
        """Where the next request goes; looked up anew unless a connection stands. Raises NotConnected."""
        if self._connection is not None and is_stale(self._connection):
            self.close()
        if self._connection is None or self._address is None:
            self._address = self._session.address()
        return self._address

    def send(self, request: Request) -> Answer:
        """The answer. Raises NotConnected before anything was sent, and Cut."""
        address = self.address()
        headers = self._session.headers(address) | request.headers
        connection = self._connected(address)
        try:
            answer = self._exchange(connection, request, headers)
            content = answer.read(LONGEST)
            if answer.length:  # what is left of a body that was announced
                if len(content) < LONGEST:
                    raise http.client.IncompleteRead(content, answer.length)
                self.close()
        except BaseException:
            self.close()
            raise
        if connection.sock is None or not request.sent_whole or not answer.isclosed():
            self.close()
        to_login = 300 <= answer.status < 400 and self._session.leads_to_login(
            address, request.target, answer.headers.get("Location")
        )
        self._session.heard(answer.status, to_login=to_login)
        return Answer(answer.status, answer.headers, content, cookies_of(answer.headers), to_login)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self, address: Address) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._session.connect(address)
        return self._connection

    def _exchange(
        self, connection: http.client.HTTPConnection, request: Request, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        self.sent_anything = True
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
        for name, value in headers.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        try:
            for chunk in request.body():
                connection.send(chunk)
        except Cut:
            _hear_out(connection.sock)
            raise
        except ConnectionError:
            # The server may have answered before it closed: "too large", for one.
            if request.sent_whole:
                raise
        return connection.getresponse()


def _hear_out(connection: socket.socket) -> None:
    """Send no more, and wait until the server has done with it: what it leaves behind is there by then."""
    with suppress(OSError):
        connection.settimeout(_HEARING_OUT)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_CHUNK):
            pass
