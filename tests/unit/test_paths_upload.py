"""Uploads that the stack names, and those behind a login; against servers in this process."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from persistence_tests.errors import UsageError
from persistence_tests.model.operation import (
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from tests.unit.scripted_server import OneServer, Request, Server, says
from tests.unit.uploads import pending, send, stored_as

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
