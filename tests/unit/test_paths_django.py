"""A path that logs in to Django over TLS: its own rules for forms, cookies and sessions, as a browser meets them."""

from __future__ import annotations

import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

import pytest

from persistence_tests.model.observation import NodeKind
from persistence_tests.model.operation import Acknowledgement, Operation, OperationKind, Outcome, PayloadKind
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.http import HttpPath
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.paths.uploading import Uploading
from tests.unit.scripted_server import OneServer, path_of
from tests.unit.uploads import Journal

TLS = Path(__file__).parent / "tls"
LOGIN = (
    {"request": "GET /login/", "take": {"csrf": {"input": "csrfmiddlewaretoken"}}},
    {
        "request": "POST /login/",
        "form": {"username": "anna", "password": "${PASSWORD}", "csrfmiddlewaretoken": "{csrf}"},
        "take": {"token": {"cookie": "csrftoken"}},
    },
)
REQUESTS = {
    OperationKind.CREATE: RequestTemplate.parse("POST /companies/", "icon"),
    OperationKind.DELETE: RequestTemplate.parse("POST /companies/delete/", form={"icon": "{name}"}),
}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not among the tests' own lines."""

    def handle(self) -> None:
        """One request, as over TLS."""
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline and self.parse_request():
            environ = {**self.get_environ(), "HTTPS": "on"}
            incoming: Any = self.rfile
            outgoing: Any = self.wfile
            handler = ServerHandler(incoming, outgoing, self.get_stderr(), environ, multithread=False)
            handler.request_handler = self  # type: ignore[attr-defined]  # that is how it logs
            handler.run(self.server.get_app())  # type: ignore[attr-defined]


class Site:
    """Companies' icons behind a login; `kept` are the files, `refused` what Django's guard said no to."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.refused: list[str] = []
        self.sessions: set[str] = set()

    def login(self, request: Any) -> Any:
        from django.http import HttpResponse, HttpResponseRedirect
        from django.middleware.csrf import get_token, rotate_token

        if request.method == "POST":
            if (request.POST["username"], request.POST["password"]) != ("anna", "p&ss=word"):
                return HttpResponse("wrong", status=403)
            rotate_token(request)
            response = HttpResponseRedirect("/")
            session = f"session-{len(self.sessions)}"
            self.sessions.add(session)
            response.set_cookie("sessionid", session, secure=True, httponly=True)
            return response
        field = f'<input value="{get_token(request)}" type=hidden name=csrfmiddlewaretoken>'
        return HttpResponse(f'<form method="post">{field}</form>')

    def create(self, request: Any) -> Any:
        from django.http import HttpResponse

        if (away := self._away(request)) is not None:
            return away
        icon = request.FILES["icon"]
        self.kept[f"icons/{icon.name}"] = icon.read()
        return HttpResponse(status=201)

    def delete(self, request: Any) -> Any:
        from django.http import HttpResponse

        if (away := self._away(request)) is not None:
            return away
        return HttpResponse(status=204 if self.kept.pop(request.POST["icon"], None) is not None else 404)

    def show(self, request: Any, name: str) -> Any:
        from django.http import HttpResponse

        if (away := self._away(request)) is not None:
            return away
        return HttpResponse(self.kept[name]) if name in self.kept else HttpResponse(status=404)

    def refuse(self, request: Any, reason: str = "") -> Any:
        from django.http import HttpResponse

        self.refused.append(reason)
        return HttpResponse(reason, status=403)

    def _away(self, request: Any) -> Any:
        from django.http import HttpResponseRedirect

        signed_in = request.COOKIES.get("sessionid") in self.sessions
        return None if signed_in else HttpResponseRedirect(f"/login/?next={request.path}")


SITE = Site()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    settings.configure(
        SECRET_KEY="not one that anybody has",
        ALLOWED_HOSTS=["media.example"],
        ROOT_URLCONF=(
            path("login/", SITE.login),
            path("companies/", SITE.create),
            path("companies/delete/", SITE.delete),
            path("media/<path:name>", SITE.show),
        ),
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        CSRF_COOKIE_SECURE=True,
        CSRF_FAILURE_VIEW=SITE.refuse,
    )
    server = WSGIServer(("127.0.0.1", 0), Quiet)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def site(port: int, tmp_path: Path) -> HttpPath:
    SITE.__init__()  # type: ignore[misc]  # Django has the one that it was given
    shutil.copy(TLS / "authority.pem", tmp_path)
    stack = OneServer(port, tmp_path, {"PASSWORD": "p&ss=word"})
    address = {"scheme": "https", "host": "media.example", "ca": "authority.pem", "url": "/media/{name}"}
    return path_of(stack, **address, login=LOGIN)


def sent(
    site: HttpPath, *kinds: OperationKind, headers: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    """Outcome and words of operations on one file, one after the other."""
    ended: list[tuple[str, str]] = []
    for identity, kind in enumerate(kinds, 1):
        payload = (
            Payload.make("run", identity, PayloadKind.BYTES, 3000) if kind is OperationKind.CREATE else None
        )
        operation = Operation(
            identity, kind, "icons/a & b.bin", "api", 0, Acknowledgement.HTTP_2XX, True,
            payload.spec if payload else None,
        )  # fmt: skip
        journal = Journal()
        uploading = Uploading(headers={"X-CSRFToken": "{token}"} if headers is None else headers)
        writer = site.writer(REQUESTS, 1, uploading)
        with writer:
            writer.write([PendingWrite(operation, payload)], journal, threading.Event())
        ended.append(journal.ended[identity][:2])
    return ended


def test_a_file_is_created_and_deleted_as_from_a_form(site: HttpPath) -> None:
    assert sent(site, OperationKind.CREATE) == [("ok", "")]
    assert set(SITE.kept) == {"icons/a & b.bin"}
    assert site.observe(["icons/a & b.bin"]).observations["icons/a & b.bin"].kind is NodeKind.FILE
    assert sent(site, OperationKind.DELETE) == [("ok", "")]
    assert (SITE.kept, SITE.refused, len(SITE.sessions)) == ({}, [], 1)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "CSRF token missing."),
        ({"X-CSRFToken": "{csrf}"}, "CSRF token from the 'X-Csrftoken' HTTP header incorrect."),
        ({"X-CSRFToken": "{token}", "Referer": "https://elsewhere.example/"}, "Referer checking failed"),
    ],
)
def test_what_the_guard_refuses_has_surely_not_happened(
    site: HttpPath, headers: dict[str, str], why: str
) -> None:
    ((outcome, _),) = sent(site, OperationKind.CREATE, headers=headers)
    # An answer that comes before the body was read may be lost with the connection.
    assert outcome in ((Outcome.FAIL,) if "Referer" not in headers else (Outcome.FAIL, Outcome.INFO))
    assert SITE.kept == {}
    assert SITE.refused[0].startswith(why)


def test_a_session_that_is_gone_is_begun_anew_and_nothing_is_sent_twice(site: HttpPath) -> None:
    assert sent(site, OperationKind.CREATE) == [("ok", "")]
    SITE.sessions.clear()
    SITE.kept.clear()
    ((outcome, said),) = sent(site, OperationKind.CREATE)
    assert (outcome, SITE.kept) == (Outcome.INFO, {}), "it is not sent again"
    assert said == "redirects to /login/?next=/companies/"
    assert sent(site, OperationKind.CREATE) == [("ok", "")]
    assert len(SITE.sessions) == 1
