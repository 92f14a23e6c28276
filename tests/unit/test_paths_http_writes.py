"""Writes through HTTP against a scripted server in this process: what may be called acknowledged."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.errors import UsageError
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
)
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.paths.upload import classify
from tests.stacks.journal import Bytes, Journal
from tests.unit.scripted_server import Request, Server, path_to, says
from tests.unit.test_paths_http import digest, free_port


def pending(
    identity: int, name: str, content: bytes | None, kind: PayloadKind = PayloadKind.BYTES
) -> PendingWrite:
    payload, operation = None, OperationKind.DELETE
    if content is not None:
        payload = PayloadSpec("run", identity, kind, len(content), digest(content))
        operation = OperationKind.CREATE
    made = Operation(identity, operation, name, "api", 0, Acknowledgement.HTTP_2XX, True, payload)
    return PendingWrite(made, None if content is None else Bytes(content))


def send(
    port: int | None,
    *batch: PendingWrite,
    request: str = "POST /api/v1/media/{directory}",
    multipart: str | None = "file",
    threads: int = 1,
    stop: threading.Event | None = None,
) -> Journal:
    journal = Journal()
    requests = dict.fromkeys(OperationKind, RequestTemplate.parse(request, multipart))
    path_to(port).writer(requests, threads).write(batch, journal, stop or threading.Event())
    return journal


def outcome_of(
    server: Server, script: Callable[[Request], bool], content: bytes = b"content"
) -> tuple[str, str]:
    server.script = script
    before = len(server.requests)
    journal = send(server.port, pending(1, "uploads/f", content))
    assert [identity for _, identity in journal.lines] == [1, 1] and journal.lines[0][0] == "invoked"
    assert len(server.requests) - before <= 1
    return journal.lines[1][0], journal.details[1][0]


OK = (200, 201, 203, 204, 226)
FAIL = (400, 401, 403, 404, 405, 409, 411, 413, 415, 422)
INFO = (202, 300, 301, 302, 303, 307, 308, 402, 406, 408, 410, 412, 423, 425, 429, 499, 500, 502, 503, 504)


@pytest.mark.parametrize("status", OK + FAIL + INFO)
def test_outcome_by_status(server: Server, status: int) -> None:
    expected = "ok" if status in OK else "fail" if status in FAIL else "info"
    assert outcome_of(server, says(status))[0] == expected


@settings(deadline=None)
@given(st.integers(100, 999), st.booleans())
def test_only_a_2xx_after_the_whole_request_is_ok(status: int, sent_whole: bool) -> None:
    outcome = classify(status, sent_whole)
    assert (outcome is Outcome.OK) == (200 <= status < 300 and status != 202 and sent_whole)
    assert outcome is not Outcome.FAIL or 400 <= status < 500


def test_refused_before_anything_was_sent_fails() -> None:
    for port in (free_port(), None):
        journal = send(port, pending(1, "uploads/f", b"x"))
        assert journal.lines == [("invoked", 1), ("fail", 1)]
        assert journal.details[1][0].startswith("not sent: ")


def test_a_reset_after_the_request_is_unknown_and_never_sent_again(server: Server) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.reset()
        return False

    assert outcome_of(server, script)[0] == "info"
    assert len(server.requests) == 1


def test_a_connection_that_closes_at_once_is_unknown(server: Server) -> None:
    assert outcome_of(server, lambda request: False)[0] == "info"


def test_an_acknowledgement_that_is_cut_short_is_unknown(server: Server) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.say(b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{")
        return False

    assert outcome_of(server, script)[0] == "info"


def test_a_2xx_before_the_whole_request_was_read_promises_nothing(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(201)
        request.peer.socket.shutdown(socket.SHUT_RD)
        request.peer.reset()
        return False

    assert outcome_of(server, script, b"x" * (32 << 20))[0] == "info"


def test_a_refusal_before_the_whole_request_was_read_is_heard(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(413, b"too large", Connection="close")
        request.peer.socket.shutdown(socket.SHUT_WR)
        request.body()
        return False

    assert outcome_of(server, script, b"x" * (8 << 20)) == ("fail", "too large")


def test_silence_leaves_it_unknown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence_tests.paths.origin.ANSWERING", 0.1)
    over = threading.Event()
    assert outcome_of(server, lambda request: not over.wait(10))[0] == "info"
    over.set()


def test_a_stale_connection_is_unknown_only_if_it_dies_after_sending(server: Server) -> None:
    seen: list[str] = []

    def script(request: Request) -> bool:
        request.body()
        seen.append(request.target)
        if len(seen) == 2:
            request.peer.reset()
            return False
        request.peer.answer(201)
        return True

    server.script = script
    journal = send(server.port, *(pending(number, f"d/{number}", b"x") for number in range(1, 5)))
    assert [what for what, _ in journal.lines[1::2]] == ["ok", "info", "ok", "ok"]
    assert len(server.requests) == 4 and server.connections == 2


def test_a_connection_closed_between_requests_is_made_anew(server: Server) -> None:
    closed = threading.Event()

    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(201)
        request.peer.socket.shutdown(socket.SHUT_RDWR)
        closed.set()
        return False

    server.script = script

    batch = [pending(number, f"d/{number}", b"x") for number in range(1, 4)]
    journal = Journal()
    requests = {OperationKind.CREATE: RequestTemplate.parse("POST /{directory}", "file")}
    writer = path_to(server.port).writer(requests, 1)

    class Patient(Journal):
        def invoked(self, operation: Operation) -> None:
            if operation.identity > 1:
                assert closed.wait(5)
                closed.clear()
            super().invoked(operation)

    journal = Patient()
    writer.write(batch, journal, threading.Event())
    assert [what for what, _ in journal.lines[1::2]] == ["ok"] * 3


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b'{"sha256": "00", "size": 7}', "sha256 00"),
        (b'{"size": 8}', "8 bytes"),
        (b'{"data": {"size": 9}}', "9 bytes"),
        (b'{"size": 7, "name": "f"}', ""),
        (b'{"size": 7, "name": "uploads/f"}', ""),
        (b'{"size": 7, "name": "f-1"}', "'f-1'"),
        (b"[1]", ""),
        (b"created", ""),
    ],
)
def test_an_answer_that_contradicts_is_acknowledged_and_noted(
    server: Server, answer: bytes, complaint: str
) -> None:
    outcome, detail = outcome_of(server, says(201, answer, Content_Type="application/json"))
    assert outcome == "ok" and complaint in detail and bool(detail) == bool(complaint)


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [(PayloadKind.BYTES, "application/octet-stream"), (PayloadKind.TEXT, "text/plain; charset=utf-8"),
     (PayloadKind.PNG, "image/png")],
)  # fmt: skip
def test_a_multipart_upload_as_sent(server: Server, kind: PayloadKind, content_type: str) -> None:
    bodies: list[tuple[Request, bytes]] = []

    def script(request: Request) -> bool:
        bodies.append((request, request.body()))
        request.peer.answer(201)
        return True

    server.script = script
    content = bytes(range(256)) * 1000
    send(server.port, pending(1, 'a b/c/q"\\é.bin', content, kind))

    ((request, body),) = bodies
    assert (request.method, request.target) == ("POST", "/api/v1/media/a%20b/c")
    media, _, boundary = request.headers["content-type"].partition("; boundary=")
    assert media == "multipart/form-data" and boundary.encode() not in content
    assert (
        body
        == (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="q\\"\\\\é.bin"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        ).encode()
        + content
        + f"\r\n--{boundary}--\r\n".encode()
    )


def test_a_name_that_a_form_cannot_hold_is_not_sent(server: Server) -> None:
    server.script = says(201)
    journal = send(server.port, pending(1, "d/line\nbreak", b"x"), pending(2, "d/f", b"x"))
    assert journal.lines == [("invoked", 1), ("fail", 1), ("invoked", 2), ("ok", 2)]
    assert "line break" in journal.details[1][0] and len(server.requests) == 1
    journal = send(server.port, pending(3, "d/line\nbreak", b"x"), request="PUT /{name}", multipart=None)
    assert journal.lines[1] == ("ok", 3) and server.requests[-1] == ("PUT", "/d/line%0Abreak")


def test_a_raw_upload_and_a_delete_as_sent(server: Server) -> None:
    heard: list[tuple[str, str, str | None, bytes]] = []

    def script(request: Request) -> bool:
        heard.append((request.method, request.target, request.headers.get("content-type"), request.body()))
        request.peer.answer(204)
        return True

    server.script = script
    send(server.port, pending(1, "d/f", b"raw"), request="PUT /files/{name}", multipart=None)
    send(server.port, pending(2, "d/e", b""), request="PUT /files/{name}", multipart=None)
    send(server.port, pending(3, "d/f", None), request="DELETE /files/{name}")
    assert heard == [
        ("PUT", "/files/d/f", "application/octet-stream", b"raw"),
        ("PUT", "/files/d/e", "application/octet-stream", b""),
        ("DELETE", "/files/d/f", None, b""),
    ]


def test_each_operation_has_a_request_of_its_own(server: Server) -> None:
    heard: list[tuple[str, str, dict[str, str], bytes]] = []

    def script(request: Request) -> bool:
        heard.append((request.method, request.target, dict(request.headers), request.body()))
        request.peer.answer(204)
        return True

    server.script = script
    requests = {
        OperationKind.CREATE: RequestTemplate.parse("POST /{directory}", "file"),
        OperationKind.OVERWRITE: RequestTemplate.parse("PUT /{name}"),
        OperationKind.APPEND: RequestTemplate.parse("PATCH /{directory}?add={filename}"),
        OperationKind.RENAME: RequestTemplate.parse(
            "MOVE /{name}?in={to_directory}&as={to_filename}", None, {"Destination": "/{to}"}
        ),
        OperationKind.DELETE: RequestTemplate.parse("POST /{name}?delete"),
    }
    batch = []
    for number, kind in enumerate(requests, 1):
        writes = kind in (OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND)
        made = pending(number, "a b/c#", b"x" if writes else None)
        target = "d/e?" if kind is OperationKind.RENAME else None
        batch.append(replace(made, operation=replace(made.operation, kind=kind, target=target)))
    journal = Journal()
    path_to(server.port).writer(requests, 1).write(batch, journal, threading.Event())
    assert {what for what, _ in journal.lines} == {"invoked", "ok"}
    create, *others, delete = heard
    assert create[:2] == ("POST", "/a%20b") and b'name="file"; filename="c#"' in create[3]
    assert [(method, target, body) for method, target, _, body in others] == [
        ("PUT", "/a%20b/c%23", b"x"),
        ("PATCH", "/a%20b?add=c%23", b"x"),
        ("MOVE", "/a%20b/c%23?in=d&as=e%3F", b""),
    ]
    assert others[2][2]["destination"] == "/d/e%3F"
    assert delete[:2] == ("POST", "/a%20b/c%23?delete") and delete[2]["content-length"] == "0"


def test_what_is_said_after_an_append_may_be_of_the_whole_file(server: Server) -> None:
    server.script = says(200, b'{"size": 9000, "sha256": "00"}', Content_Type="application/json")
    made = pending(1, "d/f", b"content")
    batch = [replace(made, operation=replace(made.operation, kind=OperationKind.APPEND))]
    journal = Journal()
    requests = {OperationKind.APPEND: RequestTemplate.parse("PATCH /{name}")}
    path_to(server.port).writer(requests, 1).write(batch, journal, threading.Event())
    assert journal.lines == [("invoked", 1), ("ok", 1)] and journal.details[1][0] == ""


def test_writers_share_the_batch_and_stop_when_told(server: Server) -> None:
    stop = threading.Event()
    lock = threading.Lock()
    count = 0

    def script(request: Request) -> bool:
        nonlocal count
        request.body()
        with lock:
            count += 1
            if count == 20:
                stop.set()
        request.peer.answer(201)
        return True

    server.script = script
    batch = [pending(number, f"d/{number}", b"x") for number in range(1, 201)]
    journal = send(server.port, *batch, threads=4, stop=stop)
    invoked = [identity for what, identity in journal.lines if what == "invoked"]
    completed = [identity for what, identity in journal.lines if what == "ok"]
    assert sorted(invoked) == sorted(completed) and len(set(invoked)) == len(invoked)
    assert 20 <= len(invoked) <= 24 and server.connections <= 4


@pytest.mark.parametrize(
    "request_line", ["post /x", "POST x", "POST", "POST /{user}", "POST /a b", "G\r\nET /"]
)
def test_a_request_that_is_none_is_refused(request_line: str) -> None:
    with pytest.raises(UsageError):
        RequestTemplate.parse(request_line, "file")
