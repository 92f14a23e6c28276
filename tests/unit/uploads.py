"""Uploads to a server of this process, and what their journal says of them."""

from __future__ import annotations

import threading
from typing import Any

from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.answer import NameTaking
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.paths.uploading import Uploading
from tests.unit.scripted_server import OneServer, Server, path_of


class Journal:
    def __init__(self) -> None:
        self.ended: dict[int, tuple[str, str, str | None]] = {}

    def invoked(self, operation: Operation) -> None:
        assert operation.identity not in self.ended

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        assert operation not in self.ended
        self.ended[operation] = outcome.value, detail, name


def pending(identity: int, size: int = 10_000, **details: Any) -> PendingWrite:
    payload = Payload.make("run", identity, PayloadKind.BYTES, size)
    provisional = details.pop("provisional", False)
    operation = Operation(
        identity,
        OperationKind.CREATE,
        f"uploads/f {identity}",
        "api",
        0,
        Acknowledgement.HTTP_2XX,
        True,
        payload.spec,
        provisional=provisional,
    )
    return PendingWrite(operation, payload, **details)


def send(
    server: Server,
    *batch: PendingWrite,
    request: str = "PUT /files/{name}",
    multipart: str | None = None,
    stack: OneServer | None = None,
    config: dict[str, Any] | None = None,
    **uploading: Any,
) -> Journal:
    journal = Journal()
    path = path_of(stack or OneServer(server.port), **(config or {}))
    requests = {OperationKind.CREATE: RequestTemplate.parse(request, multipart)}
    path.writer(requests, 1, Uploading(**uploading)).write(batch, journal, threading.Event())
    return journal


def stored_as(**given: str) -> NameTaking:
    return NameTaking.model_validate(given)
