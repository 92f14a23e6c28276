"""Verifying a volume against `sha256sum` under `xargs -P$(nproc)` in a container that has it mounted.

Both sides begin with the volume and end with a digest of every file; each makes the container that it needs, and
has it removed. What `sha256sum` prints is thrown away, ours becomes an observation of every name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.figure import Figure, in_turn, insist, seconds
from benchmarks.served import Served, served
from persistence_tests.stack.helper import run_to_end

ROUNDS = 5
CASES = (("volume-small", 20_000, 4096), ("volume-large", 10, 100 << 20))
BY_HAND = "cd /v && find . -type f -print0 | xargs -0 -n {files} -P $(nproc) sha256sum >/dev/null"


def figures() -> Iterator[Figure]:
    for name, files, size in CASES:
        with served(files, size) as stack:
            ours, theirs = in_turn(
                partial(seconds, partial(stack.verify, "volume")),
                partial(seconds, partial(_by_hand, stack, files)),
                rounds=ROUNDS,
            )
        megabytes = files * size / 1e6
        yield Figure(
            name, theirs / ours, "≥ 1.0 of its throughput", theirs / ours >= 1.0,
            megabytes / ours, megabytes / theirs, "MB/s",
        )  # fmt: skip


def _by_hand(stack: Served, files: int) -> None:
    line = BY_HAND.format(files=min(256, max(1, files // 8)))
    volume = stack.stack.volume("files")
    with stack.stack.helper({"/v": volume}, command=["sh", "-c", line]) as container:
        code, said = run_to_end(container)
    insist(code == 0, f"sha256sum failed: {said!r}")
