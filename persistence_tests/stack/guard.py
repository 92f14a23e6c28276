"""A socket for the stack's own commands, which reaches of the engine what is the run's and nothing else.

A command may name containers and volumes as it likes: a call on what does not bear the run's label is answered with
403 and the reason, and lists hold only what is the run's. Each connection carries one request, told to the engine
with `Connection: close`; from there on the bytes go through as they are, so that attached streams and builds work.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from tempfile import TemporaryDirectory

from persistence_tests.stack.guard_rules import Denied, GuardRules, Request

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 4 * 1024 * 1024  # of a request whose body is judged
CHUNK = 64 * 1024
PATIENCE = 5.0  # seconds that a client may take to hear what was said last
REWRITTEN = frozenset({"connection", "content-length", "transfer-encoding", "expect"})


@contextmanager
def guard(engine_socket: Path, rules: GuardRules) -> Iterator[str]:
    """The URL of a guarded way to the engine, for DOCKER_HOST; it is closed in the end, with every connection."""
    with TemporaryDirectory(prefix="persistence-guard-") as directory:
        path = Path(directory, "engine.sock")
        with _Server(path, engine_socket, rules) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield f"unix://{path}"
            finally:
                server.shutdown()
                thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, engine_socket: Path, rules: GuardRules) -> None:
        super().__init__(str(path), _Connection)
        self.engine_socket = engine_socket
        self.rules = rules


class _Connection(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        with suppress(OSError):
            try:
                head, request = _read(self.rfile)
                allowed = self.server.rules.allow(request)
            except Denied as denied:
                self._answer(denied)
                return
            except (
                Exception
            ) as error:  # whatever a command sends is answered, and what cannot be judged is denied
                self._answer(Denied(f"the request could not be judged: {error}", 400))
                return
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(str(self.server.engine_socket))
                engine.sendall(_rewritten(head, request, allowed))
                self._tunnel(engine)

    def _tunnel(self, engine: socket.socket) -> None:
        """Both ways until the engine has said everything; what the client closes is closed towards the engine."""

        def upstream() -> None:
            with suppress(OSError, ValueError):
                while data := self.rfile.read1(CHUNK):
                    # A program may end before it has read its whole input. What is left unread here when the
                    # connection is closed would reset it, and the client would take that for a failure.
                    with suppress(OSError):
                        engine.sendall(data)
                engine.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=upstream, daemon=True)
        sending.start()
        # An engine that leaves input unread ends with a reset in place of an end; the client gets an end all the same.
        with suppress(OSError):
            while data := engine.recv(CHUNK):
                self.connection.sendall(data)
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            sending.join(PATIENCE)
        # Also ends the read of `sending`, for which closing the connection would wait.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, denied: Denied) -> None:
        body = json.dumps({"message": str(denied)}).encode()
        head = (
            f"HTTP/1.1 {denied.status} Denied\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(head.encode() + body)
        # Closed while the client still sends, the answer would be lost with the connection.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(PATIENCE)
        while self.connection.recv(CHUNK):
            pass


def _read(stream: BufferedIOBase) -> tuple[list[str], Request]:
    """The header lines of one request, and the request with its body where that is to be judged."""
    lines: list[str] = []
    size = 0
    while True:
        line = stream.readline(LONGEST_HEAD)
        size += len(line)
        if size > LONGEST_HEAD or not line.endswith(b"\n"):
            raise Denied("not a request", 400)
        if line in (b"\r\n", b"\n"):
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    match = re.fullmatch(r"([A-Z]+) (\S+) HTTP/1\.1", lines[0]) if lines else None
    if match is None:
        raise Denied("not a request", 400)
    request = Request.of(match[1], match[2])
    if request.is_judged_by_its_body:
        request.body = _body(stream, lines)
    return lines, request


def _body(stream: BufferedIOBase, lines: list[str]) -> bytes:
    headers = dict(line.lower().partition(":")[::2] for line in lines[1:])
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while length := int(stream.readline(32).split(b";")[0] or b"0", 16):
            if len(body) + length > LONGEST_BODY:
                raise Denied("the request is too long", 413)
            body += stream.read(length)
            stream.readline(8)
        stream.readline(8)
        return body
    length = int(headers.get("content-length", "0").strip() or 0)
    if length > LONGEST_BODY:
        raise Denied("the request is too long", 413)
    return stream.read(length)


def _rewritten(lines: list[str], request: Request, allowed: Request) -> bytes:
    """The head, and the body where it was read, as the engine gets them."""
    upgrades = any(line.lower().startswith("upgrade:") for line in lines)
    dropped = set(REWRITTEN) if request.is_judged_by_its_body else {"connection"}
    dropped -= {"connection"} if upgrades else set()
    kept = [line for line in lines[1:] if line.partition(":")[0].lower() not in dropped]
    if not upgrades:
        kept.append("Connection: close")
    if request.is_judged_by_its_body:
        kept.append(f"Content-Length: {len(allowed.body)}")
    head = "\r\n".join([f"{allowed.method} {allowed.target} HTTP/1.1", *kept])
    return head.encode("latin-1") + b"\r\n\r\n" + allowed.body
