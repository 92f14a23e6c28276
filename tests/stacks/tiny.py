"""Containers with one volume, for paths to write to and to look at."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from persistence_tests.errors import StackError
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    PayloadKind,
    PayloadSpec,
)
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.direct import DirectConfig, DirectPath
from persistence_tests.paths.volume import VolumeConfig, VolumePath
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.mounted import Mounted, found_mounted
from tests.stacks.journal import Bytes, Journal

IMAGE = "debian:bookworm-slim"
ROOT = "/data/files"

HOSTILE = [
    "plain.bin",
    "with space",
    "'single' \"double\"",
    "new\nline",
    "tab\tand\rreturn",
    "back\\slash",
    "100%",
    "a#b?c=d&e",
    "-dash",
    "--",
    "$(touch x) `id` ;",
    "\u00e9-composed",
    "e\u0301-decomposed",
    "日本語",
    "...",
    ".hidden",
    "x" * 255,
    "/".join(["deep"] * 60) + "/file",
    "/".join("n" * 200 for _ in range(12)) + "/long",
    b"not-utf8-\xff\xfe".decode(errors="surrogateescape"),
]


@dataclass
class TinyStack:
    """The attributes of Stack that paths use, over one container and one volume."""

    engine: Engine
    identity: SimpleNamespace
    workspace: Path
    prefix: str
    made: list[Any] = field(default_factory=list)
    ports: dict[str, tuple[str, int]] = field(default_factory=dict)
    looks_into_containers: bool = True
    """Whether a volume may be read where a container has it mounted."""

    def volume(self, key: str) -> str:
        return f"{self.prefix}_{key}"

    def bind(self, source: str) -> Path:
        return self.workspace / source

    def bind_source(self, source: str) -> Path:
        return self.bind(source)

    def holds(self, path: Path) -> bool:
        return path.exists()

    def mounted(self, volume: str) -> Mounted | None:
        if not self.looks_into_containers:
            return None
        labelled: dict[str, Any] = {"label": f"persistence-tests.run={self.prefix}"}
        return found_mounted(self.engine.client.containers.list(filters=labelled), volume)

    @contextmanager
    def opened(self, source: Any) -> Iterator[tuple[Any, str]]:
        with self.helper({"/persistence": source}) as container:
            yield container, "/persistence"

    def helper(self, mounts: Any, **options: Any) -> Any:
        return self.engine.helper(mounts, labels=self.identity.labels, **options)

    def containers(self, service: str | None = None) -> list[Any]:
        label: dict[str, Any] = {"label": f"tiny={self.prefix}-{service}"}
        found = self.engine.client.containers.list(all=True, filters=label)
        return sorted(found, key=lambda container: str(container.name))

    def address(self, service: str, port: int) -> tuple[str, int]:
        try:
            (container,) = self.containers(service)
            (published,) = container.ports[f"{port}/tcp"]
        except (ValueError, KeyError, TypeError):
            raise StackError(f"port {port} of {service} is not published") from None
        return "127.0.0.1", int(published["HostPort"])

    def run(self, service: str, *, image: str = IMAGE, number: int = 1, **options: Any) -> Any:
        options = {"command": ["sleep", "infinity"], "init": True, "network_mode": "none", **options}
        container = self.engine.client.containers.create(
            image,
            name=f"{self.prefix}-{service}-{number}",
            labels={**self.identity.labels, "tiny": f"{self.prefix}-{service}"},
            **options,
        )
        self.made.append(container)
        container.start()
        container.reload()
        return container


@contextmanager
def tiny(engine: Engine, directory: Path) -> Iterator[TinyStack]:
    """Without a container as yet; afterwards nothing of it is left."""
    prefix = f"pathstest{uuid.uuid4().hex[:10]}"
    labels = {"persistence-tests.run": prefix}
    stack = TinyStack(engine, SimpleNamespace(labels=labels), directory, prefix)
    volume = engine.client.volumes.create(stack.volume("files"), labels=stack.identity.labels)
    try:
        yield stack
    finally:
        for container in stack.made:
            container.remove(force=True, v=True)
        volume.remove(force=True)


def with_volume(stack: TinyStack, **options: Any) -> dict[str, Any]:
    return {"volumes": {stack.volume("files"): {"bind": ROOT, "mode": "rw"}}, **options}


def pending(
    identity: int,
    name: str,
    content: bytes | None = None,
    kind: OperationKind = OperationKind.CREATE,
    target: str | None = None,
    acknowledgement: Acknowledgement = Acknowledgement.EXIT_0,
    before_last: Callable[[], None] = lambda: None,
) -> PendingWrite:
    payload = None
    if content is not None:
        digest = hashlib.sha256(content).hexdigest()
        payload = PayloadSpec("run", identity, PayloadKind.BYTES, len(content), digest)
    operation = Operation(identity, kind, name, "direct", 0, acknowledgement, False, payload, target)
    return PendingWrite(operation, None if content is None else Bytes(content, before_last))


def written(seen: Observation) -> tuple[NodeKind, int | None, str | None]:
    return seen.kind, seen.size, seen.sha256


def file_of(content: bytes) -> tuple[NodeKind, int, str]:
    return NodeKind.FILE, len(content), hashlib.sha256(content).hexdigest()


def direct(stack: TinyStack, service: str = "api") -> DirectPath:
    return DirectPath("direct", DirectConfig(service=service, root=ROOT), stack)  # type: ignore[arg-type]


def volume(stack: TinyStack, **config: Any) -> VolumePath:
    return VolumePath("volume", VolumeConfig(**{"volume": "files", **config}), stack)  # type: ignore[arg-type]


def write(path: DirectPath, *batch: PendingWrite) -> Journal:
    journal = Journal()
    path.writer().write(batch, journal, threading.Event())
    return journal


def hostile_batch() -> tuple[list[PendingWrite], dict[str, bytes]]:
    batch, contents = [], {}
    for number, name in enumerate(HOSTILE, 1):
        parent = name.rpartition("/")[0]
        if parent:
            batch.append(pending(1000 + number, parent, kind=OperationKind.MKDIR))
        contents[name] = hashlib.shake_128(name.encode(errors="surrogateescape")).digest(number * 7)
        batch.append(pending(number, name, contents[name]))
    return batch, contents


def prepared(stack: TinyStack, script: str, **options: Any) -> Any:
    """A container of service api in which `script` ran as root in ROOT."""
    container = stack.run("api", **with_volume(stack, **options))
    code, output = container.exec_run(["sh", "-ec", f"cd {ROOT}\n{script}"], user="0")
    assert code == 0, output
    return container
