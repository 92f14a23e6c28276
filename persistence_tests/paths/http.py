"""Files through a server of the stack: the API that keeps them, or a proxy before it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from persistence_tests.duration import Duration
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.records import PathDeclared
from persistence_tests.paths.base import LiveReader, View, WritingPath
from persistence_tests.paths.http_bulk import read_plain
from persistence_tests.paths.http_reader import Reader
from persistence_tests.paths.origin import (
    AS_SENT,
    Address,
    NotConnected,
    fill,
    fits_request_line,
    placeholders,
)
from persistence_tests.paths.session import LoginPart, Session, placeholders_of
from persistence_tests.paths.trust import CertificateOf
from persistence_tests.paths.uploading import Uploading

if TYPE_CHECKING:
    from persistence_tests.model.operation import OperationKind
    from persistence_tests.paths.request import RequestTemplate
    from persistence_tests.stack.stack import Stack

_READERS = 8
_POLL = 0.05
_NAMES_A_READER = 8
_BULK = 16  # names; fewer are not worth two ways to read them


class HttpConfig(BaseModel):
    """A published port of a service, and the URL under which it serves the files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service that is asked.")
    port: int = Field(ge=1, le=65535, description="The port inside the container; it must be published.")
    url: str = Field(
        description='Where a file is served, such as "/media-files/{name}". The name is percent-encoded, '
        "its slashes are kept."
    )
    scheme: Literal["http", "https"] = Field(default="http", description="What the port speaks.")
    host: str | None = Field(
        default=None, description="The Host header, and the name that a certificate must bear."
    )
    ca: str | CertificateOf | None = Field(
        default=None,
        description="PEM file of the certificate's authority, relative to the project directory; or a certificate that "
        "the stack makes, read from the container of a service.",
        examples=["tls/ca.pem", {"service": "proxy", "file": "/etc/nginx/tls/fullchain.pem"}],
    )
    headers: dict[str, str] | None = Field(
        default=None,
        description=(
            "Headers sent with every request; `{token}` stands for what the login took, `${NAME}` for a variable "
            "of `stack.env` or of the environment."
        ),
        examples=[{"Authorization": "Bearer {token}"}],
    )
    login: tuple[LoginPart, ...] = Field(
        default=(),
        description=(
            "The requests that log in, one after the other; their cookies are sent with all that follow. Made before "
            "the first request, before the writes of each step, and anew once a session that had been good is refused "
            "with 401 or 403."
        ),
    )
    within: Duration = Field(
        default=5.0,
        description="How long a read that is not yet right is tried again.",
        validate_default=True,
    )
    atomic: bool = Field(
        default=True,
        description="Whether a write shows either the old state or the new one, nothing between.",
    )
    title: str | None = Field(default=None, description="What reports call this path.")

    @field_validator("url")
    @classmethod
    def _names_the_file(cls, url: str) -> str:
        if not url.startswith("/") or placeholders(url) != {"name"}:
            raise ValueError('must begin with "/" and contain "{name}", and no other placeholder')
        if not fits_request_line(url):
            raise ValueError(AS_SENT)
        return url

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        for name, value in (headers or {}).items():
            if not name.isascii() or any(ord(c) <= 32 or c == ":" for c in name) or not name:
                raise ValueError(f"{name!r} is no header name")
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name} has a line break in its value")
        return headers

    @model_validator(mode="after")
    def _takes_what_it_needs(self) -> Self:
        taken: set[str] = set()
        for step in self.login:
            if unknown := sorted(step.placeholders - taken):
                raise ValueError(f"nothing before `{step.request}` takes {{{unknown[0]}}}")
            taken |= step.take.keys()
        unknown = sorted(placeholders_of(self.headers or {}) - taken)
        if unknown:
            raise ValueError(f"no `take` of the login is called {{{unknown[0]}}}, which a header needs")
        return self


class HttpPath:
    """Reads over a few connections that each pass makes anew; writes through `writer`."""

    def __init__(self, name: str, config: HttpConfig, stack: Stack) -> None:
        self._config = config
        self._origin = Session(stack, config)
        detail = {"service": config.service, "port": str(config.port), "scheme": config.scheme,
                  "url": config.url, "host": config.host, "title": config.title}  # fmt: skip
        self.declared = PathDeclared(
            name,
            kind="http",
            stored=False,
            lists=False,
            while_down=False,
            root=config.url.partition("{name}")[0],
            detail={key: value for key, value in detail.items() if value},
        )
        self.within = config.within
        self.atomic = config.atomic

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        """Ask for each name with GET. 404 and 410 show absence, any 2xx a file; all else is an ERROR."""
        if not names:
            return View({}, "http")
        try:
            address = self._origin.address()
            seen = self._look(address, names)
            for each in seen.values():
                self._origin.heard(each.status)
            if self._origin.expired:
                seen |= self._look(address, [name for name in seen if seen[name].kind is NodeKind.ERROR])
        except NotConnected as error:
            seen = dict.fromkeys(names, Observation(NodeKind.ERROR, error=str(error)))
        if into is None:
            return View(seen, "http")
        into.update(seen)
        return View(into, "http")

    def _look(self, address: Address, names: Sequence[str]) -> dict[str, Observation]:
        """Each name once. Raises NotConnected where no login comes about."""
        self._origin.headers(address)
        asked = {name: self._target(name) for name in names}
        seen: dict[str, Observation] = {}
        if len(asked) >= _BULK and self._config.scheme == "http":
            seen = read_plain(self._origin, address, asked, _readers(len(asked)))
        self._read_one_by_one(address, {name: asked[name] for name in asked if name not in seen}, seen)
        return {name: seen[name] for name in asked}

    def _read_one_by_one(
        self, address: Address, targets: dict[str, str], seen: dict[str, Observation]
    ) -> None:
        waiting, lock = iter(targets.items()), threading.Lock()

        def work() -> None:
            with Reader(self._origin, address) as reader:
                while True:
                    with lock:
                        name, target = next(waiting, ("", ""))
                    if not target:
                        return
                    seen[name] = reader.observe(target)

        readers = _readers(len(targets))
        if readers == 1:
            work()
        elif readers > 1:
            with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
                for done in [pool.submit(work) for _ in range(readers)]:
                    done.result()

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a 2xx answer, as far as they came."""
        try:
            with Reader(self._origin, self._origin.address()) as reader:
                return reader.read(self._target(name), limit)
        except NotConnected:
            return b""

    def probe_absence(self, name: str) -> tuple[bool, str]:
        """Whether a name never written is answered with 404 or 410, and the answer in words.

        A server that is not up yet (no answer, 5xx) is asked again until the path's time is over.
        """
        from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

        def last(state: RetryCallState) -> Observation:
            found: Observation = state.outcome.result() if state.outcome else Observation(NodeKind.ERROR)
            return found

        seen = Retrying(
            stop=stop_after_delay(self.within),
            wait=wait_fixed(_POLL),
            retry=retry_if_result(lambda each: each.kind is NodeKind.ERROR and (each.status or 500) >= 500),
            retry_error_callback=last,
        )(lambda: self.observe([name]).observations[name])
        if seen.kind is NodeKind.ABSENT:
            return True, f"{seen.status}"
        if seen.kind is NodeKind.FILE:
            return False, f"{seen.status} with {seen.size} bytes of {seen.content_type or 'no content type'}"
        return False, seen.error or f"{seen.status}"

    def ask(self, url: str) -> str | None:
        """Ask the server for `url` with GET, without a login: None for a 2xx, else the answer in words."""
        try:
            address = self._origin.address()
            connection = self._origin.connect(address)
        except NotConnected as error:
            return str(error)
        try:
            connection.putrequest("GET", url, skip_host=True, skip_accept_encoding=True)
            for name, value in self._origin.headers_without_login(address).items():
                connection.putheader(name, value.encode())
            connection.endheaders()
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"{url}: {str(error) or type(error).__name__}"
        finally:
            connection.close()
        return None if 200 <= status < 300 else f"{url}: HTTP {status}"

    def forget_login(self) -> None:
        """Log in again before the next request: an event, or a stack made anew, may know of no session."""
        self._origin.forget()

    def live_reader(self, received: Callable[[int], None]) -> LiveReader:
        """A reader that goes on while an event is applied; `received` is told of the bytes that come."""
        from persistence_tests.paths.live import LiveHttpReader

        return LiveHttpReader(self._origin, self._target, received, logs_in=bool(self._config.login))

    def writer(
        self,
        requests: Mapping[OperationKind, RequestTemplate],
        writers: int = 4,
        uploading: Uploading | None = None,
    ) -> WritingPath:
        """A writer that sends for each operation the request of its kind, from so many threads."""
        from persistence_tests.paths.upload import HttpWriter

        return HttpWriter(self._origin, requests, writers, uploading or Uploading())

    def close(self) -> None:
        """Nothing is kept open between passes."""

    def _target(self, name: str) -> str:
        return fill(self._config.url, {"name": name})


def _readers(names: int) -> int:
    return min(_READERS, -(-names // _NAMES_A_READER))
