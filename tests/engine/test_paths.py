"""Volume, direct and HTTP paths against a real engine."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.errors import StackError
from persistence_tests.events.waiting import wait_until
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.direct import DirectConfig, DirectPath
from persistence_tests.paths.frames import Overwriting
from persistence_tests.paths.volume import VolumeConfig, VolumePath
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.exec_stream import run_any

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

    def volume(self, key: str) -> str:
        return f"{self.prefix}_{key}"

    def bind(self, source: str) -> Path:
        return self.workspace / source

    def bind_source(self, source: str) -> Path:
        return self.bind(source)

    def holds(self, path: Path) -> bool:
        return path.exists()

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


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    connected = Engine.connect()
    yield connected
    connected.close()


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[TinyStack]:
    prefix = f"pathstest{uuid.uuid4().hex[:10]}"
    labels = {"persistence-tests.run": prefix}
    tiny = TinyStack(engine, SimpleNamespace(labels=labels), tmp_path, prefix)
    volume = engine.client.volumes.create(tiny.volume("files"), labels=tiny.identity.labels)
    try:
        yield tiny
    finally:
        for container in tiny.made:
            container.remove(force=True, v=True)
        volume.remove(force=True)


def with_volume(stack: TinyStack, **options: Any) -> dict[str, Any]:
    return {"volumes": {stack.volume("files"): {"bind": ROOT, "mode": "rw"}}, **options}


class Journal:
    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []
        self.outcomes: dict[int, tuple[Outcome, str]] = {}
        self.on_invoked: Callable[[Operation], None] = lambda operation: None
        self._lock = threading.Lock()

    def invoked(self, operation: Operation) -> None:
        with self._lock:
            self.lines.append(("invoked", operation.identity))
        self.on_invoked(operation)

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        with self._lock:
            self.lines.append((outcome.value, operation))
            self.outcomes[operation] = (outcome, detail)

    def outcome(self, operation: int) -> Outcome:
        return self.outcomes[operation][0]


@dataclass
class Bytes:
    content: bytes
    before_last: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        size = 65536
        for at in range(0, len(self.content), size):
            if at + size >= len(self.content):
                self.before_last()
            yield self.content[at : at + size]

    def slice(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


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


def test_hostile_names_are_written_and_seen_alike_by_volume_and_direct(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    batch, contents = hostile_batch()

    journal = write(direct(stack), *batch)

    assert {outcome for outcome, _ in journal.outcomes.values()} == {Outcome.OK}
    by_exec, by_archive = direct(stack).observe(HOSTILE), volume(stack).observe(HOSTILE)
    assert by_exec.problem is None and by_archive.problem is None
    assert {name: written(seen) for name, seen in by_exec.observations.items()} == {
        name: file_of(content) for name, content in contents.items()
    }
    assert by_archive.observations == by_exec.observations
    assert by_archive.directories == by_exec.directories
    assert "exec" in by_exec.method and "archive" in by_archive.method
    for name, content in contents.items():
        assert direct(stack).read(name, 5) == content[:5]
        assert volume(stack).read(name, 10**6) == content


def prepared(stack: TinyStack, script: str, **options: Any) -> Any:
    """A container of service api in which `script` ran as root in ROOT."""
    container = stack.run("api", **with_volume(stack, **options))
    code, output = container.exec_run(["sh", "-ec", f"cd {ROOT}\n{script}"], user="0")
    assert code == 0, output
    return container


ODD_NODES = r"""
mkdir -p empty/inner 'odd dir' closed; mkfifo pipe; mknod null c 1 3
echo shared > first; ln first second; ln first 'odd dir/third'
ln -s first link; ln -s nowhere dangling; ln -s empty linked-directory
truncate -s 3M sparse; printf x > sticky; chmod 4751 sticky; chmod 000 closed; : > nothing; chmod 0 nothing
chown 1234:567 sparse; chmod 1777 empty
python=0; for n in 1 2 3 4 5 6 7 8 9; do head -c "$((n * 100003))" /dev/urandom > "noise $n"; done
"""


NO_PRINTF = r"""
mv "$(command -v find)" /find; cat > /usr/bin/find <<'END'
#!/bin/sh
case $* in *-printf*) exit 1 ;; esac
exec /find "$@"
END
chmod 755 /usr/bin/find
"""


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_odd_nodes_are_seen_alike_by_exec_and_archive(stack: TinyStack, tools: str) -> None:
    prepared(stack, tools + ODD_NODES)

    by_exec, by_archive = direct(stack).observe([]), volume(stack).observe([])

    assert by_archive.observations == by_exec.observations
    assert by_archive.directories == by_exec.directories
    seen = by_archive.observations
    assert {seen["first"], seen["second"], seen["odd dir/third"]} == {seen["first"]}
    assert written(seen["second"]) == file_of(b"shared\n")
    assert (seen["sticky"].mode, seen["nothing"].mode, seen["nothing"].size) == ("4751", "0000", 0)
    assert (seen["sparse"].size, seen["sparse"].owner) == (3 << 20, "1234:567")
    assert [seen[name].kind for name in ("link", "dangling", "linked-directory")] == [NodeKind.SYMLINK] * 3
    assert [seen[name].kind for name in ("pipe", "null")] == [NodeKind.OTHER] * 2
    assert by_archive.directories["empty"] == Observation(NodeKind.DIRECTORY, mode="1777", owner="0:0")
    assert set(by_archive.directories) == {"empty", "empty/inner", "odd dir", "closed"}


def linked(identity: int, name: str, link: str, kind: OperationKind) -> PendingWrite:
    made = pending(identity, name, kind=kind, acknowledgement=Acknowledgement.FSYNC)
    return replace(made, operation=replace(made.operation, link=link))


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_links_and_modes_are_written_and_seen_alike_by_volume_and_direct(
    stack: TinyStack, tools: str
) -> None:
    prepared(stack, tools or "true")
    marked = pending(2, "a/marked", b"marked")
    journal = write(
        direct(stack),
        pending(1, "a", kind=OperationKind.MKDIR),
        replace(marked, operation=replace(marked.operation, mode="0604")),
        linked(3, "a/-hard\n", "a/marked", OperationKind.LINK),
        linked(4, "hard", "a/marked", OperationKind.LINK),
        linked(5, "a/soft", "-rf $HOME\n \\é", OperationKind.SYMLINK),
        linked(6, "soft", "a/marked", OperationKind.SYMLINK),
        linked(7, "soft", "hard", OperationKind.SYMLINK),
        linked(8, "other", "none", OperationKind.LINK),
    )
    assert [journal.outcome(n) for n in range(1, 9)] == [Outcome.OK] * 6 + [Outcome.FAIL] * 2, (
        journal.outcomes
    )
    for path in (direct(stack), volume(stack)):
        seen = path.observe([]).observations
        assert seen["a/marked"].mode == "0604"
        assert {seen[name].shared for name in ("a/marked", "a/-hard\n", "hard")} == {"a/-hard\n"}
        assert {name: seen[name].target for name in ("a/soft", "soft")} == {
            "a/soft": "-rf $HOME\n \\é",
            "soft": "a/marked",
        }
    assert direct(stack).observe([]).observations == volume(stack).observe([]).observations


def test_attributes_are_neither_written_nor_seen_without_the_programs(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    marked = pending(1, "marked", b"x")
    journal = write(direct(stack), replace(marked, operation=replace(marked.operation, xattr="beef")))
    assert journal.outcome(1) is Outcome.FAIL and "setfattr" in journal.outcomes[1][1]
    write(direct(stack), pending(2, "plain", b"x"))
    path = direct(stack)
    path.shows_attributes = True
    view = path.observe(["marked"])
    assert view.problem is None and view.observations["marked"] == ABSENT
    assert view.observations["plain"].xattrs is None


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_what_the_user_cannot_read_is_an_error_with_its_reason(stack: TinyStack, tools: str) -> None:
    script = tools + "mkdir shut open; echo a > shut/inside; echo b > open/secret; echo c > open/plain\n"
    prepared(stack, script + "chmod 700 shut; chmod 600 open/secret", user="1000:1000")

    view = direct(stack).observe(["shut/inside", "open/secret", "open/plain", "open/none"])

    assert view.observations["shut/inside"].kind is NodeKind.ERROR
    assert "'shut'" in (view.observations["shut/inside"].error or "")
    assert view.observations["open/secret"].kind is NodeKind.ERROR
    assert "user" in (view.observations["open/secret"].error or "")
    assert written(view.observations["open/plain"]) == file_of(b"c\n")
    assert view.observations["open/none"] == ABSENT
    assert view.method == "exec as 1000:1000"


def test_a_root_that_is_gone_holds_no_names_and_one_that_is_closed_is_a_problem(stack: TinyStack) -> None:
    container = stack.run("api", user="1000:1000")
    assert direct(stack).observe(["a"]).observations == {"a": ABSENT}

    container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; chmod 700 {ROOT}"], user="0")
    view = direct(stack).observe(["a"])

    assert view.observations == {} and "Permission denied" in (view.problem or "")


def test_without_tools_the_archive_api_is_used_and_said(stack: TinyStack) -> None:
    container = prepared(stack, "echo kept > file; rm $(command -v find)")

    view = direct(stack).observe(["file", "none"])

    assert written(view.observations["file"]) == file_of(b"kept\n")
    assert view.observations["none"] == ABSENT
    assert "cannot see tmpfs, knows no user" in view.method and "find" in view.method
    container.stop(timeout=0)
    stopped = direct(stack).observe(["file"])
    assert written(stopped.observations["file"]) == file_of(b"kept\n")
    assert "is exited" in stopped.method


def test_a_stopped_container_does_not_pass_for_an_empty_tmpfs(stack: TinyStack) -> None:
    container = stack.run("api", tmpfs={"/data": ""})
    container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; echo a > {ROOT}/a"])
    assert written(direct(stack).observe(["a"]).observations["a"]) == file_of(b"a\n")

    container.stop(timeout=0)
    view = direct(stack).observe(["a"])

    assert view.observations == {} and "tmpfs" in (view.problem or "")


def test_a_service_without_a_container_is_a_problem(stack: TinyStack) -> None:
    assert "no container" in (direct(stack).observe(["a"]).problem or "")
    journal = write(direct(stack), pending(1, "a", b"x"))
    assert journal.outcome(1) is Outcome.FAIL and journal.lines == [("invoked", 1), ("fail", 1)]


def test_replicas_that_differ_disagree(stack: TinyStack) -> None:
    first, second = (stack.run("api", number=number) for number in (1, 2))
    for number, container in enumerate((first, second), 1):
        container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; cd {ROOT}; echo same > same; echo {number} > own"])
    second.exec_run(["sh", "-c", f"echo > {ROOT}/second"])

    view = direct(stack).observe(["same", "own"])

    assert written(view.observations["same"]) == file_of(b"same\n")
    for name in ("own", "second"):
        assert view.observations[name].kind is NodeKind.ERROR
        assert (view.observations[name].error or "").startswith(f"replicas disagree: {stack.prefix}-api-1 ")


def test_every_kind_of_operation(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    big = hashlib.shake_128(b"big").digest(8 << 20)
    fsync = Acknowledgement.FSYNC
    journal = write(
        direct(stack),
        pending(1, "a/b", kind=OperationKind.MKDIR, acknowledgement=fsync),
        pending(2, "a/b/new", big, acknowledgement=fsync),
        pending(3, "over", b"old and longer"),
        pending(4, "over", b"new", kind=OperationKind.OVERWRITE, acknowledgement=fsync),
        pending(5, "over", b"+more", kind=OperationKind.APPEND, acknowledgement=fsync),
        pending(6, "gone", b"x"),
        pending(7, "gone", kind=OperationKind.DELETE, acknowledgement=fsync),
        pending(8, "before", b"moved"),
        pending(9, "before", kind=OperationKind.RENAME, target="a/after", acknowledgement=fsync),
        pending(10, "empty", b""),
    )

    assert {identity for identity, (outcome, _) in journal.outcomes.items() if outcome is Outcome.OK} == set(
        range(1, 11)
    ), journal.outcomes
    view = direct(stack).observe(["gone", "before"])
    assert {name: written(seen) for name, seen in view.observations.items()} == {
        "a/b/new": file_of(big),
        "over": file_of(b"new+more"),
        "a/after": file_of(b"moved"),
        "empty": file_of(b""),
        "gone": written(ABSENT),
        "before": written(ABSENT),
    }
    assert set(view.directories) == {"a", "a/b"}


def test_a_sparse_file_has_a_hole(stack: TinyStack) -> None:
    container = stack.run("api", **with_volume(stack))
    payload = Payload.make("run", 1, PayloadKind.SPARSE, Payload.minimum(PayloadKind.SPARSE) + 5000)
    operation = replace(
        pending(1, "sparse").operation, payload=payload.spec, acknowledgement=Acknowledgement.FSYNC
    )
    journal = write(direct(stack), PendingWrite(operation, payload))

    assert journal.outcome(1) is Outcome.OK, journal.outcomes
    assert written(direct(stack).observe(["sparse"]).observations["sparse"]) == file_of(payload.bytes())
    said, _, _ = run_any(container, ["stat", "-c", "%b %B", f"{ROOT}/sparse"])
    allocated, block = map(int, said.split())
    assert 0 < allocated * block < payload.size - Payload.hole(payload.kind) // 2


@pytest.mark.parametrize("overwriting", Overwriting)
def test_every_way_to_overwrite(stack: TinyStack, overwriting: Overwriting) -> None:
    container = stack.run("api", **with_volume(stack))
    fsync = Acknowledgement.FSYNC
    batch = [
        pending(1, "-longer", b"o" * 5000),
        pending(2, "-longer", b"new", kind=OperationKind.OVERWRITE, acknowledgement=fsync),
        pending(3, "shorter", b"old"),
        pending(4, "shorter", b"n" * 70_000, kind=OperationKind.OVERWRITE),
        pending(5, "emptied", b"old"),
        pending(6, "emptied", b"", kind=OperationKind.OVERWRITE),
        pending(7, "none", b"x", kind=OperationKind.OVERWRITE),
    ]
    files = ["sh", "-c", f"cd {ROOT} && stat -c %i ./-longer shorter emptied"]
    journal = Journal()
    direct(stack).writer(overwriting).write([batch[0], batch[2], batch[4]], journal, threading.Event())
    before, _, _ = run_any(container, files)
    direct(stack).writer(overwriting).write([batch[n] for n in (1, 3, 5, 6)], journal, threading.Event())
    after, _, _ = run_any(container, files)

    outcomes = {n: journal.outcome(n) for n in range(1, 8)}
    assert outcomes == dict.fromkeys(range(1, 7), Outcome.OK) | {7: Outcome.FAIL}, journal.outcomes
    seen = direct(stack).observe([]).observations
    assert {name: written(each) for name, each in seen.items()} == {
        "-longer": file_of(b"new"),
        "shorter": file_of(b"n" * 70_000),
        "emptied": file_of(b""),
    }
    assert (before == after) is (overwriting is not Overwriting.REPLACE)


@pytest.mark.parametrize("overwriting", Overwriting)
def test_an_overwrite_that_is_killed_leaves_what_its_kind_may_leave(
    stack: TinyStack, overwriting: Overwriting
) -> None:
    container = stack.run("api", **with_volume(stack))
    old, new = b"o" * 900_000, b"n" * 600_000
    write(direct(stack), pending(1, "file", old))
    journal = Journal()
    killed = pending(2, "file", new, kind=OperationKind.OVERWRITE, before_last=container.kill)
    direct(stack).writer(overwriting).write([killed], journal, threading.Event())

    assert journal.outcome(2) is Outcome.INFO
    seen = volume(stack).observe(["file"]).observations
    content = volume(stack).read("file", 1 << 20)
    written_over = len(content) - len(content.lstrip(b"n"))
    match overwriting:
        case Overwriting.TRUNCATE:
            assert 0 < written_over == len(content) < len(new)
        case Overwriting.IN_PLACE:
            assert len(content) == len(old) and 0 < written_over < len(new)
        case Overwriting.REPLACE:
            assert content == old
            assert set(seen) == {"file", ".replacing-2.tmp"}


def meet(barrier: threading.Barrier) -> None:
    barrier.wait()


def test_writers_write_at_the_same_time(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    together = threading.Barrier(3, timeout=30)
    batch = [pending(n, f"f{n}", bytes([n]) * 200_000, before_last=lambda: meet(together)) for n in (1, 2, 3)]
    journal = Journal()
    direct(stack).writer(writers=3).write(batch, journal, threading.Event())

    assert [what for what, _ in journal.lines] == ["invoked"] * 3 + ["ok"] * 3
    seen = direct(stack).observe([]).observations
    assert {n: written(seen[f"f{n}"]) for n in (1, 2, 3)} == {
        n: file_of(bytes([n]) * 200_000) for n in (1, 2, 3)
    }


def test_shells_stay_between_batches_within_the_context_and_a_lost_one_is_made_anew(stack: TinyStack) -> None:
    container = stack.run("api", **with_volume(stack))
    journal, stop = Journal(), threading.Event()

    def shells() -> int:
        container.reload()
        return len(container.attrs["ExecIDs"] or ())

    with direct(stack).writer() as writer:
        writer.write([pending(1, "a", b"one")], journal, stop)
        assert shells() == 1
        writer.write([pending(2, "b", b"two"), pending(3, "a", b"again")], journal, stop)
        assert wait_until(lambda: shells() == 0, 20)  # the third was refused, and a shell ends then
        writer.write([pending(4, "c", b"three")], journal, threading.Event())
        assert shells() == 1
    assert wait_until(lambda: shells() == 0, 20)
    assert {n: journal.outcome(n) for n in range(1, 5)} == {
        **dict.fromkeys((1, 2, 4), Outcome.OK),
        3: Outcome.FAIL,
    }


def test_refusals_that_changed_nothing_fail_and_the_rest_is_unknown(stack: TinyStack) -> None:
    prepared(
        stack, "echo there > there; mkdir directory closed; chmod 777 .; chmod 555 closed", user="1000:1000"
    )
    journal = write(
        direct(stack),
        pending(1, "there", b"other" * 50_000),
        pending(2, "no/parent", b"x"),
        pending(3, "closed/x", b"x"),
        pending(4, "x" * 256, b"x"),
        pending(5, "none", b"x", kind=OperationKind.OVERWRITE),
        pending(6, "none", b"x", kind=OperationKind.APPEND),
        pending(7, "none", kind=OperationKind.DELETE),
        pending(8, "none", kind=OperationKind.RENAME, target="there"),
        pending(9, "there", kind=OperationKind.RENAME, target="directory"),
        pending(10, "closed/d", kind=OperationKind.MKDIR),
        pending(11, "fine", b"fine"),
    )

    assert {identity: outcome for identity, (outcome, _) in journal.outcomes.items()} == {
        **dict.fromkeys(range(1, 8), Outcome.FAIL),
        **dict.fromkeys(range(8, 11), Outcome.INFO),
        11: Outcome.OK,
    }, journal.outcomes
    assert "File exists" in journal.outcomes[1][1]
    seen = direct(stack).observe([]).observations
    assert set(seen) == {"there", "fine"} and written(seen["there"]) == file_of(b"there\n")


def test_a_full_disk_in_the_middle_of_the_content_is_unknown(stack: TinyStack) -> None:
    stack.run("api", tmpfs={ROOT: "size=1m"})
    journal = write(direct(stack), pending(1, "big", b"x" * (8 << 20)), pending(2, "empty", b""))

    assert journal.outcome(1) is Outcome.INFO and "No space left" in journal.outcomes[1][1]
    assert journal.outcome(2) is Outcome.OK
    seen = direct(stack).observe([]).observations
    assert seen["big"].size == 1 << 20 and seen["empty"].size == 0


def test_a_kill_in_the_middle_leaves_one_unknown(stack: TinyStack) -> None:
    container = stack.run("api", **with_volume(stack))
    batch = [pending(number, f"f{number}", b"y" * 200_000) for number in range(1, 6)]
    batch[2] = pending(3, "f3", b"z" * 200_000, before_last=container.kill)

    journal = write(direct(stack), *batch)

    assert [journal.outcome(number) for number in range(1, 6)] == [
        Outcome.OK, Outcome.OK, Outcome.INFO, Outcome.FAIL, Outcome.FAIL,
    ]  # fmt: skip
    assert [line for line in journal.lines if line[0] == "invoked"] == [("invoked", n) for n in range(1, 6)]
    seen = volume(stack).observe([f"f{number}" for number in range(1, 6)]).observations
    assert written(seen["f1"]) == written(seen["f2"]) == file_of(b"y" * 200_000)
    assert seen["f3"].kind is NodeKind.FILE and (seen["f3"].size or 0) < 200_000
    assert seen["f4"] == seen["f5"] == ABSENT


def test_the_program_dies_with_its_operation_unknown_and_the_next_one_gets_another(stack: TinyStack) -> None:
    container = stack.run("api", **with_volume(stack))

    def kill_the_program() -> None:
        container.exec_run(
            [
                "sh",
                "-c",
                "for p in /proc/[0-9]*; do case $(cat $p/comm) in head) kill -9 ${p#/proc/};; esac; done",
            ]
        )

    journal = write(
        direct(stack), pending(1, "a", b"a" * 300_000, before_last=kill_the_program), pending(2, "b", b"b")
    )

    assert [journal.outcome(1), journal.outcome(2)] == [Outcome.INFO, Outcome.OK], journal.outcomes


def test_stop_ends_the_batch(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    journal, stop = Journal(), threading.Event()
    journal.on_invoked = lambda operation: stop.set() if operation.identity == 3 else None

    direct(stack).writer().write(
        [pending(number, f"f{number}", b"x") for number in range(1, 10)], journal, stop
    )

    assert journal.lines == [(what, n) for n in (1, 2, 3) for what in ("invoked", "ok")]


def test_a_paused_container_is_given_up_after_stop(stack: TinyStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence_tests.paths.shell_writer._AFTER_STOP", 0.2)
    container = stack.run("api", **with_volume(stack))
    stop, journal = threading.Event(), Journal()

    def pause() -> None:
        container.pause()
        stop.set()

    direct(stack).writer().write([pending(1, "a", b"a" * 100_000, before_last=pause)], journal, stop)
    assert journal.outcome(1) is Outcome.INFO and "no answer" in journal.outcomes[1][1]
    assert "is paused" in direct(stack).observe(["a"]).method
    container.unpause()


def test_volume_under_a_directory_and_without_one(stack: TinyStack) -> None:
    prepared(stack, "mkdir -p 'one dir/two'; echo x > 'one dir/two/f'; echo y > top; ln -s 'one dir' link")

    assert set(volume(stack, under="one dir").observe([]).observations) == {"two/f"}
    assert set(volume(stack, under="link/two/").observe([]).observations) == {"f"}
    assert volume(stack, under="none").observe(["f"]).observations == {"f": ABSENT}
    assert "ot a directory" in (volume(stack, under="top").observe(["f"]).problem or "")
    asked = volume(stack).observe(["one dir", "link", "nothing"])
    assert asked.observations["one dir"] == asked.directories["one dir"]
    assert asked.observations["nothing"] == ABSENT


def test_a_volume_that_is_gone_holds_no_names_and_is_not_made_by_looking(stack: TinyStack) -> None:
    path = volume(stack, volume="other")
    view = path.observe(["a"])

    assert view.observations == {"a": ABSENT} and "not there" in view.method
    assert path.read("a", 10) == b""
    names = [found.name for found in stack.engine.client.volumes.list()]
    assert stack.volume("other") not in names


def test_volume_of_a_bind_mount(stack: TinyStack) -> None:
    (stack.workspace / "media").mkdir()
    (stack.workspace / "media" / "f").write_bytes(b"bound")
    path = VolumePath("volume", VolumeConfig(bind="media"), stack)  # type: ignore[arg-type]

    assert written(path.observe(["f"]).observations["f"]) == file_of(b"bound")
    assert path.read("f", 3) == b"bou"
    gone = VolumePath("volume", VolumeConfig(bind="none"), stack)  # type: ignore[arg-type]
    assert gone.observe(["f"]).observations == {"f": ABSENT}


def test_no_helper_stays_behind(stack: TinyStack) -> None:
    volume(stack).observe(["a"])
    volume(stack).read("a", 1)

    left = stack.engine.client.containers.list(
        all=True, filters={"label": f"persistence-tests.run={stack.prefix}"}
    )
    assert left == []
