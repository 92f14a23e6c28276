"""Writes through a server of the stack: one request for each operation, sent once."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from persistence_tests.errors import EngineUnavailable
from persistence_tests.model.operation import OperationKind, Outcome, PayloadKind
from persistence_tests.paths.base import Journal, PendingWrite
from persistence_tests.paths.origin import NotConnected, Origin, is_stale
from persistence_tests.paths.request import RequestTemplate

_REFUSED = frozenset({400, 401, 403, 404, 405, 409, 411, 413, 415, 422})
"""Answers that say that the request was understood and not done.

Not among them: 408 (the server gave up in the middle), 429 (often said by something in front of the
server, after the request was passed on), 412 and the rest, which nobody documents for uploads.
"""
_TYPES = {
    PayloadKind.BYTES: "application/octet-stream",
    PayloadKind.TEXT: "text/plain; charset=utf-8",
    PayloadKind.PNG: "image/png",
    PayloadKind.JPEG: "image/jpeg",
    PayloadKind.PDF: "application/pdf",
}
_LONGEST_ANSWER = 1 << 16
_POLL = 0.05


class NotSendable(Exception):
    """The request cannot say what the operation means."""


class HttpWriter:
    """Sends operations from several threads, each with a connection of its own.

    `ok`    a whole 2xx answer other than 202, after the whole request was sent
    `fail`  nothing was sent (no connection, no way to write the name), or the answer is one of
            400 401 403 404 405 409 411 413 415 422
    `info`  everything else
    """

    def __init__(
        self, origin: Origin, requests: Mapping[OperationKind, RequestTemplate], threads: int
    ) -> None:
        self._origin, self._requests, self._threads = origin, requests, max(1, threads)

    def write(self, batch: Iterable[PendingWrite], journal: Journal, stop: threading.Event) -> None:
        waiting, lock = iter(batch), threading.Lock()

        def work() -> None:
            sender = _Sender(self._origin)
            try:
                while not stop.is_set():
                    with lock:
                        pending = next(waiting, None)
                    if pending is None:
                        return
                    if not self._make(sender, pending, journal):
                        stop.wait(_POLL)  # a server that is down takes nothing for a while
            finally:
                sender.close()

        with ThreadPoolExecutor(self._threads, thread_name_prefix="writer") as pool:
            for done in [pool.submit(work) for _ in range(self._threads)]:
                done.result()

    def _make(self, sender: _Sender, pending: PendingWrite, journal: Journal) -> bool:
        """Make one operation; False where no connection came about."""
        operation = pending.operation
        journal.invoked(operation)
        try:
            request = _Request.of(self._requests[operation.kind], pending)
            status, detail = sender.send(request)
        except NotSendable as error:
            journal.completed(operation.identity, Outcome.FAIL, f"not sent: {error}")
            return True
        except (NotConnected, EngineUnavailable) as error:
            said = error.what if isinstance(error, EngineUnavailable) else str(error)
            journal.completed(operation.identity, Outcome.FAIL, f"not sent: {said}")
            return False
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or repr(error)
            journal.completed(operation.identity, Outcome.INFO, f"no whole answer: {said}")
            return True
        except BaseException as error:
            journal.completed(operation.identity, Outcome.INFO, f"interrupted: {error!r}")
            raise
        journal.completed(operation.identity, classify(status, request.sent_whole), detail, status)
        return True


def classify(status: int, sent_whole: bool) -> Outcome:
    """What an answer says of its operation; one given before the whole request was sent promises nothing."""
    if status in _REFUSED:
        return Outcome.FAIL
    return Outcome.OK if 200 <= status < 300 and status != 202 and sent_whole else Outcome.INFO


class _Request:
    """One request; its body is made as it is sent."""

    def __init__(self, template: RequestTemplate, pending: PendingWrite) -> None:
        self.method = template.method
        self.target, self.headers = template.filled(pending.operation)
        self._content, self._operation = pending.content, pending.operation
        self._before = self._after = b""
        self.sent_whole = False

    @classmethod
    def of(cls, template: RequestTemplate, pending: PendingWrite) -> _Request:
        request, operation = cls(template, pending), pending.operation
        if pending.content is None:
            return request
        kind = _TYPES[operation.payload.kind] if operation.payload else _TYPES[PayloadKind.BYTES]
        if template.multipart is None:
            request.headers["Content-Type"] = kind
            return request
        filename = operation.name.rpartition("/")[2]
        if "\r" in filename or "\n" in filename:
            raise NotSendable("a file name in a multipart form cannot hold a line break")
        boundary = uuid4().hex
        request.headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        names = f"name={_parameter(template.multipart)}; filename={_parameter(filename)}"
        request._before = os.fsencode(
            f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\nContent-Type: {kind}\r\n\r\n"
        )
        request._after = f"\r\n--{boundary}--\r\n".encode()
        return request

    @property
    def length(self) -> int | None:
        if self._content is None:
            # Many servers ask for a length wherever there could be a body.
            return 0 if self.method in ("POST", "PUT", "PATCH") else None
        return len(self._before) + self._content.size + len(self._after)

    def body(self) -> Iterator[bytes]:
        if self._content is not None:
            # One segment with the first of the content: many servers answer a small upload sooner.
            head = self._before
            for chunk in self._content.chunks():
                yield head + chunk if head else chunk
                head = b""
            if head or self._after:
                yield head + self._after
        self.sent_whole = True

    def contradictions(self, answer: bytes) -> str:
        """What a JSON answer says of the content that is not so; it does not undo the acknowledgement."""
        # What is said after an append may be of the whole file.
        payload = None if self._operation.kind is OperationKind.APPEND else self._operation.payload
        try:
            said = json.loads(answer)
        except ValueError:
            return ""
        if payload is None or not isinstance(said, dict):
            return ""
        facts: dict[str, Any] = {**(said["data"] if isinstance(said.get("data"), dict) else {}), **said}
        found = []
        if isinstance(facts.get("sha256"), str) and facts["sha256"].lower() != payload.sha256:
            found.append(f"the answer says sha256 {facts['sha256'][:64]}, sent was {payload.sha256}")
        if isinstance(facts.get("size"), int) and facts["size"] != payload.size:
            found.append(f"the answer says {facts['size']} bytes, sent were {payload.size}")
        names = (self._operation.name, self._operation.name.rpartition("/")[2])
        if isinstance(facts.get("name"), str) and facts["name"] not in names:
            found.append(f"the answer says it is called {facts['name'][:300]!r}")
        return "; ".join(found)


def _parameter(value: str) -> str:
    """A quoted string: backslash before quote and backslash.

    Browsers write %22 for a quote, which most servers take literally; all tried here undo a backslash.
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Sender:
    """One connection, used again while the server keeps it open. Nothing is ever sent twice."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._connection: http.client.HTTPConnection | None = None
        self._headers: dict[str, str] = {}

    def send(self, request: _Request) -> tuple[int, str]:
        """Status, and what is odd about the answer. Raises NotConnected before anything was sent."""
        connection = self._connected()
        try:
            answer = self._exchange(connection, request)
            content = answer.read(_LONGEST_ANSWER)
            if answer.length:  # what is left of a body that was announced
                if len(content) < _LONGEST_ANSWER:
                    raise http.client.IncompleteRead(content, answer.length)
                self.close()
        except BaseException:
            self.close()
            raise
        if connection.sock is None or not request.sent_whole or not answer.isclosed():
            self.close()
        if 300 <= answer.status < 400:
            return answer.status, f"redirects to {answer.headers.get('Location')}"
        if not 200 <= answer.status < 300:
            return answer.status, " ".join(content[:200].decode(errors="replace").split())
        return answer.status, request.contradictions(content)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is not None and is_stale(self._connection):
            self.close()
        if self._connection is None:
            address = self._origin.address()
            self._connection, self._headers = self._origin.connect(address), self._origin.headers(address)
        return self._connection

    def _exchange(
        self, connection: http.client.HTTPConnection, request: _Request
    ) -> http.client.HTTPResponse:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        headers = self._headers | request.headers
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
        for name, value in headers.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        try:
            for chunk in request.body():
                connection.send(chunk)
        except ConnectionError:
            # The server may have answered before it closed: "too large", for one.
            if request.sent_whole:
                raise
        return connection.getresponse()
