"""Reads files over one HTTP connection: what came, hashed as it comes, or why nothing did."""

from __future__ import annotations

import hashlib
import http.client
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.origin import GONE, NotConnected, Origin

_REDIRECTS = 5
_CHUNK = 1 << 18


class Reader:
    """One keep-alive connection; opened again where the server closed it.

    `framed`: the last file came with its length, or in chunks.
    """

    def __init__(
        self,
        origin: Origin,
        address: tuple[str, int],
        received: Callable[[int], None] = lambda size: None,  # noqa: ARG005
    ) -> None:
        """`received` is told of every few bytes of a file that have come."""
        self._origin, self._address, self._received = origin, address, received
        self.framed = False
        self._headers = origin.headers(address)
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._drop()

    def observe(self, target: str) -> Observation:
        try:
            answer = self._get(target)
        except NotConnected as error:
            return Observation(NodeKind.ERROR, error=str(error))
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            return Observation(NodeKind.ERROR, error=f"no answer: {_words(error)}")
        status, content_type = answer.status, answer.headers.get("Content-Type")
        if 200 <= status < 300:
            return self._content(answer, status, content_type)
        said = f"HTTP {status}" + (f" to {answer.headers.get('Location')}" if 300 <= status < 400 else "")
        self._skip(answer)
        if status in GONE:
            return Observation(NodeKind.ABSENT, status=status, content_type=content_type)
        return Observation(NodeKind.ERROR, status=status, content_type=content_type, error=said)

    def read(self, target: str, limit: int) -> bytes:
        content = bytearray()
        try:
            answer = self._get(target)
            if 200 <= answer.status < 300:
                for chunk in _decoded(answer):
                    content += chunk
                    if len(content) >= limit:
                        break
        except (NotConnected, OSError, http.client.HTTPException, zlib.error):
            pass
        self._drop()
        return bytes(content[:limit])

    def _content(
        self, answer: http.client.HTTPResponse, status: int, content_type: str | None
    ) -> Observation:
        digest, size, error = hashlib.sha256(), 0, None
        # Else a server that ends in the middle of its answer cannot be told from one that has said all.
        self.framed = answer.chunked or answer.length is not None
        try:
            for chunk in _decoded(answer):
                digest.update(chunk)
                size += len(chunk)
                self._received(len(chunk))
        except (OSError, http.client.HTTPException, zlib.error) as broken:
            error = f"the body broke off after {size} bytes: {_words(broken)}"
            self._drop()
        return Observation(
            NodeKind.ERROR if error else NodeKind.FILE,
            size=size,
            sha256=digest.hexdigest(),
            status=status,
            content_type=content_type,
            error=error,
        )

    def _get(self, target: str) -> http.client.HTTPResponse:
        """The answer, after redirects within this server. Its body must be read or the connection dropped."""
        for _ in range(_REDIRECTS):
            answer = self._ask(target)
            if not 300 <= answer.status < 400:
                return answer
            onward = self._origin.redirected(self._address, target, answer.headers.get("Location"))
            if onward is None:
                return answer
            self._skip(answer)
            target = onward
        return self._ask(target)

    def _ask(self, target: str) -> http.client.HTTPResponse:
        if self._connection is not None:
            try:
                return self._request(self._connection, target)
            except (ConnectionError, http.client.RemoteDisconnected, http.client.NotConnected):
                # A server may close a connection that waits at any moment; reading again changes nothing.
                self._drop()
        self._connection = self._origin.connect(self._address)
        return self._request(self._connection, target)

    def _request(self, connection: http.client.HTTPConnection, target: str) -> http.client.HTTPResponse:
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        answer = connection.getresponse()
        if connection.sock is None:  # the server announced that it will close it
            self._connection = None
        return answer

    def _skip(self, answer: http.client.HTTPResponse) -> None:
        try:
            if len(answer.read(_CHUNK)) < _CHUNK and answer.isclosed():
                return
        except (OSError, http.client.HTTPException):
            pass
        self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _decoded(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body, decoded where the server compresses although it was asked not to.

    Raises HTTPException where the body is not whole.
    """
    coding = (answer.headers.get("Content-Encoding") or "identity").strip().lower()
    if coding == "identity":
        yield from _body(answer)
    elif coding in ("gzip", "x-gzip", "deflate"):
        decoder: Any = zlib.decompressobj(zlib.MAX_WBITS | 32)
        for chunk in _body(answer):
            yield decoder.decompress(chunk)
        yield decoder.flush()
        if not decoder.eof:
            raise http.client.HTTPException(f"the {coding} data ends early")
    else:
        raise http.client.HTTPException(f"unknown content encoding {coding}")


def _body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    expected, received = answer.length, 0
    try:
        while chunk := answer.read(_CHUNK):
            received += len(chunk)
            yield chunk
    except http.client.IncompleteRead as broken:
        yield broken.partial
        raise
    if expected is not None and received < expected:
        raise http.client.HTTPException(f"{received} bytes came of {expected}")


def _words(error: BaseException) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the last chunk is not whole"
    return str(error) or type(error).__name__
