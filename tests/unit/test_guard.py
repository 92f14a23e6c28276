"""The guarded way to the engine: what a program leaves unread of its input is no failure of whoever sent it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.stack.guard import guard
from persistence_tests.stack.guard_rules import Request


class Everything:
    def allow(self, request: Request) -> Request:
        return request


@contextmanager
def engine(directory: Path, is_reset: bool) -> Iterator[Path]:
    """Says all that it has to say to the head of a request, and ends without having read the rest.

    What has arrived of the rest by then resets the connection.
    """
    path = directory / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(1)
                if is_reset:
                    connection.recv(1, socket.MSG_PEEK)
                connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\nall that it says")

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        thread.join()


@pytest.mark.parametrize("is_reset", [False, True])
def test_input_that_nobody_reads_does_not_reset_the_connection(tmp_path: Path, is_reset: bool) -> None:
    rules: Any = Everything()
    with (
        engine(tmp_path, is_reset) as path,
        guard(path, rules) as url,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(url.removeprefix("unix://"))
        client.sendall(b"POST /exec/1/start HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        client.sendall(bytes(100_000))
        heard = b""
        while data := client.recv(65536):  # ECONNRESET in place of the end, if it were reset
            heard += data
        client.sendall(bytes(100))
    assert heard.endswith(b"all that it says")
