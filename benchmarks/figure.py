"""One figure of a benchmark: two sides taken in turn in one run, their medians, and what was promised."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from persistence_tests.errors import PersistenceError


@dataclass(frozen=True, slots=True)
class Figure:
    """`ratio` is how the two sides compare, as `goal` says it; `ours` and `theirs` are in `unit`.

    `met` is None where nothing was promised.
    """

    name: str
    ratio: float
    goal: str
    met: bool | None
    ours: float
    theirs: float
    unit: str


def in_turn(*sides: Callable[[], float], rounds: int) -> tuple[float, ...]:
    """The median of each side; each round takes all sides once, so that a busy machine hits all of them alike."""
    taken = [[side() for side in sides] for _ in range(rounds)]
    return tuple(median(values) for values in zip(*taken, strict=True))


def seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def insist(fact: bool, what: str) -> None:
    """A benchmark of something that went wrong says nothing."""
    if not fact:
        raise PersistenceError(f"the benchmark does not hold: {what}")
