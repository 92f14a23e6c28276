"""Peak memory of verifying 100,000 files in a volume, and of 10,000.

A process of its own looks at every name as a step does: the ledger that knows what each must be, the look through
the volume, the history on disk, the oracle that judges it as it grows. `ours` is its peak at 100,000 files; `theirs`
what the same process takes at 10,000, which is what flat means.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, insist
from benchmarks.served import served
from persistence_tests.model.history import HistoryWriter
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
    PromiseClass,
)
from persistence_tests.model.oracle import Oracle
from persistence_tests.model.records import (
    BaselineListed,
    Completed,
    DataFate,
    Invoked,
    Phase,
    Record,
    RuleDeclared,
    ScenarioBegan,
    StackReady,
    StepBegan,
    StepEnded,
    StepPlanned,
)
from persistence_tests.run.verification import Verification

if TYPE_CHECKING:
    from persistence_tests.paths.base import ReadingPath

RUN = "bench"
FEW, MANY, SIZE = 10_000, 100_000, 16
GOAL_MB, FLAT = 150.0, 1.2
_DIGEST = hashlib.sha256(bytes(SIZE)).hexdigest()


def figures() -> Iterator[Figure]:
    few, many = _peak(FEW), _peak(MANY)
    yield Figure("memory", many / GOAL_MB, f"≤ {GOAL_MB:g} MB", many <= GOAL_MB, many, GOAL_MB, "MB")
    yield Figure(
        "memory-growth",
        many / few,
        f"flat from {FEW:,} files on (≤ {FLAT})",
        many / few <= FLAT,
        many,
        few,
        "MB",
    )


def _peak(files: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", str(files)], capture_output=True, text=True, check=False
    )
    insist(done.returncode == 0, done.stderr)
    return float(done.stdout)


def _verify(files: int) -> float:
    """Peak resident memory of this process in MB after one look at all files, each known to the ledger."""
    with served(files, SIZE, "/dev/zero") as stack, tempfile.TemporaryDirectory() as scratch:
        volume = stack.paths["volume"]
        ledger, oracle = Ledger(), Oracle()
        with HistoryWriter(Path(scratch) / "history.jsonl") as history:
            history.listeners.append(oracle.follow)

            def record(entry: Record) -> None:
                history.append("bench", entry)
                ledger.record(entry)

            record(_began(volume))
            record(StackReady(1, True, 0.0))
            record(BaselineListed("volume", (), ()))
            record(StepBegan("up", "up", "up", PromiseClass.PROCESS_CRASH, DataFate.KEPT))
            for identity, name in enumerate(stack.names, 1):
                record(Invoked(_write(identity, name)))
                record(Completed(identity, Outcome.OK))
            looking = Verification(RUN, [volume], ledger, record)
            looking.observe("up", Phase.BEFORE, stack.names)
            record(StepEnded("up", 0.0))
        judged = oracle.step("bench", "up")
        insist(judged.paths["volume"].ok == files, f"not every file is right: {judged.reasons}")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _began(volume: ReadingPath) -> ScenarioBegan:
    return ScenarioBegan(
        name="bench",
        source="bench",
        sha256="",
        paths=(volume.declared,),
        rules=(RuleDeclared(0, "volume", Acknowledgement.EXIT_0, "files"),),
        promised=tuple(PromiseClass),
        directories=(),
        directory_mode=None,
        ignore=(),
        steps=(StepPlanned("up", "up", "up"),),
    )


def _write(identity: int, name: str) -> Operation:
    spec = PayloadSpec(RUN, identity, PayloadKind.BYTES, SIZE, _DIGEST)
    return Operation(identity, OperationKind.CREATE, name, "volume", 0, Acknowledgement.EXIT_0, False, spec)


if __name__ == "__main__":
    print(_verify(int(sys.argv[1])))
