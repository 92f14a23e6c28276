"""A program in a container with its three streams, as the service's own user unless told otherwise.

Nothing is lost of what the program says only if it says nothing before it was spoken to: the
engine's answer and the program's first output may arrive together, and then the output is gone in
the SDK's buffer. So whatever runs here reads a line first; the SDK's own `exec_run` is not used.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker.models.containers import Container

STDOUT, STDERR = 1, 2
WITHIN = 120.0
"""Seconds without any output after which a program is given up."""
_HEADER = struct.Struct(">BxxxL")
_READ = 1 << 18


class ExecFailed(Exception):
    """The program could not be started, or its streams broke."""


class ExecStream:
    """`command` running in `container`; a context manager that closes the connection.

    Raises ExecFailed where the engine refuses, such as for a container that is not running, and
    EngineUnavailable where it does not answer.
    """

    def __init__(self, container: Container, command: Sequence[str], user: str = "") -> None:
        from docker.errors import DockerException

        from persistence_tests.stack.engine import engine_answers

        assert container.client is not None
        self._api: Any = container.client.api
        with engine_answers(f"running a program in {container.name}"):
            try:
                self._identity: str = self._api.exec_create(
                    container.id, list(command), stdin=True, stdout=True, stderr=True, user=user,
                    environment={"LC_ALL": "C"},
                )["Id"]  # fmt: skip
                self._socket: Any = self._api.exec_start(self._identity, socket=True)
            except DockerException as error:
                raise ExecFailed(explanation(error)) from error
        # The SDK gives a file object over a plain socket, and the socket itself where it is wrapped.
        self._raw: Any = getattr(self._socket, "_sock", self._socket)
        self._raw.settimeout(None)
        self._buffer = bytearray()

    def __enter__(self) -> ExecStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, content: bytes, within: float) -> None:
        """Send all of it; ExecFailed where the other side is gone or takes nothing for `within` seconds."""
        self._raw.settimeout(within)
        try:
            self._raw.sendall(content)
        except OSError as error:
            raise ExecFailed(f"the program takes no input: {error}") from error

    def end_input(self) -> None:
        """The program has all that it will get; what it still says can be read."""
        with contextlib.suppress(OSError):
            self._raw.shutdown(socket.SHUT_WR)

    def frame(self, within: float) -> tuple[int, bytes] | None:
        """The next output as (STDOUT or STDERR, bytes); None at the end.

        Raises TimeoutError where nothing came for `within` seconds (what came is kept), ExecFailed
        where the stream broke off inside a frame.
        """
        deadline = time.monotonic() + within
        if not self._fill(_HEADER.size, deadline):
            if self._buffer:
                raise ExecFailed("the output broke off")
            return None
        stream, length = _HEADER.unpack_from(self._buffer)
        if not self._fill(_HEADER.size + length, deadline):
            raise ExecFailed("the output broke off")
        content = bytes(self._buffer[_HEADER.size : _HEADER.size + length])
        del self._buffer[: _HEADER.size + length]
        return stream, content

    def _fill(self, size: int, deadline: float) -> bool:
        while len(self._buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not self._readable(left):
                raise TimeoutError
            try:
                received = self._raw.recv(_READ)
            except OSError as error:
                raise ExecFailed(f"the output broke off: {error}") from error
            if not received:
                return False
            self._buffer += received
        return True

    def _readable(self, seconds: float) -> bool:
        # A TLS connection may hold decrypted bytes that the descriptor no longer announces.
        pending = getattr(self._raw, "pending", None)
        return bool(pending and pending()) or bool(select.select([self._raw], [], [], seconds)[0])

    def frames(self, within: float) -> Iterator[tuple[int, bytes]]:
        """All output until the end; TimeoutError where a frame takes longer than `within` seconds."""
        while (frame := self.frame(within)) is not None:
            yield frame

    def exit_code(self) -> int | None:
        """What the program ended with; None while it runs or where the engine does not know."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            code: int | None = self._api.exec_inspect(self._identity)["ExitCode"]
        except (DockerException, RequestException):
            return None
        return code

    def close(self) -> None:
        for end in (self._socket, self._raw):
            with contextlib.suppress(OSError):
                end.close()


def run(
    container: Container, command: Sequence[str], within: float = WITHIN, user: str = ""
) -> tuple[bytes, bytes, int | None]:
    """Standard output, standard error and exit code of a program that reads a line before it speaks.

    Raises TimeoutError where nothing comes for `within` seconds, and as ExecStream does.
    """
    output, complaints = bytearray(), bytearray()
    with ExecStream(container, command, user) as stream:
        stream.send(b"go\n", within)
        for source, content in stream.frames(within):
            (output if source == STDOUT else complaints).extend(content)
        return bytes(output), bytes(complaints), stream.exit_code()


def run_any(
    container: Container, command: Sequence[str], within: float = WITHIN, user: str = ""
) -> tuple[bytes, bytes, int | None]:
    """The same of any program, where the container has a shell; without an input."""
    return run(container, ["sh", "-c", 'read -r _ && exec "$@" </dev/null', "sh", *command], within, user)


def explanation(error: Exception) -> str:
    """What the engine said, in one line."""
    said = getattr(error, "explanation", None) or str(error)
    return " ".join(str(said).split())
