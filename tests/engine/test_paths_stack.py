"""The paths over a real stack, as a run uses them."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import pytest

from persistence_tests.model.operation import Acknowledgement, Operation, OperationKind, Outcome, PayloadKind
from persistence_tests.model.payload import Payload
from persistence_tests.paths import kind
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.direct import DirectPath
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack

COMPOSE = """
services:
  api:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    volumes:
      - files:/data/files
      - ./bound:/data/bound
volumes:
  files:
"""


class Journal:
    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}

    def invoked(self, operation: Operation) -> None:
        self.outcomes[operation.identity] = Outcome.INFO

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        self.outcomes[operation] = outcome


def payloads(path: str) -> list[PendingWrite]:
    batch = []
    for identity, name in enumerate(("plain.bin", "with space.bin", "é.bin"), 1):
        payload = Payload.make("run", identity, PayloadKind.BYTES, identity * 4000)
        operation = Operation(
            identity, OperationKind.CREATE, name, path, 0, Acknowledgement.EXIT_0, False, payload.spec
        )
        batch.append(PendingWrite(operation, payload))
    return batch


def test_a_stack_is_written_and_read_up_and_down(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "bound").mkdir()
    engine = Engine.connect()
    stack = Stack.prepare(
        StackSpec(compose=(tmp_path / "compose.yaml",)), engine, uuid.uuid4().hex[:8], "paths"
    )
    try:
        stack.start()
        files = kind("volume").open("volume", kind("volume").config(volume="files"), stack)
        bound = kind("volume").open("bound", kind("volume").config(bind="./bound"), stack)
        names = [pending.operation.name for pending in payloads("direct")]
        for stored, root in ((bound, "/data/bound"), (files, "/data/files")):
            direct = kind("direct").open("direct", kind("direct").config(service="api", root=root), stack)
            assert isinstance(direct, DirectPath)
            batch, journal = payloads("direct"), Journal()
            direct.writer().write(batch, journal, threading.Event())

            assert set(journal.outcomes.values()) == {Outcome.OK}
            sent = {p.operation.name: p.operation.payload.sha256 for p in batch if p.operation.payload}
            seen = direct.observe([*names, "none"])
            assert {name: seen.observations[name].sha256 for name in names} == sent
            assert stored.observe([*names, "none"]).observations == seen.observations

        options = {"service": "api", "root": "/data/files", "under": "own/part", "user": "www-data"}
        below = kind("direct").open("direct", kind("direct").config(**options), stack)
        assert isinstance(below, DirectPath)
        below.writer().write(payloads("direct"), refused := Journal(), threading.Event())
        assert set(refused.outcomes.values()) == {Outcome.FAIL}  # the volume is root's
        assert below.observe(()).observations == {}
        stack.compose.run("exec", "-T", "api", "chmod", "777", "/data/files")
        below.writer().write(payloads("direct"), journal := Journal(), threading.Event())
        assert set(journal.outcomes.values()) == {Outcome.OK}
        seen = below.observe(())
        assert seen.method == "exec as www-data"
        assert {name: each.owner for name, each in seen.observations.items()} == dict.fromkeys(names, "33:33")
        under = kind("volume").open("volume", kind("volume").config(volume="files", under="own/part"), stack)
        assert under.observe(()).observations == seen.observations

        before = files.observe(names)
        stack.down()
        down = files.observe(names)
        assert (down.observations, down.directories) == (before.observations, before.directories)
        assert (before.method, down.method) == ("where a container has it mounted", "archive API")
        direct = kind("direct").open(
            "direct", kind("direct").config(service="api", root="/data/files"), stack
        )
        assert direct.observe(names).problem == "the service api has no container"
        stack.down("--volumes")
        assert {seen.kind.value for seen in files.observe(names).observations.values()} == {"absent"}
    finally:
        stack.close()
        engine.close()


@pytest.mark.parametrize("missing", [{"volume": "none"}, {"bind": "./none"}])
def test_a_source_that_the_stack_does_not_have_is_a_problem(tmp_path: Path, missing: dict[str, str]) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "bound").mkdir()
    engine = Engine.connect()
    stack = Stack.prepare(
        StackSpec(compose=(tmp_path / "compose.yaml",)), engine, uuid.uuid4().hex[:8], "paths"
    )
    try:
        path = kind("volume").open("volume", kind("volume").config(**missing), stack)
        view = path.observe(["a"])
        assert view.observations == {}
        assert "none" in (view.problem or "")
    finally:
        stack.close()
        engine.close()
