"""Reads many files over a few HTTP connections in one thread: plain answers only, whatever else is left to `Reader`.

A plain answer comes over HTTP/1.1 with its length, neither encoded nor in pieces nor a redirect, and leaves its
connection open. A server has hardly any other for a file, and to take these apart needs a tenth of the time that
`http.client` takes for all that an answer may be. The first that is not plain ends its connection, and its name is
asked for again by a `Reader`, which knows how to say what is wrong. One request at a time on a connection.
"""

from __future__ import annotations

import hashlib
import re
import selectors
import socket
from collections.abc import Iterable, Iterator, Mapping

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.origin import ANSWERING, GONE, NotConnected, Origin, fits_request_line

_BUFFER = 1 << 18
_LONGEST_HEAD = 1 << 16
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)[ \r]")
_FIELD = re.compile(
    rb"\r\n(content-length|content-type|content-encoding|transfer-encoding|connection):[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)",
    re.IGNORECASE,
)
_BODILESS = (204, 205, 304)


class _NotPlain(Exception):
    """Of this answer a Reader must say what it is."""


def read_plain(
    origin: Origin, address: tuple[str, int], targets: Mapping[str, str], connections: int
) -> dict[str, Observation]:
    """What `targets` (names with their request targets) show, as far as the answers were plain."""
    return _Bulk(origin, address, targets.items()).read(connections)


class _Bulk:
    def __init__(self, origin: Origin, address: tuple[str, int], targets: Iterable[tuple[str, str]]) -> None:
        self._origin, self._address = origin, address
        self._waiting = iter(targets)
        fields = "".join(f"{name}: {value}\r\n" for name, value in origin.headers(address).items())
        self._rest = f" HTTP/1.1\r\n{fields}\r\n".encode()
        self._seen: dict[str, Observation] = {}
        self._buffer = memoryview(bytearray(_BUFFER))

    def read(self, connections: int) -> dict[str, Observation]:
        with selectors.DefaultSelector() as selector:
            lanes = list(self._open(connections))
            try:
                for lane in lanes:
                    if self._go_on(lane):
                        selector.register(lane.socket, selectors.EVENT_READ, lane)
                while selector.get_map():
                    ready = selector.select(ANSWERING)
                    if not ready:
                        break
                    for key, _ in ready:
                        if not self._receive(key.data):
                            selector.unregister(key.fileobj)
            finally:
                for lane in lanes:
                    lane.socket.close()
        return self._seen

    def _open(self, connections: int) -> Iterator[_Lane]:
        for _ in range(connections):
            try:
                connection = self._origin.connect(self._address)
            except NotConnected:
                return
            connection.sock.setblocking(False)
            yield _Lane(connection.sock)

    def _receive(self, lane: _Lane) -> bool:
        """Take what has come; whether the connection goes on."""
        try:
            count = lane.socket.recv_into(self._buffer)
            if count == 0:
                return False
            found = lane.take(self._buffer[:count])
        except (_NotPlain, OSError):
            return False
        if found is None:
            return True
        self._seen[lane.name] = found
        return self._go_on(lane)

    def _go_on(self, lane: _Lane) -> bool:
        lane.name, target = next(self._waiting, ("", ""))
        if not target:
            return False
        request = b"GET " + target.encode("ascii", "replace") + self._rest
        try:
            # A target that is no target is for a Reader to refuse.
            return fits_request_line(target) and lane.socket.send(request) == len(request)
        except OSError:
            return False


def _end_of_head(content: bytes) -> int | None:
    """Where the body begins; None before the head is whole."""
    end = content.find(b"\r\n\r\n")
    # The expression says the same of any head, and takes a fifth of the time of all that is done to an answer.
    if end >= 0 and content.count(b"\n", 0, end) == content.count(b"\r\n", 0, end):
        return end + 4
    found = _END_OF_HEAD.search(content)
    return found.end() if found else None


class _Lane:
    """One connection, and how much of the answer to `name` it has brought."""

    __slots__ = ("_content_type", "_digest", "_head", "_left", "_size", "_status", "name", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.name = ""
        self._head = b""
        self._left = -1  # bytes of the body; -1 before the head is whole
        self._size = 0
        self._status = 0
        self._content_type: str | None = None
        self._digest = hashlib.sha256()

    def take(self, content: memoryview) -> Observation | None:
        """The observation once the answer is whole. Raises _NotPlain."""
        if self._left < 0:
            head = self._head + content
            end = _end_of_head(head)
            if end is None:
                if len(head) > _LONGEST_HEAD:
                    raise _NotPlain
                self._head = bytes(head)
                return None
            self._head = b""
            self._begin(head[:end])
            content = memoryview(head)[end:]
        if len(content) > self._left:
            raise _NotPlain
        self._digest.update(content)
        self._left -= len(content)
        return self._whole() if self._left == 0 else None

    def _begin(self, head: bytes) -> None:
        status = _STATUS.match(head)
        fields: dict[bytes, bytes] = {}
        for name, value in _FIELD.findall(head):
            if fields.setdefault(name.lower(), value) != value:
                raise _NotPlain
        length = fields.get(b"content-length", b"")
        plain = (
            status is not None
            and length.isdigit()
            and b"transfer-encoding" not in fields
            and fields.get(b"content-encoding", b"identity").lower() == b"identity"
            and fields.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and fields.get(b"content-type", b"").isascii()
            and head.endswith(b"\r\n\r\n")
            and b"\r\n " not in head
            and b"\r\n\t" not in head
        )
        if status is None or not plain:
            raise _NotPlain
        self._status = int(status[1])
        if 300 <= self._status < 400 or self._status in _BODILESS:
            raise _NotPlain
        content_type = fields.get(b"content-type")
        self._content_type = None if content_type is None else content_type.decode("ascii")
        self._size = self._left = int(length)
        self._digest = hashlib.sha256()

    def _whole(self) -> Observation:
        self._left = -1
        status, content_type = self._status, self._content_type
        if status < 300:
            return Observation(
                NodeKind.FILE,
                size=self._size,
                sha256=self._digest.hexdigest(),
                status=status,
                content_type=content_type,
            )
        if status in GONE:
            return Observation(NodeKind.ABSENT, status=status, content_type=content_type)
        return Observation(NodeKind.ERROR, status=status, content_type=content_type, error=f"HTTP {status}")
