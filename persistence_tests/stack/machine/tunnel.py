"""A port of a container in a machine, reached from here: nothing of the stack or of the machine is changed for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from persistence_tests.errors import EngineUnavailable, StackError
from persistence_tests.stack.exec_stream import STDOUT, ExecFailed, ExecStream

if TYPE_CHECKING:
    from docker.models.containers import Container

IDLE_SECONDS = 120.0
_READ = 1 << 16
# Reads a line first, as everything that runs through an ExecStream; ends when either side does.
RELAY = """
import os, socket, sys, threading
os.read(0, 3)
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
peer.settimeout(None)
def out():
    while data := peer.recv(65536):
        while data:
            data = data[os.write(1, data):]
    os._exit(0)
threading.Thread(target=out, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
"""


@contextmanager
def tunnel(machine: Container, host: str, port: int) -> Iterator[tuple[str, int]]:
    """An address of this host; each connection to it is one from within the machine to `host` and `port`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, machine, host, port), daemon=True).start()
        try:
            yield server.getsockname()[:2]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection


def _accept(server: socket.socket, machine: Container, host: str, port: int) -> None:
    while True:
        try:
            here, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(here, machine, host, port), daemon=True).start()


def _relay(here: socket.socket, machine: Container, host: str, port: int) -> None:
    command = ["python3", "-c", RELAY, host, str(port)]
    broken = suppress(ExecFailed, EngineUnavailable, StackError, TimeoutError, OSError)
    with here, broken, ExecStream(machine, command, user="0:0") as there:
        there.send(b"go\n", IDLE_SECONDS)
        threading.Thread(target=_send, args=(here, there), daemon=True).start()
        try:
            for stream, content in there.frames(IDLE_SECONDS):
                if stream == STDOUT:
                    here.sendall(content)
        finally:
            here.shutdown(socket.SHUT_RDWR)  # a thread that waits for more would keep it open


def _send(here: socket.socket, there: ExecStream) -> None:
    with suppress(OSError, ExecFailed):
        while content := here.recv(_READ):
            there.send(content, IDLE_SECONDS)
        there.end_input()
