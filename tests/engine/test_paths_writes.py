"""Writes in a container and to a volume, on a real engine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from persistence_tests.events.waiting import wait_until
from persistence_tests.model.observation import ABSENT, NodeKind
from persistence_tests.model.operation import (
    Acknowledgement,
    OperationKind,
    Outcome,
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.base import PendingWrite
from persistence_tests.paths.frames import Overwriting
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.exec_stream import run_any
from tests.stacks.journal import Journal
from tests.stacks.tiny import (
    ROOT,
    TinyStack,
    direct,
    file_of,
    pending,
    prepared,
    tiny,
    volume,
    with_volume,
    write,
    written,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[TinyStack]:
    with tiny(engine, tmp_path) as stack:
        yield stack


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
