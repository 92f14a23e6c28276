"""A reader that goes on while its server goes and comes again."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from persistence_tests.errors import StackError
from persistence_tests.model.observation import NodeKind
from persistence_tests.model.secrets import Secrets
from persistence_tests.paths.http import HttpConfig, HttpPath

CONTENT = b"0123456789" * 100


class Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    framing: ClassVar[str] = "length"

    def do_GET(self) -> None:
        if self.path.endswith("gone"):
            self.send_error(404)
            return
        self.send_response(200)
        match self.framing:
            case "length":
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT)
            case "chunks":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))
            case "close":
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(CONTENT[:300])
            case "cut":
                self.send_header("Content-Length", str(len(CONTENT)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(CONTENT[:300])

    def log_message(self, *_: object) -> None:
        return


class Moving:
    """The part of Stack that an HTTP path uses; `port` is where the server is now, if anywhere."""

    workspace = Path("/nowhere")
    spec = SimpleNamespace(env={})
    secrets = Secrets()
    port: int | None = None

    def address(self, service: str, port: int) -> tuple[str, int]:
        if self.port is None:
            raise StackError(f"port {port} of {service} is not published")
        return "127.0.0.1", self.port


def serving() -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OwnFiles", (Files,), {}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with serving() as made:
        yield made
        made.shutdown()


def reading(stack: Moving, received: list[int], **more: Any) -> Any:
    config = HttpConfig(service="api", port=80, url="/files/{name}", **more)
    return HttpPath("api", config, cast("Any", stack)).live_reader(received.append)


@pytest.mark.parametrize(
    ("framing", "kind", "sure"),
    [
        ("length", NodeKind.FILE, True),
        ("chunks", NodeKind.FILE, True),
        ("close", NodeKind.FILE, False),
        ("cut", NodeKind.ERROR, False),
    ],
)
def test_only_what_came_with_its_length_is_surely_whole(
    server: ThreadingHTTPServer, framing: str, kind: NodeKind, sure: bool
) -> None:
    cast("type[Files]", server.RequestHandlerClass).framing = framing
    stack, received = Moving(), list[int]()
    stack.port = server.server_port
    live = reading(stack, received)
    seen = live.read("f")
    assert seen.kind is kind
    assert live.surely_whole() is sure
    if sure:
        assert (seen.size, seen.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
        assert sum(received) == len(CONTENT)
    live.close()


def test_an_answer_from_a_port_that_the_stack_has_left_is_not_sure(server: ThreadingHTTPServer) -> None:
    stack = Moving()
    stack.port = server.server_port
    live = reading(stack, [])
    assert live.read("f").kind is NodeKind.FILE
    stack.port = None
    assert live.read("f").kind is NodeKind.FILE  # the connection still stands
    assert not live.surely_whole()
    seen = live.read("f")
    assert seen.kind is NodeKind.ERROR
    assert "is not published" in str(seen.error)
    assert not live.surely_whole()
    with serving() as second:
        stack.port = second.server_port
        assert live.read("f").kind is NodeKind.FILE
        assert live.surely_whole()
        live.close()
        second.shutdown()


def test_behind_a_login_any_page_may_be_the_logins(server: ThreadingHTTPServer) -> None:
    stack = Moving()
    stack.port = server.server_port
    live = reading(stack, [], login=[{"request": "GET /login"}])
    assert live.read("f").kind is NodeKind.FILE
    assert not live.surely_whole()
    live.close()


def test_a_server_that_comes_again_is_read_again(server: ThreadingHTTPServer) -> None:
    stack = Moving()
    with serving() as first:
        stack.port = first.server_port
        live = reading(stack, [])
        assert live.read("gone").kind is NodeKind.ABSENT
        first.shutdown()
    live.close()
    assert live.read("f").kind is NodeKind.ERROR
    stack.port = server.server_port
    assert live.read("f").kind is NodeKind.FILE
    live.close()
