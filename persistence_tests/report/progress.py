"""How far a run is, and how long it will still take: as far as earlier runs, or the steps that are done, can tell.

Of a step that was never run before, the mean of those that were is expected; what earlier runs took is stretched as
much as the steps of this one took longer. What is shown follows the estimate slowly: it counts down and does not jump.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Step = tuple[int, str]
"""The place of a scenario in its run, from 0, and the name of a step of it."""

UP = "up"
SLOWEST, FASTEST = 4.0, 0.5
FOLLOWS_WITHIN = 8.0  # seconds, until two thirds of a change of the estimate are shown
COARSE = ((60, 5), (300, 30), (math.inf, 60))  # below so many seconds, shown in steps of so many


class Progress:
    """`plan` has the steps of all scenarios in their order, `earlier` the seconds that some took before.

    Times are those of one clock, in seconds.
    """

    def __init__(self, plan: Sequence[Step], earlier: Mapping[Step, float]) -> None:
        self._plan = list(plan)
        self._earlier = dict(earlier)
        self._done: dict[Step, float] = {}
        self._current: Step | None = None
        self._since = 0.0
        self._shown: float | None = None
        self._at = 0.0

    def begin(self, step: Step, now: float) -> None:
        self._current, self._since = step, now

    def end(self, step: Step, now: float) -> None:
        """Also where it ended without having begun."""
        began = self._since if step == self._current else now
        self._done[step] = now - began
        self._current = None

    @property
    def place(self) -> tuple[int, int]:
        """Which step of how many of the scenario is under way, or was last."""
        if self._current is None:
            return 0, 0
        own = [step for step in self._plan if step[0] == self._current[0]]
        return (own.index(self._current) + 1 if self._current in own else 0), len(own)

    def remaining(self, now: float) -> float | None:
        """Seconds as they are to be shown; None where nothing can be told yet."""
        estimate = self._estimate(now)
        if estimate is None:
            self._shown = None
            return None
        if self._shown is None:
            self._shown = estimate
        else:
            passed = max(now - self._at, 0.0)
            counted = max(self._shown - passed, 0.0)
            self._shown = counted + (estimate - counted) * (1 - math.exp(-passed / FOLLOWS_WITHIN))
        self._at = now
        return self._shown

    def _estimate(self, now: float) -> float | None:
        stretched, means = self._stretch(), {up: self._mean(up) for up in (True, False)}
        left = 0.0
        for step in self._plan:
            if step in self._done:
                continue
            known = self._earlier.get(step)
            expected = known * stretched if known is not None else means[step[1] == UP]
            if expected is None:
                return None
            under_way = now - self._since if step == self._current else 0.0
            left += max(expected - under_way, 0.0)
        return left

    def _stretch(self) -> float:
        both = [step for step in self._done if self._earlier.get(step)]
        expected = sum(self._earlier[step] for step in both)
        actual = sum(self._done[step] for step in both)
        return min(max(actual / expected, FASTEST), SLOWEST) if expected else 1.0

    def _mean(self, up: bool) -> float | None:
        """Of the steps that are done, else of those done before. Bringing a stack up is like no other step."""
        for known in (self._done, self._earlier):
            if seconds := [took for (_, step), took in known.items() if (step == UP) is up]:
                return sum(seconds) / len(seconds)
        return None


def time_left(seconds: float) -> str:
    """ "about 40 s left": no finer than anybody can know."""
    coarse = next(size for below, size in COARSE if seconds < below)
    rounded = max(math.ceil(seconds / coarse), 1) * coarse
    if rounded < 60:
        return f"about {rounded} s left"
    minutes = rounded / 60
    return f"about {minutes:g} min left" if minutes < 60 else f"about {minutes / 60:.1f} h left"
