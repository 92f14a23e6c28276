"""Uploads that the stack names, in parts, cut short, behind a login; against servers in this process."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.answer import NameTaking, Taking
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.paths.uploading import Parts, Uploading
from tests.unit.scripted_server import OneServer, Request, Server, path_of, says


class Journal:
    def __init__(self) -> None:
        self.ended: dict[int, tuple[str, str, str | None]] = {}

    def invoked(self, operation: Operation) -> None:
        assert operation.identity not in self.ended

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        assert operation not in self.ended
        self.ended[operation] = outcome.value, detail, name


def pending(identity: int, size: int = 10_000, **details: Any) -> PendingWrite:
    payload = Payload.make("run", identity, PayloadKind.BYTES, size)
    provisional = details.pop("provisional", False)
    operation = Operation(
        identity,
        OperationKind.CREATE,
        f"uploads/f {identity}",
        "api",
        0,
        Acknowledgement.HTTP_2XX,
        True,
        payload.spec,
        provisional=provisional,
    )
    return PendingWrite(operation, payload, **details)


def send(
    server: Server,
    *batch: PendingWrite,
    request: str = "PUT /files/{name}",
    multipart: str | None = None,
    stack: OneServer | None = None,
    config: dict[str, Any] | None = None,
    **uploading: Any,
) -> Journal:
    journal = Journal()
    path = path_of(stack or OneServer(server.port), **(config or {}))
    requests = {OperationKind.CREATE: RequestTemplate.parse(request, multipart)}
    path.writer(requests, 1, Uploading(**uploading)).write(batch, journal, threading.Event())
    return journal


def stored_as(**given: str) -> NameTaking:
    return NameTaking.model_validate(given)


# Where it is sent


def test_the_port_is_looked_up_again_only_where_the_connection_is_lost(server: Server) -> None:
    server.script = says(201)
    stack = OneServer(server.port)
    journal = send(server, *map(pending, range(8)), stack=stack)
    assert {ended[0] for ended in journal.ended.values()} == {"ok"}
    assert (server.connections, stack.asked) == (1, 2)  # before the connection stands, for headers and for it


def test_a_server_that_has_moved_is_found_again(server: Server) -> None:
    elsewhere = Server()
    elsewhere.script = says(201)

    def answer_and_go(request: Request) -> bool:
        request.body()
        stack.port = elsewhere.port
        request.peer.answer(201, b"", Connection="close")
        return False

    server.script = answer_and_go
    stack = OneServer(server.port)
    journal = send(server, pending(1), pending(2), pending(3), stack=stack)
    elsewhere.close()
    assert {ended[0] for ended in journal.ended.values()} == {"ok"}
    assert (len(server.requests), len(elsewhere.requests), elsewhere.connections) == (1, 2, 1)


# The stack names the file


def test_the_name_is_learnt_from_the_answer(server: Server) -> None:
    def script(request: Request) -> bool:
        body = request.body()
        kept = hashlib.sha256(body).hexdigest()[:12]
        request.peer.answer(201, json.dumps({"data": {"path": f"/media/up/{kept}.bin"}}).encode())
        return True

    server.script = script
    write = pending(1, provisional=True)
    journal = send(server, write, stored_as=stored_as(json="data.path", under="/media/"))
    assert write.operation.payload is not None
    name = f"up/{write.operation.payload.sha256[:12]}.bin"
    assert journal.ended == {1: ("ok", f"kept as {name}", name)}


@pytest.mark.parametrize("body", [b"", b"created", b'{"data": {}}', b'{"data": {"path": "../x"}}'])
def test_an_acknowledged_file_that_nobody_can_find_is_unknown(server: Server, body: bytes) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(201, body)
        return True

    server.script = script
    journal = send(server, pending(1, provisional=True), stored_as=stored_as(json="data.path"))
    outcome, detail, name = journal.ended[1]
    assert (outcome, name) == ("info", None)
    assert detail.startswith("its name is not known: ")
    assert detail.endswith(body.decode())


@pytest.mark.parametrize(("status", "outcome"), [(202, "info"), (400, "fail"), (500, "info")])
def test_a_name_makes_no_answer_better(server: Server, status: int, outcome: str) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(status, b'{"path": "a"}')
        return True

    server.script = script
    journal = send(server, pending(1, provisional=True), stored_as=stored_as(json="path"))
    assert journal.ended[1][0] == outcome
    assert journal.ended[1][2] == (None if status == 400 else "a")


# A form behind a login


class Forms:
    """As a framework with forms: a CSRF field, a session cookie, a redirect after the form."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.logins = 0
        self.taken: list[dict[str, bytes]] = []

    def __call__(self, request: Request) -> bool:
        body, cookies = request.body(), request.headers.get("cookie", "")
        signed_in = any(f"sessionid={session}" in cookies for session in self.sessions)
        if (request.method, request.target) == ("GET", "/login/"):
            request.peer.answer(200, b'name="csrf" value="first"', Set_Cookie="csrftoken=first; Path=/")
        elif (request.method, request.target) == ("POST", "/login/"):
            assert parse_qs(body.decode())["csrf"] == ["first"]
            self.logins += 1
            self.sessions = {f"session-{self.logins}"}
            request.peer.answer(302, Location="/", Set_Cookie=f"sessionid=session-{self.logins}; HttpOnly")
        elif not signed_in:
            request.peer.answer(302, Location=f"/login/?next={request.target}")
        elif request.method == "GET":
            request.peer.answer(200, b'name="csrf" value="for-this-form"')
        else:
            fields = dict(
                re.findall(
                    rb'name="(\w+)"(?:; filename="[^"]*"\r\n[^\r]*)?\r\n\r\n(.*?)\r\n--', body, re.DOTALL
                )
            )
            self.taken.append({name.decode(): value for name, value in fields.items()})
            right = fields.get(b"csrf") == b"for-this-form" == request.headers.get("x-csrftoken", "").encode()
            request.peer.answer(302 if right else 403, Location="/files/17/")
        return True


LOGIN = [
    {"request": "GET /login/", "take": {"csrf": {"pattern": 'value="(.*?)"'}}},
    {"request": "POST /login/", "form": {"csrf": "{csrf}", "password": "${PASSWORD}"}},
    {"request": "GET /form/", "take": {"token": {"pattern": 'value="(.*?)"'}}},
]


def test_a_form_with_its_token_is_sent_and_its_redirect_accepted(server: Server) -> None:
    server.script = forms = Forms()
    journal = send(
        server,
        pending(1, 100),
        request="POST /form/",
        multipart="file",
        stack=OneServer(server.port, env={"PASSWORD": "very secret"}),
        config={"login": LOGIN},
        form={"csrf": "{token}", "title": "{filename} in {directory}"},
        headers={"X-CSRFToken": "{token}"},
        accepts=frozenset({302}),
        stored_as=stored_as(header="Location", under="/files/"),
    )
    assert journal.ended == {1: ("ok", "", None)}
    assert forms.taken[0]["title"] == b"f 1 in uploads"
    assert forms.taken[0]["file"] == Payload.make("run", 1, PayloadKind.BYTES, 100).bytes()


def test_a_redirect_to_the_login_acknowledges_nothing_and_the_next_write_logs_in_first(
    server: Server,
) -> None:
    server.script = forms = Forms()

    def forgetful(request: Request) -> bool:
        if (
            request.method == "POST"
            and request.target == "/form/"
            and len(forms.taken) == 1
            and forms.logins == 1
        ):
            forms.sessions.clear()
        return forms(request)

    server.script = forgetful
    journal = send(
        server,
        *(pending(number, 100) for number in (1, 2, 3)),
        request="POST /form/",
        multipart="file",
        stack=OneServer(server.port, env={"PASSWORD": "very secret"}),
        config={"login": LOGIN},
        form={"csrf": "{token}"},
        headers={"X-CSRFToken": "{token}"},
        accepts=frozenset({302}),
    )
    assert [ended[0] for ended in journal.ended.values()] == ["ok", "info", "ok"]
    assert "redirects to /login/" in journal.ended[2][1]
    assert len([r for r in server.requests if r == ("POST", "/form/")]) == 3, "nothing was sent twice"


def test_nothing_is_sent_without_a_login(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(503)
        return True

    server.script = script
    login = [{"request": "POST /login", "form": {"a": "b"}}]
    journal = send(server, pending(1), config={"login": login})
    assert journal.ended == {1: ("fail", "not sent: login: POST /login was answered 503", None)}
    assert server.requests == [("POST", "/login")]


def test_a_variable_that_is_not_set_is_said_before_anything_is_sent(server: Server) -> None:
    for key in ("headers", "form"):
        uploading: dict[str, Any] = {key: {"X-Key": "${NO_SUCH_KEY}"}}
        with pytest.raises(UsageError, match="NO_SUCH_KEY is not set"):
            send(server, pending(1), **uploading)
    assert server.requests == []


# Cut connections


class Keeping:
    """Keeps what comes: an atomic one only what is whole."""

    def __init__(self, atomic: bool) -> None:
        self.atomic = atomic
        self.files: dict[str, bytes] = {}

    def __call__(self, request: Request) -> bool:
        name, wanted, content = unquote(request.target), int(request.headers["content-length"]), b""
        while len(content) < wanted:
            try:
                content += request.peer.exactly(1)
            except EOFError:
                break
        if len(content) == wanted or not self.atomic:
            self.files[name] = content
        request.peer.answer(201 if len(content) == wanted else 400)
        return True


@settings(max_examples=25, deadline=None)
@given(size=st.integers(2, 20_000), data=st.data())
def test_exactly_so_many_bytes_are_sent(size: int, data: st.DataObject) -> None:
    after = data.draw(st.integers(1, size - 1))
    server = Server()
    try:
        server.script = keeping = Keeping(atomic=False)
        journal = send(server, pending(1, size, cut_after=after), pending(2, 50))
    finally:
        server.close()
    assert journal.ended[1] == ("info", f"the connection was cut after {after} of {size} bytes", None)
    assert journal.ended[2][0] == "ok"
    assert keeping.files["/files/uploads/f 1"] == Payload.make("run", 1, PayloadKind.BYTES, size).slice(
        0, after
    )


def test_what_is_left_of_a_cut_upload_is_there_when_the_writer_goes_on(server: Server) -> None:
    server.script = keeping = Keeping(atomic=True)
    journal = send(server, pending(1, 5000, cut_after=4999))
    assert journal.ended[1][0] == "info"
    assert keeping.files == {}


def test_a_form_is_cut_in_its_file(server: Server) -> None:
    bodies: list[bytes] = []

    def script(request: Request) -> bool:
        content = b""
        try:
            while True:
                content += request.peer.exactly(1)
        except EOFError:
            bodies.append(content)
        return False

    server.script = script
    send(server, pending(1, 500, cut_after=123), request="POST /", multipart="file")
    assert bodies[0].partition(b"\r\n\r\n")[2] == Payload.make("run", 1, PayloadKind.BYTES, 500).slice(0, 123)


# Parts


class Assembling:
    """Takes parts in any order, and has the file once it is told that it is whole, or all bytes are there.

    `forgets` is the number of the part that it drops, of each file.
    """

    def __init__(self, forgets: int | None = None) -> None:
        self.parts: dict[str, dict[int, bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.forgets = forgets
        self.broken_at: int | None = None

    def __call__(self, request: Request) -> bool:
        body, url = request.body(), urlsplit(request.target)
        name = unquote(url.path)
        if request.method == "POST" and url.path == "/start":
            upload = f"/up/{len(self.parts) + 1}"
            self.parts[upload] = {}
            request.peer.answer(201, Location=f"http://media.example{upload}?key=k")
        elif request.method == "PATCH":
            offset = int(request.headers["upload-offset"])
            self.offsets.append(offset)
            if self.broken_at == len(self.offsets):
                request.peer.answer(500)
                return True
            if self.forgets != len(self.parts.setdefault(name, {})):
                self.parts[name][offset] = body
            else:
                self.parts[name][offset] = bytes(len(body))
            request.peer.answer(204)
        else:
            got = self.parts[name]
            whole = b"".join(got[offset] for offset in sorted(got))
            right = len(whole) == int(parse_qs(url.query)["size"][0])
            if right:
                self.files[name] = whole
            request.peer.answer(201 if right else 409)
        return True


PARTS: dict[str, Any] = {
    "size": 1000,
    "request": "PATCH /files/{name}",
    "headers": {"Upload-Offset": "{offset}"},
    "finish": "POST /files/{name}?size={size}",
}


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(0, 6000), part=st.integers(500, 7000), chance=st.integers(0, 99), shuffled=st.booleans()
)
def test_parts_make_the_whole(size: int, part: int, chance: int, shuffled: bool) -> None:
    server = Server()
    try:
        server.script = assembling = Assembling()
        parts = Parts(**{**PARTS, "size": part, "shuffled": shuffled})
        journal = send(server, pending(1, size, chance=chance), parts=parts)
    finally:
        server.close()
    assert journal.ended == {1: ("ok", "", None)}
    assert assembling.files == {"/files/uploads/f 1": Payload.make("run", 1, PayloadKind.BYTES, size).bytes()}
    count = max(1, -(-size // part))
    assert sorted(assembling.offsets) == [number * part for number in range(count)]
    assert shuffled or assembling.offsets == sorted(assembling.offsets)


def test_a_shuffled_order_is_decided_by_chance_alone(server: Server) -> None:
    orders = []
    for chance in (1, 1, 2):
        server.script = assembling = Assembling()
        send(server, pending(1, 10_000, chance=chance), parts=Parts(**PARTS, shuffled=True))
        orders.append(tuple(assembling.offsets))
    assert orders[0] == orders[1] != orders[2]


def test_an_upload_that_begins_with_a_request_of_its_own(server: Server) -> None:
    server.script = assembling = Assembling()
    parts = Parts(
        size=400,
        request="PATCH {upload}",
        headers={"Upload-Offset": "{offset}"},
        start="POST /start",
        take={"upload": Taking(header="Location")},
    )
    journal = send(server, pending(1, 1000), parts=parts)
    assert journal.ended == {1: ("ok", "", None)}
    assert [target for _, target in server.requests] == ["/start", *["/up/1?key=k"] * 3]
    assert assembling.offsets == [0, 400, 800]


def test_a_part_left_out_is_never_acknowledged_whatever_is_answered(server: Server) -> None:
    server.script = assembling = Assembling()
    journal = send(server, pending(1, 5000, left_out=True, chance=3), parts=Parts(**PARTS))
    assert journal.ended[1][0] == "info"
    assert "a part was left out" in journal.ended[1][1]
    assert len(assembling.offsets) == 4
    assert server.requests[-1][0] == "POST", "the server was told that this is all"

    def agreeable(request: Request) -> bool:
        request.body()
        request.peer.answer(201)
        return True

    server.script = agreeable
    assert send(server, pending(1, 5000, left_out=True), parts=Parts(**PARTS)).ended[1][0] == "info"


def test_a_cut_ends_an_upload_in_the_part_where_it_is(server: Server) -> None:
    server.script = assembling = Assembling()
    journal = send(server, pending(1, 5000, cut_after=2500), parts=Parts(**PARTS))
    assert journal.ended[1] == ("info", "the connection was cut after 500 of 1000 bytes", None)
    assert sorted(assembling.parts["/files/uploads/f 1"]) == [0, 1000]
    assert [method for method, _ in server.requests] == ["PATCH"] * 3


@pytest.mark.parametrize(("at", "outcome"), [(1, "info"), (3, "info")])
def test_an_upload_that_fails_on_the_way_is_unknown(server: Server, at: int, outcome: str) -> None:
    server.script = assembling = Assembling()
    assembling.broken_at = at
    journal = send(server, pending(1, 5000), parts=Parts(**PARTS))
    assert journal.ended[1][0] == outcome
    assert f"part {at} of 5 was answered 500" in journal.ended[1][1]
    assert len(server.requests) == at


@pytest.mark.parametrize(("refused_at", "outcome"), [(1, "fail"), (2, "info"), (6, "info")])
def test_only_the_first_request_refused_is_positive_knowledge(
    server: Server, refused_at: int, outcome: str
) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(409 if len(server.requests) == refused_at else 204)
        return True

    server.script = script
    journal = send(server, pending(1, 5000), parts=Parts(**PARTS))
    assert journal.ended[1][0] == outcome


def test_the_name_may_be_in_the_first_answer(server: Server) -> None:
    server.script = Assembling()
    parts = Parts(
        size=400,
        request="PATCH {upload}",
        headers={"Upload-Offset": "{offset}"},
        start="POST /start",
        take={"upload": Taking(header="Location")},
    )
    journal = send(
        server,
        pending(1, 1000, provisional=True),
        parts=parts,
        stored_as=stored_as(header="Location", under="/up/"),
    )
    assert journal.ended == {1: ("ok", "kept as 1", "1")}
