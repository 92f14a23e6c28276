"""What the requests of a path bear besides their own: headers, and after a login its cookies and tokens.

A login is made before the first request that needs it, before the writes of each step, and anew, once, after a request
of a session that had been good was refused with 401 or 403. What was refused is not sent again, unless it only reads.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from persistence_tests.errors import UsageError
from persistence_tests.paths.answer import LONGEST, Answer, Taking
from persistence_tests.paths.origin import (
    AS_SENT,
    Address,
    NotConnected,
    Origin,
    fits_request_line,
    placeholders,
    quoted,
)

if TYPE_CHECKING:
    from persistence_tests.paths.http import HttpConfig
    from persistence_tests.stack.stack import Stack

REFUSED = (401, 403)
_BETWEEN_FAILURES = 0.5
_METHODS = ("GET", "POST", "PUT", "PATCH")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SECRET_HEADER = re.compile(r"authorization|cookie|token|key|secret|pass", re.IGNORECASE)


class LoginFailed(NotConnected):
    """No login came about: what was to be sent after it was not sent."""


class LoginPart(BaseModel):
    """One request of a login, and what is taken from its answer for those that follow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request: str = Field(description="Method and path.", examples=["GET /login", "POST /login"])
    form: dict[str, str] | None = Field(
        default=None,
        description=(
            "The fields of a form. `{token}` stands for what was taken before, `${NAME}` for a variable of "
            "`stack.env` or of the environment."
        ),
        examples=[{"username": "admin", "password": "${ADMIN_PASSWORD}", "csrf": "{csrf}"}],
    )
    json_body: dict[str, Any] | None = Field(
        default=None,
        alias="json",
        description="A JSON object in place of a form; its texts are filled in alike.",
    )
    headers: dict[str, str] = Field(default={}, description="Headers of this request; filled in alike.")
    take: dict[str, Taking] = Field(
        default={},
        description="What is taken from the answer: a name for it, and where it stands.",
        examples=[{"token": {"json": "access_token"}}],
    )

    @field_validator("request")
    @classmethod
    def _is_one(cls, request: str) -> str:
        method, _, url = request.partition(" ")
        if method not in _METHODS or not url.startswith("/"):
            raise ValueError('must be a method and a path, such as "POST /login"')
        if not fits_request_line(url):
            raise ValueError(AS_SENT)
        return request

    @property
    def placeholders(self) -> set[str]:
        return placeholders_of([self.request, self.headers, self.form, self.json_body])


class Session(Origin):
    """A server that one logs in to. Thread-safe."""

    def __init__(self, stack: Stack, config: HttpConfig) -> None:
        """Raises UsageError where a variable is not set."""
        super().__init__(stack, config)
        self._login, self._secrets, self._environment = config.login, stack.secrets, stack.spec.env
        self._known: set[str] = set()
        self._own = {name.title(): self._variables(value) for name, value in (config.headers or {}).items()}
        self._secrets.add(*(value for name, value in self._own.items() if _SECRET_HEADER.search(name)))
        for step in config.login:
            self._secrets.add(*map(self._variables, _texts([step.form, step.json_body])))
            self.check(step.headers)
        self._lock = threading.Lock()
        self._values: dict[str, str] | None = None if config.login else {}
        self._cookies: dict[str, str] = {}
        self._good = False
        self._failure: tuple[float, str] | None = None

    def headers(self, address: Address) -> dict[str, str]:
        """Those of every request; the scenario's own win, whatever their case. Raises LoginFailed."""
        with self._lock:
            values = self._logged_in(address)
            headers = self._from_this_site(address) | self._cookie()
            return headers | {name: filled(value, values) for name, value in self._own.items()}

    def check(self, texts: Any) -> None:
        """Raises UsageError where a variable in these texts is not set."""
        for text in _texts(texts):
            self._variables(text)

    def fill(self, address: Address, texts: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
        """Texts of the scenario with its variables, what the login took and what is `known`. Raises LoginFailed."""
        with self._lock:
            values = {**self._logged_in(address), **known}
            return {name: filled(self._variables(text), values) for name, text in texts.items()}

    def target(self, address: Address, url: str, known: Mapping[str, str]) -> str:
        """A URL filled likewise, percent-encoded but for what it begins with. Raises LoginFailed."""
        with self._lock:
            values = {**self._logged_in(address), **known}
        begins = _PLACEHOLDER.match(url)
        start = values.get(begins[1], "") if begins else ""
        rest = url[begins.end() :] if begins else url
        return start + _PLACEHOLDER.sub(lambda found: quoted(values.get(found[1], found[0])), rest)

    def headers_without_login(self, address: Address) -> dict[str, str]:
        own = {name: value for name, value in self._own.items() if not placeholders_of([value])}
        return super().headers(address) | own

    def redirected(self, address: Address, target: str, location: str | None) -> str | None:
        """As of any server; None where it leads to the login, which is no file."""
        if self.leads_to_login(address, target, location):
            return None
        return super().redirected(address, target, location)

    def leads_to_login(self, address: Address, target: str, location: str | None) -> bool:
        """Whether a redirect does; that is a refusal."""
        onward = super().redirected(address, target, location) or ""
        logins = {step.request.split(" ", 1)[1].partition("?")[0] for step in self._login}
        if onward.partition("?")[0] not in logins:
            return False
        self._refused()
        return True

    def heard(self, status: int | None, *, to_login: bool = True) -> None:
        """The status of an answer to a request that bore this session's headers; a redirect may lead to the login."""
        if status in REFUSED:
            self._refused()
        elif status is not None and not (300 <= status < 400 and to_login):
            self._good = True

    @property
    def expired(self) -> bool:
        """Whether the next request logs in first, though one had been made."""
        return bool(self._login) and self._values is None

    def forget(self) -> None:
        """The next request logs in first."""
        with self._lock:
            if self._login:
                self._values, self._good, self._failure = None, False, None

    def _refused(self) -> None:
        with self._lock:
            if self._login and self._good:
                self._values, self._good = None, False

    def _logged_in(self, address: Address) -> dict[str, str]:
        if self._values is None:
            if self._failure and time.monotonic() - self._failure[0] < _BETWEEN_FAILURES:
                raise LoginFailed(self._failure[1])
            try:
                self._values, self._good, self._failure = self._log_in(address), False, None
            except (NotConnected, OSError, http.client.HTTPException) as error:
                said = (
                    str(error)
                    if isinstance(error, LoginFailed)
                    else f"login: {str(error) or type(error).__name__}"
                )
                self._failure = time.monotonic(), said
                raise LoginFailed(said) from error
        return self._values

    def _log_in(self, address: Address) -> dict[str, str]:
        self._cookies, values = {}, dict[str, str]()
        for step in self._login:
            answer = self._ask(address, step, values)
            if not 200 <= answer.status < 400:
                raise LoginFailed(f"login: {step.request} was answered {answer.status}")
            self._cookies |= {name: value for name, value in answer.cookies.items() if value}
            for name in [name for name, value in answer.cookies.items() if not value]:
                self._cookies.pop(name, None)
            for name, taking in step.take.items():
                taken = taking.of(answer)
                if taken is None:
                    raise LoginFailed(f"login: the answer to {step.request} has no {taking}")
                values[name] = taken
            self._secrets.add(*values.values(), *self._cookies.values())
        return values

    def _ask(self, address: Address, step: LoginPart, values: Mapping[str, str]) -> Answer:
        method, target = step.request.split(" ", 1)
        headers = self._from_this_site(address) | self._cookie()
        headers |= {
            name: text for name, text in self._own.items() if not placeholders_of([text]) - values.keys()
        }
        headers |= {name.title(): self._variables(text) for name, text in step.headers.items()}
        body = None
        if step.form is not None:
            fields = {name: filled(self._variables(text), values) for name, text in step.form.items()}
            body = urlencode(fields).encode()
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        elif step.json_body is not None:
            body = json.dumps(self._filled_in(step.json_body, values)).encode()
            headers.setdefault("Content-Type", "application/json")
        if body is not None or method != "GET":
            headers["Content-Length"] = str(len(body or b""))
        connection = self.connect(address)
        try:
            target = _PLACEHOLDER.sub(lambda found: quoted(values.get(found[1], found[0])), target)
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, text in headers.items():
                connection.putheader(name, filled(text, values).encode())
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read(LONGEST), cookies_of(answer.headers))
        finally:
            connection.close()

    def _from_this_site(self, address: Address) -> dict[str, str]:
        """Headers of every request; over TLS they say, as a browser's do, that the request comes from a page of the
        site: servers that guard forms against requests from elsewhere ask for it there."""
        headers = super().headers(address)
        return headers | ({"Referer": f"https://{headers['Host']}/"} if self.is_tls else {})

    def _cookie(self) -> dict[str, str]:
        pairs = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"Cookie": pairs} if pairs else {}

    def _filled_in(self, node: Any, values: Mapping[str, str]) -> Any:
        if isinstance(node, dict):
            return {key: self._filled_in(value, values) for key, value in node.items()}
        if isinstance(node, list):
            return [self._filled_in(value, values) for value in node]
        return filled(self._variables(node), values) if isinstance(node, str) else node

    def _variables(self, text: str) -> str:
        """The text with the values of its variables, which are secrets from now on."""

        def value(found: re.Match[str]) -> str:
            given = self._environment.get(found[1], os.environ.get(found[1]))
            if given is None:
                raise UsageError(
                    f"the variable {found[1]} is not set, and a login or header of the scenario needs it",
                    remedy=f"set {found[1]} in the environment, or under `env` of `stack`",
                )
            if found[1] not in self._known:
                self._known.add(found[1])
                self._secrets.add(given)
            return given

        return _VARIABLE.sub(value, text)


def placeholders_of(node: Any) -> set[str]:
    """The names in braces in every text of a mapping or list; those of variables are none."""
    return {found for text in _texts(node) for found in placeholders(_VARIABLE.sub("", text))}


def filled(template: str, values: Mapping[str, str]) -> str:
    """Braces around a name that is known are filled with its value as it stands; others stay."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def cookies_of(headers: http.client.HTTPMessage) -> dict[str, str]:
    """The cookies that an answer sets; one that it removes has no value."""
    cookies = {}
    for line in headers.get_all("Set-Cookie") or ():
        pair, *attributes = line.split(";")
        name, _, value = pair.strip().partition("=")
        cookies[name] = "" if any(map(_is_over, attributes)) else value.strip('"')
    return cookies


def _is_over(attribute: str) -> bool:
    name, _, value = attribute.strip().partition("=")
    try:
        if name.lower() == "max-age":
            return int(value) <= 0
        if name.lower() == "expires":
            return parsedate_to_datetime(value).timestamp() < time.time()
    except ValueError:
        pass
    return False


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _texts(item)
    elif isinstance(node, str):
        yield node
