"""Reads that go on while an event is applied, and what they come to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.records import ReadMeanwhile

if TYPE_CHECKING:
    from persistence_tests.paths.base import LiveReader
    from persistence_tests.run.meanwhile import Progress, Work

PACE_SECONDS = 0.005  # enough to meet whatever lasts, and the machine still has time for the event
DOWN_SECONDS = 0.05

Content = tuple[int | None, str | None]


@dataclass
class Reads:
    """What one path answered; written by one thread."""

    path: str
    right: int = 0
    absent: int = 0
    failed: int = 0
    others: dict[str, Observation] = field(default_factory=dict)

    def record(self, step: str) -> ReadMeanwhile:
        return ReadMeanwhile(step, self.path, self.right, self.absent, self.failed, dict(self.others))

    def __str__(self) -> str:
        more = (
            (self.absent, "said that there is no such file"),
            (self.failed, "were cut off or not answered"),
            (len(self.others), "files had other bytes"),
        )
        told = [f"{self.right} files read", *(f"{count} {what}" for count, what in more if count)]
        return f"{self.path}: {', '.join(told)}"


def reading(
    reader: Callable[[Callable[[int], None]], LiveReader],
    expected: Mapping[str, Content],
    reads: Reads,
    *,
    count_bytes: bool,
) -> Work:
    """Reads the expected names in turn, without end; size and digest are what each must have.

    The gate counts whole files, or the bytes that have come.
    """

    def work(progress: Progress, stop: threading.Event) -> None:
        live = reader(progress.advance if count_bytes else lambda size: None)  # noqa: ARG005
        try:
            for name in itertools.cycle(expected):
                if stop.is_set():
                    return
                seen = live.read(name)
                if seen.kind is NodeKind.FILE and (seen.size, seen.sha256) == expected[name]:
                    reads.right += 1
                    if not count_bytes:
                        progress.advance()
                    stop.wait(PACE_SECONDS)
                    continue
                if seen.kind is NodeKind.ABSENT:
                    reads.absent += 1
                elif seen.kind is NodeKind.FILE and live.surely_whole():
                    reads.others.setdefault(name, seen)
                else:
                    reads.failed += 1
                stop.wait(DOWN_SECONDS)
        finally:
            live.close()

    return work
