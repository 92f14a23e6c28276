"""One server of the stack: its address, and connections to it that do nothing behind our back.

`http.client` it is: it neither retries nor follows redirects, knows no proxy and no environment, and
connecting is a step of its own, so that "refused before anything was sent" is known and not guessed.
"""

from __future__ import annotations

import http.client
import os
import re
import select
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from persistence_tests.errors import EngineUnavailable, StackError
from persistence_tests.paths.trust import ServedCertificate, trusting

if TYPE_CHECKING:
    from persistence_tests.paths.http import HttpConfig
    from persistence_tests.stack.stack import Stack

_CONNECTING = 5.0
ANSWERING = 30.0
"""Seconds for which a connection may stay silent."""
GONE = (404, 410)
"""What says that a name is not there."""


Address = tuple[str, int]


class NotConnected(Exception):
    """No connection came about: nothing was sent."""


class Origin:
    """Where an HTTP path leads. The address is looked up for each connection: ports change on a restart."""

    def __init__(self, stack: Stack, config: HttpConfig) -> None:
        self._stack, self._config = stack, config
        self._tls: ssl.SSLContext | None = None
        self._served: ServedCertificate | None = None
        if config.scheme == "https":
            if isinstance(config.ca, str | None):
                self._tls = trusting(stack.workspace / config.ca if config.ca else None)
            else:
                self._served = ServedCertificate(stack, config.ca)

    @property
    def is_tls(self) -> bool:
        return self._config.scheme == "https"

    def address(self) -> Address:
        """Raises NotConnected where the port is not published now, or no certificate to trust can be read."""
        try:
            host, port = self._stack.address(self._config.service, self._config.port)
            if self._served is not None:
                self._tls = self._served.context()
        except (StackError, EngineUnavailable) as error:
            raise NotConnected(error.what) from error
        return str(host), int(port)

    def connect(self, address: Address) -> http.client.HTTPConnection:
        """A connection that stands; NotConnected with the reason where none does."""
        connection = _Connection(address, self._tls, self._config.host)
        try:
            connection.connect()
        except (OSError, ValueError) as error:
            connection.close()
            raise NotConnected(f"{address[0]}:{address[1]}: {error}") from error
        return connection

    def headers(self, address: Address) -> dict[str, str]:
        """Those of every request to any server."""
        host = self._config.host or f"{address[0]}:{address[1]}"
        return {"Host": host, "Accept": "*/*", "Accept-Encoding": "identity"}

    def redirected(self, address: Address, target: str, location: str | None) -> str | None:
        """The request target that a redirect leads to, None where it leads off this very server."""
        if not location:
            return None
        scheme = self._config.scheme
        default = 443 if scheme == "https" else 80
        hosts = [f"{address[0]}:{address[1]}", self._config.host or ""]
        for host in filter(None, hosts):
            leads = urlsplit(urljoin(f"{scheme}://{host}{target}", location))
            here = urlsplit(f"{scheme}://{host}")
            try:
                same = (leads.hostname, leads.port or default) == (here.hostname, here.port or default)
            except ValueError:
                return None
            if leads.scheme == scheme and same:
                query = f"?{leads.query}" if leads.query else ""
                return quote((leads.path or "/") + query, safe="/?%:@!$&'()*+,;=~")
        return None


class _Connection(http.client.HTTPConnection):
    # Must never connect by itself: a request on a connection that is gone is an error, not a second try.
    auto_open = 0

    def __init__(self, address: Address, tls: ssl.SSLContext | None, host: str | None) -> None:
        super().__init__(*address)
        self._address, self._tls, self._name = address, tls, host

    def connect(self) -> None:
        plain = socket.create_connection(self._address, _CONNECTING)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = plain
        if self._tls is not None:
            name = (self._name or self._address[0]).rsplit(":", 1)[0]
            self.sock = self._tls.wrap_socket(plain, server_hostname=name)
        self.sock.settimeout(ANSWERING)


def is_stale(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed a connection that waits: what can be read from it is its end."""
    return connection.sock is None or bool(select.select([connection.sock], [], [], 0)[0])


_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """A URL template with its placeholders filled; each value percent-encoded but for its slashes."""
    return _PLACEHOLDER.sub(lambda found: quoted(values[found[1]]), template)


def placeholders(template: str) -> set[str]:
    return set(_PLACEHOLDER.findall(template))


AS_SENT = "must be as it is sent: anything but ASCII, and spaces, percent-encoded"
"""What to say of a URL that does not."""


def fits_request_line(text: str) -> bool:
    """Whether a request line can carry this as it stands: ASCII, neither spaces nor control characters."""
    return text.isascii() and text.isprintable() and " " not in text


def quoted(name: str) -> str:
    """A name as it stands in the path of a URL."""
    return quote(os.fsencode(name), safe="/")
