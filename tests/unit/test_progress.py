"""How far a run is and how long it will still take: what is shown counts down and never jumps."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from persistence_tests.report.live import LiveLine
from persistence_tests.report.progress import Progress, Step, time_left

PLAN: list[Step] = [(0, "up"), (0, "restart"), (0, "kill"), (1, "up"), (1, "restart")]
TICK = 0.125


def drive(progress: Progress, took: list[float]) -> list[float | None]:
    """What is shown every eighth of a second while the steps take so long."""
    now, shown = 100.0, []
    for step, seconds in zip(PLAN, took, strict=True):
        progress.begin(step, now)
        end = now + seconds
        while now < end:
            shown.append(progress.remaining(now))
            now += TICK
        progress.end(step, now)
    shown.append(progress.remaining(now))
    return shown


def test_a_run_like_the_last_one_counts_down() -> None:
    earlier = dict(zip(PLAN, [10.0, 4.0, 6.0, 8.0, 4.0], strict=True))
    shown = [
        seconds for seconds in drive(Progress(PLAN, earlier), list(earlier.values())) if seconds is not None
    ]
    assert shown[0] == 32.0
    assert shown[-1] == pytest.approx(0, abs=0.5)
    assert all(TICK / 2 < before - after < TICK * 2 for before, after in pairwise(shown[:-4]))


SECONDS = st.lists(st.floats(0.5, 60), min_size=len(PLAN), max_size=len(PLAN))


@settings(deadline=None, max_examples=50)
@given(SECONDS, SECONDS, st.integers(0, len(PLAN)))
def test_whatever_the_steps_take_nothing_jumps(took: list[float], before: list[float], known: int) -> None:
    earlier = dict(list(zip(PLAN, before, strict=True))[:known])
    shown = [seconds for seconds in drive(Progress(PLAN, earlier), took) if seconds is not None]
    most = max(*took, *before) * 5 * 4  # seconds that an estimate can be wrong by
    assert all(seconds >= 0 for seconds in shown)
    assert all(abs(after - before) <= TICK + most * TICK / 8 for before, after in pairwise(shown))


def test_nothing_is_told_before_anything_is_known() -> None:
    shown = drive(Progress(PLAN, {}), [5.0] * len(PLAN))
    first = next(place for place, seconds in enumerate(shown) if seconds is not None)
    assert first == 10 / TICK, "as soon as a step of each kind is done"
    assert shown[first] == pytest.approx(15.0)


def test_a_slower_machine_is_noticed() -> None:
    progress = Progress(PLAN, dict.fromkeys(PLAN, 4.0))
    progress.begin(PLAN[0], 0.0)
    progress.end(PLAN[0], 8.0)
    assert progress.remaining(8.0) == pytest.approx(4 * 8.0)


def test_the_place_is_that_within_the_scenario() -> None:
    progress = Progress(PLAN, {})
    assert progress.place == (0, 0)
    progress.begin((0, "kill"), 0.0)
    assert progress.place == (3, 3)
    progress.begin((1, "up"), 0.0)
    assert progress.place == (1, 2)
    progress.begin((1, "another"), 0.0)
    assert progress.place == (0, 2)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "about 5 s left"),
        (12.1, "about 15 s left"),
        (58.0, "about 1 min left"),
        (61.0, "about 1.5 min left"),
        (301.0, "about 6 min left"),
        (6840.0, "about 1.9 h left"),
    ],
)
def test_it_is_told_no_finer_than_anybody_can_know(seconds: float, said: str) -> None:
    assert time_left(seconds) == said


@given(
    st.integers(40, 120),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=80),
    st.sampled_from(["", "about 40 s left"]),
)
@settings(deadline=None)
def test_the_line_is_one_line_on_any_terminal(width: int, text: str, left: str) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    line = LiveLine(console, lambda: left)
    line.say(text)
    with console.capture() as captured:
        console.print(line)
    (shown,) = captured.get().rstrip("\n").split("\n")
    assert cell_len(shown) <= width
    assert re.search(r"  \d+ s", shown)


def test_a_narrow_terminal_leaves_the_estimate_out_before_the_step() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    line = LiveLine(console, lambda: "about 40 s left")
    line.say("3/13 kill api while writing: applying the event")
    with console.capture() as captured:
        console.print(line)
    assert captured.get().strip().startswith("3/13 kill api", 2)
    assert "left" not in captured.get()
