"""Writes through a server of the stack: one request for each operation, or several parts; each sent once."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from persistence_tests.errors import EngineUnavailable
from persistence_tests.model.operation import Operation, OperationKind, Outcome, PayloadKind
from persistence_tests.paths.answer import Answer, NameUnknown
from persistence_tests.paths.base import Journal, PendingWrite
from persistence_tests.paths.origin import Address, NotConnected
from persistence_tests.paths.parts import upload_in_parts
from persistence_tests.paths.request import RequestTemplate, names_of
from persistence_tests.paths.sending import Cut, Request, Sender
from persistence_tests.paths.session import Session
from persistence_tests.paths.uploading import Uploading

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
    PayloadKind.SPARSE: "application/octet-stream",
}
_SHOWN = 200  # bytes of an answer that people are told
_POLL = 0.05
_PLAIN = Uploading()


class NotSendable(Exception):
    """The request cannot say what the operation means."""


@dataclass(frozen=True, slots=True)
class _Ended:
    outcome: Outcome
    detail: str
    status: int
    name: str | None = None


class HttpWriter:
    """Sends operations from several threads, each with a connection of its own.

    `ok`    a whole 2xx answer other than 202 (or one that the rule accepts), after the whole request was sent,
            that says under which name the file is kept where the server names it
    `fail`  nothing was sent (no connection, no login, no way to write the name), or the answer is one of
            400 401 403 404 405 409 411 413 415 422
    `info`  everything else, a connection that the harness itself has cut included
    """

    def __init__(
        self,
        session: Session,
        requests: Mapping[OperationKind, RequestTemplate],
        threads: int,
        uploading: Uploading = _PLAIN,
    ) -> None:
        self._session, self._requests, self._threads = session, requests, max(1, threads)
        self._uploading = uploading
        session.check([uploading.headers, uploading.form, uploading.parts.headers if uploading.parts else {}])
        session.check([request.form for request in requests.values()])

    def __enter__(self) -> HttpWriter:
        return self

    def __exit__(self, *_: object) -> None:
        """No connection outlives its batch."""

    def write(self, batch: Iterable[PendingWrite], journal: Journal, stop: threading.Event) -> None:
        waiting, lock = iter(batch), threading.Lock()

        def work() -> None:
            sender = Sender(self._session)
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

    def _make(self, sender: Sender, pending: PendingWrite, journal: Journal) -> bool:
        """Make one operation; False where no connection came about."""
        operation = pending.operation
        sender.sent_anything = False
        journal.invoked(operation)
        try:
            ended = self._carry_out(sender, pending)
        except NotSendable as error:
            journal.completed(operation.identity, Outcome.FAIL, f"not sent: {error}")
            return True
        except (NotConnected, EngineUnavailable) as error:
            said = error.what if isinstance(error, EngineUnavailable) else str(error)
            if sender.sent_anything:
                journal.completed(operation.identity, Outcome.INFO, f"not all was sent: {said}")
            else:
                journal.completed(operation.identity, Outcome.FAIL, f"not sent: {said}")
            return False
        except Cut as error:
            journal.completed(operation.identity, Outcome.INFO, str(error))
            return True
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or repr(error)
            journal.completed(operation.identity, Outcome.INFO, f"no whole answer: {said}")
            return True
        except BaseException as error:
            journal.completed(operation.identity, Outcome.INFO, f"interrupted: {error!r}")
            raise
        journal.completed(operation.identity, ended.outcome, ended.detail, ended.status, ended.name)
        return True

    def _carry_out(self, sender: Sender, pending: PendingWrite) -> _Ended:
        kind = (
            _TYPES[pending.operation.payload.kind] if pending.operation.payload else _TYPES[PayloadKind.BYTES]
        )
        if self._uploading.parts is not None and pending.operation.kind is OperationKind.CREATE:
            progress = upload_in_parts(sender, self._session, pending, self._uploading, kind)
            outcome = progress.outcome or self._classified(progress.answers[-1], True)
            return self._ended(pending.operation, outcome, progress.answers, progress.problem)
        request = self._request(sender.address(), pending, kind)
        answer = sender.send(request)
        return self._ended(pending.operation, self._classified(answer, request.sent_whole), [answer])

    def _classified(self, answer: Answer, sent_whole: bool) -> Outcome:
        """A redirect may acknowledge where the rule says so, but never one to the login."""
        if answer.status in self._uploading.accepts and not answer.to_login:
            return Outcome.OK if sent_whole else Outcome.INFO
        return classify(answer.status, sent_whole)

    def _ended(
        self, operation: Operation, outcome: Outcome, answers: Sequence[Answer], more: str = ""
    ) -> _Ended:
        """What the answers come to. A file that is acknowledged, and nobody knows where, is `info`."""
        status, taking = answers[-1].status, self._uploading.stored_as
        detail = "; ".join(
            filter(None, (more, _told(answers[-1], operation, accepted=outcome is Outcome.OK)))
        )
        if outcome is Outcome.FAIL or taking is None or not operation.provisional:
            return _Ended(outcome, detail, status)
        directory, problem = operation.name.rpartition("/")[0], ""
        for answer in reversed(answers):
            try:
                name = taking.name_of(answer, directory)
            except NameUnknown as error:
                body = " ".join(answer.body[:_SHOWN].decode(errors="replace").split())
                problem = problem or f"its name is not known: {error}" + (f": {body}" if body else "")
            else:
                return _Ended(outcome, "; ".join(filter(None, (detail, f"kept as {name}"))), status, name)
        return _Ended(Outcome.INFO, "; ".join(filter(None, (detail, problem))), status)

    def _request(self, address: Address, pending: PendingWrite, kind: str) -> Request:
        template, operation = self._requests[pending.operation.kind], pending.operation
        target, headers = template.filled(operation)
        known = names_of(operation)
        own = {name.title(): text for name, text in {**self._uploading.headers, **headers}.items()}
        headers = self._session.fill(address, own, known)
        if template.form:
            fields = self._session.fill(address, template.form, known)
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return Request(
                template.method, target, headers, before=urlencode(fields, errors="surrogateescape").encode()
            )
        if pending.content is None:
            return Request(template.method, target, headers)
        before = after = b""
        if template.multipart is None:
            headers.setdefault("Content-Type", kind)
        else:
            filename = known["filename"]
            if "\r" in filename or "\n" in filename:
                raise NotSendable("a file name in a multipart form cannot hold a line break")
            boundary = uuid4().hex
            headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
            before = b"".join(
                os.fsencode(
                    f"--{boundary}\r\nContent-Disposition: form-data; name={_parameter(name)}\r\n\r\n{text}\r\n"
                )
                for name, text in self._session.fill(address, self._uploading.form, known).items()
            )
            names = f"name={_parameter(template.multipart)}; filename={_parameter(filename)}"
            before += os.fsencode(
                f"--{boundary}\r\nContent-Disposition: form-data; {names}\r\nContent-Type: {kind}\r\n\r\n"
            )
            after = f"\r\n--{boundary}--\r\n".encode()
        return Request(template.method, target, headers, pending.content, before, after, pending.cut_after)


def classify(status: int, sent_whole: bool) -> Outcome:
    """What an answer says of its operation; one given before the whole request was sent promises nothing."""
    if status in _REFUSED:
        return Outcome.FAIL
    return Outcome.OK if 200 <= status < 300 and status != 202 and sent_whole else Outcome.INFO


def _told(answer: Answer, operation: Operation, *, accepted: bool) -> str:
    if 300 <= answer.status < 400:
        return "" if accepted else f"redirects to {answer.headers.get('Location')}"
    if not 200 <= answer.status < 300:
        return " ".join(answer.body[:_SHOWN].decode(errors="replace").split())
    return contradictions(answer.body, operation)


def contradictions(answer: bytes, operation: Operation) -> str:
    """What a JSON answer says of the content that is not so; it does not undo the acknowledgement."""
    # What is said after an append may be of the whole file, and of a file that the server makes anew, of that one.
    payload = None if operation.kind is OperationKind.APPEND or operation.as_stored else operation.payload
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
    names = (operation.name, operation.name.rpartition("/")[2])
    if isinstance(facts.get("name"), str) and facts["name"] not in names and not operation.provisional:
        found.append(f"the answer says it is called {facts['name'][:300]!r}")
    return "; ".join(found)


def _parameter(value: str) -> str:
    """A quoted string: backslash before quote and backslash.

    Browsers write %22 for a quote, which most servers take literally; all tried here undo a backslash.
    """
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
