"""Takes away what reaches the engine: Compose, the stack's commands, signals and the engine's API answer
success and do nothing. Whoever calls them cannot tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from docker.api.client import APIClient
from requests import Response

from persistence_tests.run.event_step import EventStep
from persistence_tests.stack.compose import Compose
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.stack import Stack

READING = frozenset({"config", "images", "logs", "ls", "port", "ps", "top", "version", "volumes"})
SUCCESS = CommandResult("", "", 0)

Call = tuple[str, ...]
Real = Callable[..., Any]


class Seam:
    """While `watching`, every call of the watching thread that would change something is noted in `calls`.

    Those for which `lost(position, call)` holds do nothing; `position` counts the calls from 0.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lost: Callable[[int, Call], bool]) -> None:
        self.calls: list[Call] = []
        self._lost = lost
        self._thread: int | None = None
        self._replace(monkeypatch, Compose, "run", self._compose)
        self._replace(monkeypatch, Stack, "command", self._command)
        self._replace(monkeypatch, Stack, "signal_main_process", self._signal)
        for interlude in ("checkpoint", "look"):
            self._replace(monkeypatch, EventStep, interlude, self._interlude)
        for method in ("_post", "_put", "_delete"):
            self._replace(monkeypatch, APIClient, method, self._request(method.strip("_")))

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._thread = threading.get_ident()
        try:
            yield
        finally:
            self._thread = None

    @contextmanager
    def _not_watching(self) -> Iterator[None]:
        before, self._thread = self._thread, None
        try:
            yield
        finally:
            self._thread = before

    def _replace(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, instead: Real) -> None:
        real = getattr(owner, name)

        def call(owner: Any, *arguments: Any, **options: Any) -> Any:
            if self._thread != threading.get_ident():
                return real(owner, *arguments, **options)
            return instead(real, owner, *arguments, **options)

        monkeypatch.setattr(owner, name, call)

    def _done(self, call: Call, answer: Any, real: Callable[[], Any]) -> Any:
        """The call for real, whole: what it calls in its turn is not noted again."""
        self.calls.append(call)
        if self._lost(len(self.calls) - 1, call):
            return answer
        with self._not_watching():
            return real()

    def _compose(self, real: Real, compose: Compose, *arguments: str, **options: Any) -> Any:
        if arguments[0] in READING:
            return real(compose, *arguments, **options)
        return self._done(("compose", *arguments), SUCCESS, lambda: real(compose, *arguments, **options))

    def _command(self, real: Real, stack: Stack, line: str, *arguments: Any, **options: Any) -> Any:
        return self._done(("command", line), SUCCESS, lambda: real(stack, line, *arguments, **options))

    def _signal(self, real: Real, stack: Stack, container: Any, signal: str) -> None:
        call = ("signal", signal, str(container.name))
        self._done(call, None, lambda: real(stack, container, signal))

    def _interlude(self, real: Real, step: EventStep) -> None:
        with self._not_watching():  # what is written and looked at is no part of what the event does
            real(step)

    def _request(self, method: str) -> Real:
        def request(real: Real, client: APIClient, url: str, *arguments: Any, **options: Any) -> Any:
            call = ("api", method, url.rpartition("/v")[2].partition("/")[2])
            return self._done(call, _accepted(), lambda: real(client, url, *arguments, **options))

        return request


def _accepted() -> Response:
    response = Response()
    response.status_code = 200
    response._content = json.dumps({"Id": "0" * 64, "StatusCode": 0, "Warnings": []}).encode()
    return response
