"""HTTP paths that log in, and that speak TLS, against a scripted server in this process."""

from __future__ import annotations

import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from persistence_tests.errors import UsageError
from persistence_tests.model.observation import NodeKind
from persistence_tests.model.operation import OperationKind
from persistence_tests.paths.answer import NameTaking, Taking
from persistence_tests.paths.http import HttpConfig
from persistence_tests.paths.request import RequestTemplate
from tests.unit.scripted_server import OneServer, Request, Server, path_of, says

TLS = Path(__file__).parent / "tls"


FORM = (
    {"request": "GET /login", "take": {"csrf": {"pattern": 'name="csrf" value="([^"]+)"'}}},
    {
        "request": "POST /login",
        "form": {"username": "anna", "password": "${MEDIA_PASSWORD}", "csrf": "{csrf}"},
        "take": {"token": {"json": "data.access_token"}},
    },
)
PASSWORD = "correct horse & battery"


class Site:
    """A site with a form, a CSRF cookie and tokens; `forget` is what a restart does to its sessions."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.logins: list[dict[str, list[str]]] = []
        self.redirects = False
        self.broken: int | None = None
        self.answered: list[int] = []

    def forget(self) -> None:
        self.tokens.clear()

    def __call__(self, request: Request) -> bool:
        body = request.body()
        cookies = request.headers.get("cookie", "")
        if request.target == "/login" and self.broken:
            request.peer.answer(self.broken, b"the database is away")
        elif (request.method, request.target) == ("GET", "/login"):
            page = b'<input type="hidden" name="csrf" value="c/s+r&f">'
            request.peer.answer(200, page, Set_Cookie="csrftoken=cookie-one; Path=/; HttpOnly")
        elif (request.method, request.target) == ("POST", "/login"):
            form = parse_qs(body.decode())
            self.logins.append(form)
            right = form.get("password") == [PASSWORD] and form.get("csrf") == ["c/s+r&f"]
            if not right or "csrftoken=cookie-one" not in cookies:
                request.peer.answer(403, b"no")
                return True
            token = f"token-{len(self.logins):04d}-of-anna"
            self.tokens.add(token)
            said = json.dumps({"data": {"access_token": token}}).encode()
            request.peer.answer(200, said, Set_Cookie=f"sessionid=session-{len(self.logins)}; Max-Age=3600")
        else:
            allowed = request.headers.get("authorization", "").removeprefix("Bearer ") in self.tokens
            allowed = allowed and f"sessionid=session-{len(self.logins)}" in cookies
            self.answered.append(200 if allowed else 302 if self.redirects else 401)
            if allowed:
                request.peer.answer(200, request.target.encode())
            elif self.redirects:
                request.peer.answer(302, Location=f"/login?next={request.target}")
            else:
                request.peer.answer(401)
        return True


def logged_in(server: Server, site: Callable[[Request], bool], **config: Any) -> tuple[Any, OneServer]:
    server.script = site
    stack = OneServer(server.port, env={"MEDIA_PASSWORD": PASSWORD})
    settings = {"login": FORM, "headers": {"Authorization": "Bearer {token}"}, **config}
    return path_of(stack, **settings), stack


def test_a_form_with_a_token_and_a_cookie_is_gone_through_once(server: Server) -> None:
    site = Site()
    path, _ = logged_in(server, site)
    for _ in range(2):
        view = path.observe([f"f{number}" for number in range(20)])
        assert {seen.kind for seen in view.observations.values()} == {NodeKind.FILE}
    assert site.logins == [{"username": ["anna"], "password": [PASSWORD], "csrf": ["c/s+r&f"]}]
    assert path.read("f1", 100) == b"/media-files/f1"


@pytest.mark.parametrize("redirects", [False, True])
def test_a_session_that_a_restart_forgot_is_begun_anew_once(server: Server, redirects: bool) -> None:
    site = Site()
    path, _ = logged_in(server, site)
    path.observe(["a"])
    site.redirects = redirects
    site.forget()
    seen = path.observe(["a", "b"]).observations
    assert {each.kind for each in seen.values()} == {NodeKind.FILE}
    assert len(site.logins) == 2


def test_a_login_that_is_to_be_forgotten_is_made_anew(server: Server) -> None:
    site = Site()
    path, _ = logged_in(server, site)
    path.observe(["a"])
    site.forget()
    path.forget_login()
    assert path.observe(["b"]).observations["b"].kind is NodeKind.FILE
    assert (len(site.logins), site.answered) == (2, [200, 200]), "nothing was refused in between"


def test_a_refusal_right_after_a_login_is_one(server: Server) -> None:
    site = Site()
    path, _ = logged_in(server, site)
    path.observe(["a"])
    server.script = lambda request: (
        bool(request.target.startswith("/media-files/b") and _forbid(request)) or site(request)
    )
    for _ in range(5):
        assert path.observe(["b"]).observations["b"].status == 403
    assert len(site.logins) == 2, "one more login, for the first refusal of a session that had been good"


def _forbid(request: Request) -> bool:
    request.peer.answer(403)
    return True


def test_a_login_that_fails_is_said_and_tells_no_secret(server: Server) -> None:
    site = Site()
    site.broken = 503
    path, _ = logged_in(server, site)
    seen = path.observe(["a"]).observations["a"]
    assert (seen.kind, seen.error) == (NodeKind.ERROR, "login: GET /login was answered 503")
    assert path.read("a", 10) == b""

    server.script = Site()
    path = path_of(OneServer(server.port, env={"MEDIA_PASSWORD": "wrong"}), login=FORM)
    seen = path.observe(["a"]).observations["a"]
    assert seen.error == "login: POST /login was answered 403"


def test_an_answer_without_what_is_to_be_taken_is_said(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(200, b"<html>")
        return True

    path, _ = logged_in(server, script)
    said = path.observe(["a"]).observations["a"].error
    assert said.startswith("login: the answer to GET /login has no pattern ")


def test_nobody_logs_in_again_and_again_while_it_fails(server: Server) -> None:
    site = Site()
    site.broken = 503
    path, _ = logged_in(server, site)
    for _ in range(20):
        path.observe(["a", "b", "c"])
    assert 1 <= len(server.requests) <= 6


def test_secrets_are_known_by_their_values(server: Server) -> None:
    path, stack = logged_in(server, Site())
    path.observe(["a"])
    told = f"{PASSWORD} token-0001-of-anna session-1 and no more"
    assert stack.secrets.redact(told) == "*** *** *** and no more"


def test_a_variable_that_is_not_set_is_said_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDIA_PASSWORD", raising=False)
    with pytest.raises(UsageError, match="MEDIA_PASSWORD is not set"):
        path_of(OneServer(1), login=FORM)
    with pytest.raises(UsageError, match="MEDIA_PASSWORD is not set"):
        path_of(OneServer(1), headers={"X-Key": "${MEDIA_PASSWORD}"})
    monkeypatch.setenv("MEDIA_PASSWORD", "x")
    path_of(OneServer(1), login=FORM)


def test_a_json_login_as_sent(server: Server) -> None:
    heard: list[tuple[str, Any]] = []

    def script(request: Request) -> bool:
        heard.append((request.headers["content-type"], json.loads(request.body())))
        request.peer.answer(204)
        return True

    server.script = script
    login = {"request": "POST /api/login", "json": {"user": {"name": "anna", "tries": 1}, "tags": ["${TAG}"]}}
    path = path_of(OneServer(server.port, env={"TAG": "a"}), login=[login])
    path._origin.headers(path._origin.address())
    assert heard == [("application/json", {"user": {"name": "anna", "tries": 1}, "tags": ["a"]})]


def test_readiness_needs_no_login(server: Server) -> None:
    path, _ = logged_in(server, Site())
    server.script = says(204)
    assert path.ask("/health") is None
    assert server.requests == [("GET", "/health")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"login": [{"request": "login"}]},
        {"login": [{"request": "POST /login", "form": {"csrf": "{csrf}"}}]},
        {"headers": {"Authorization": "Bearer {token}"}},
        {"login": [{"request": "GET /x", "take": {"t": {"json": "a", "header": "b"}}}]},
        {"login": [{"request": "GET /x", "take": {"t": {}}}]},
        {"login": [{"request": "GET /x", "take": {"t": {"pattern": "no group"}}}]},
        {"login": [{"request": "GET /x", "take": {"t": {"pattern": "("}}}]},
        {"login": [{"request": "GET /x", "take": {"t": {"pattern": "a{99999999999}(b)"}}}]},
    ],
)
def test_a_login_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpConfig(**{"service": "api", "port": 80, "url": "/{name}", **wrong})


@pytest.mark.parametrize("url", ["/\u2028", "/é", "/a b", "/a\n"])
def test_a_login_at_a_url_that_no_request_carries_says_what_to_write(url: str) -> None:
    login = [{"request": f"GET {url}"}]
    with pytest.raises(ValidationError, match="percent-encoded"):
        HttpConfig(service="api", port=80, url="/{name}", login=login)  # type: ignore[arg-type]


# TLS


@pytest.fixture
def secure() -> Iterator[Server]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem")
    made = Server(context)
    yield made
    made.close()


def over_tls(server: Server, directory: Path, **config: Any) -> Any:
    shutil.copy(TLS / "authority.pem", directory / "authority.pem")
    return path_of(OneServer(server.port, directory), scheme="https", **config)


def ok(request: Request) -> bool:
    request.peer.answer(200, request.headers["host"].encode())
    return True


@pytest.mark.parametrize("host", [None, "media.example", "media.example:8443"])
def test_a_certificate_of_the_scenarios_authority_is_trusted(
    secure: Server, tmp_path: Path, host: str | None
) -> None:
    secure.script = ok
    path = over_tls(secure, tmp_path, ca="authority.pem", host=host)
    assert path.read("f", 100).decode() == (host or f"127.0.0.1:{secure.port}")
    assert path.observe(["f"]).observations["f"].kind is NodeKind.FILE
    assert path.ask("/health") is None


def test_a_write_goes_over_tls(secure: Server, tmp_path: Path) -> None:
    bodies: list[bytes] = []

    def script(request: Request) -> bool:
        bodies.append(request.body())
        request.peer.answer(201)
        return True

    secure.script = script
    path = over_tls(secure, tmp_path, ca="authority.pem")
    from tests.stacks.journal import Journal
    from tests.unit.test_paths_http_writes import pending

    journal = Journal()
    put = {OperationKind.CREATE: RequestTemplate.parse("PUT /{name}")}
    path.writer(put).write([pending(1, "f", b"x" * 70_000)], journal, threading.Event())
    assert journal.lines == [("invoked", 1), ("ok", 1)]
    assert bodies == [b"x" * 70_000]


@pytest.mark.parametrize("config", [{}, {"ca": "authority.pem", "host": "other.example"}])
def test_a_certificate_of_anybody_else_or_for_another_name_is_not(
    secure: Server, tmp_path: Path, config: dict[str, str]
) -> None:
    secure.script = ok
    path = over_tls(secure, tmp_path, **config)
    seen = path.observe(["f"]).observations["f"]
    assert seen.kind is NodeKind.ERROR
    assert "CERTIFICATE_VERIFY_FAILED" in (seen.error or "")
    assert "CERTIFICATE_VERIFY_FAILED" in (path.ask("/health") or "")
    assert secure.requests == []


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_cannot_be_read_is_said(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(UsageError, match=r"ca\.pem cannot be read"):
        path_of(OneServer(1, tmp_path), scheme="https", ca="ca.pem")


# What is taken from an answer


def answer(body: bytes = b"", **headers: str) -> Any:
    from email.message import Message

    from persistence_tests.paths.answer import Answer

    message = Message()
    for name, value in headers.items():
        message[name] = value
    return Answer(201, message, body)


@pytest.mark.parametrize(
    ("taking", "given", "name"),
    [
        ({"json": "data.path"}, answer(b'{"data": {"path": "uploads/a b.png"}}'), "uploads/a b.png"),
        ({"json": "0.id", "name": "uploads/{value}.png"}, answer(b'[{"id": 17}]'), "uploads/17.png"),
        ({"json": "url", "under": "/media/"}, answer(b'{"url": "/media/a%20b.png?v=1"}'), "a b.png"),
        (
            {"json": "url", "under": "/media/"},
            answer(b'{"url": "http://localhost:8000/media/u/a.png"}'),
            "u/a.png",
        ),
        ({"json": "name"}, answer(b'{"name": "100%25 a?b.png"}'), "100%25 a?b.png"),
        ({"header": "Location", "under": "/files/"}, answer(Location="/files/x%2By.bin"), "x+y.bin"),
        ({"header": "Location"}, answer(Location="http://h/d/x.bin"), "d/x.bin"),
        ({"pattern": "stored as <b>(.*?)</b>"}, answer(b"<p>stored as <b>a/b.jpg</b>"), "a/b.jpg"),
        ({"json": "file", "name": "{directory}/{value}"}, answer(b'{"file": "a.jpg"}'), "uploads/a.jpg"),
    ],
)
def test_names_as_learnt(taking: dict[str, str], given: Any, name: str) -> None:
    assert NameTaking(**taking).name_of(given, "uploads") == name


@pytest.mark.parametrize(
    ("taking", "given", "why"),
    [
        ({"json": "data.path"}, answer(b"created"), "has no json data.path"),
        ({"json": "data.path"}, answer(b'{"data": {"path": null}}'), "has no json data.path"),
        ({"json": "ok"}, answer(b'{"ok": true}'), "has no json ok"),
        ({"header": "Location"}, answer(), "has no header Location"),
        ({"json": "url", "under": "/media/"}, answer(b'{"url": "/static/a.png"}'), "begin with /media/"),
        ({"json": "p"}, answer(b'{"p": "../../etc/passwd"}'), "no name below the root"),
        ({"json": "p"}, answer(b'{"p": "/"}'), "no name below the root"),
    ],
)
def test_names_that_an_answer_does_not_tell(taking: dict[str, str], given: Any, why: str) -> None:
    from persistence_tests.paths.answer import NameUnknown

    with pytest.raises(NameUnknown, match=why):
        NameTaking(**taking).name_of(given, "uploads")


def test_a_cookie_is_taken_too() -> None:
    given = answer()
    given.cookies["csrftoken"] = "abc"
    assert Taking(cookie="csrftoken").of(given) == "abc"
