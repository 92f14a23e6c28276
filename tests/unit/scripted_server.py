"""A scripted HTTP server in this process, and a path that leads to it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from persistence_tests.errors import StackError
from persistence_tests.model.secrets import Secrets
from persistence_tests.paths.http import HttpConfig, HttpPath


class Peer:
    """One connection of a client, on the server's side."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._buffer = b""

    def until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(end)
        return line

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError
            self._buffer += received
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return content

    def say(self, content: bytes) -> None:
        self.socket.sendall(content)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        head = "\r\n".join([f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *lines, "", ""])
        self.say(head.encode() + body)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    peer: Peer

    def body(self) -> bytes:
        return self.peer.exactly(int(self.headers.get("content-length", "0")))


class Server:
    """Answers each request as `script` says; a script that returns True keeps the connection."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.script: Callable[[Request], bool] = lambda request: False
        self.requests: list[tuple[str, str]] = []
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            peer = Peer(connection)
            while True:
                first, *rest = peer.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
                method, target, _ = first.split(" ")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
                self.requests.append((method, target))
                if not self.script(Request(method, target, headers, peer)):
                    return
        except (EOFError, OSError):
            pass
        finally:
            connection.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


class OneServer:
    """The part of Stack that an HTTP path uses."""

    def __init__(
        self, port: int | None, workspace: Path = Path("/nowhere"), env: dict[str, str] | None = None
    ) -> None:
        self.port = port
        self.asked = 0
        self.workspace = workspace
        self.spec = SimpleNamespace(env=env or {})
        self.secrets = Secrets()

    def address(self, service: str, port: int) -> tuple[str, int]:
        self.asked += 1
        if self.port is None:
            raise StackError(f"port {port} of {service} is not published")
        return "127.0.0.1", self.port


def path_to(port: int | None, **config: Any) -> HttpPath:
    return path_of(OneServer(port), **config)


def path_of(stack: OneServer, **config: Any) -> HttpPath:
    settings: dict[str, Any] = {"service": "api", "port": 8001, "url": "/media-files/{name}", **config}
    return HttpPath("api", HttpConfig(**settings), stack)  # type: ignore[arg-type]


def says(status: int, body: bytes = b"", **headers: str) -> Callable[[Request], bool]:
    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(status, body, **headers)
        return True

    return script
