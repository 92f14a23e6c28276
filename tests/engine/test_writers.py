"""Four ways in which programs write files, and what of them a power loss and a kill leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from tests.stacks.bench import bench
from tests.stacks.box_scenario import Entry

pytestmark = pytest.mark.engine

WRITERS = Path(__file__).parents[1] / "stacks" / "writers"
REQUEST = "PUT /files/{name}"
PARTS: dict[str, Any] = {
    "paths": {
        "volume": {"volume": "files"},
        "api": {"service": "writer", "port": 8000, "url": "/files/{name}", "within": "3s"},
    },
    "writes": [
        {
            "through": "api",
            "request": {"create": REQUEST, "overwrite": REQUEST},
            "operations": ["create", "overwrite"],
            "into": ["."],
            "files": 8,
            "sizes": [100, 5000, 70_000],
            "names": "plain",
        }
    ],
}

AT_ONCE: Entry = {"power-loss": {"strict": False}}
LATER: Entry = {"power-loss": {"after": "7s"}}
STRICT: Entry = {"power-loss": {"strict": True}}
BARE: Entry = {"power-loss": {"noauto_da_alloc": True}}
BARE_STRICT: Entry = {"power-loss": {"strict": True, "noauto_da_alloc": True}}
BARE_LATER: Entry = {"power-loss": {"after": "7s", "noauto_da_alloc": True}}
CUT_WHILE_WRITING: Entry = {"power-loss": {"while": "writing", "strict": False}}
KILLED_WHILE_WRITING: Entry = {"kill": {"while": "writing"}}

KEPT: frozenset[Symptom] = frozenset()
MISSING = frozenset({Symptom.MISSING})
NAME_ONLY = frozenset({Symptom.EMPTY, Symptom.ZEROED})
# Where five seconds passed from the writes to the cut, the journal was written out meanwhile.
GONE = MISSING | NAME_ONLY
OLD = frozenset({Symptom.STALE})
# What writers still sent once the stack was up again is nowhere yet when one path looks, and there for the next.
UNWRITTEN = MISSING | OLD | {Symptom.DIVERGING}

Expected = list[tuple[Entry, frozenset[Symptom]]]
"""Events, each with the symptoms of which there must be one; none where all is kept."""

ALWAYS: dict[str, Expected] = {
    "unsynced": [(AT_ONCE, GONE)],
    "replaced": [(BARE_STRICT, NAME_ONLY)],
    "synced": [(STRICT, KEPT)],
    "early": [(CUT_WHILE_WRITING, UNWRITTEN), (KILLED_WHILE_WRITING, UNWRITTEN)],
}
SOAKED: dict[str, Expected] = {
    "unsynced": [(AT_ONCE, GONE), (LATER, GONE), (STRICT, NAME_ONLY), (BARE, GONE), (BARE_LATER, GONE)],
    "replaced": [
        (AT_ONCE, OLD | NAME_ONLY),
        (LATER, KEPT),
        (STRICT, KEPT),
        (BARE_STRICT, NAME_ONLY),
        (BARE_LATER, NAME_ONLY),
    ],
    "synced": [(event, KEPT) for event in (AT_ONCE, LATER, STRICT, BARE, BARE_LATER)],
    "early": [(CUT_WHILE_WRITING, UNWRITTEN), (KILLED_WHILE_WRITING, UNWRITTEN)],
}
RUNS = 10


def judged(directory: Path, writes: str, events: list[Entry]) -> list[StepJudgement]:
    stack = {
        "compose": str(WRITERS / "compose.yaml"),
        "env": {"WRITES": writes},
        "ready": {"path": "api", "url": "/health", "within": "30s"},
    }
    listed = {str(place): entry for place, entry in enumerate(events)}
    with bench(directory, listed, times=1, stack=stack, **PARTS) as opened:
        up, *steps = opened.running.judgements()
    assert (up.verdict, up.findings) == (Verdict.KEPT, ())
    return steps


def as_expected(step: StepJudgement, symptoms: frozenset[Symptom]) -> None:
    seen = {finding.symptom for finding in step.findings}
    assert step.verdict is (Verdict.LOST if symptoms else Verdict.KEPT), (step.step, step.reasons, seen)
    assert seen <= symptoms and bool(seen) == bool(symptoms), step.step


@pytest.mark.parametrize("writes", ALWAYS)
def test_what_each_way_of_writing_keeps(writes: str, tmp_path: Path) -> None:
    expected = ALWAYS[writes]
    steps = judged(tmp_path, writes, [event for event, _ in expected])
    for step, (_, symptoms) in zip(steps, expected, strict=True):
        as_expected(step, symptoms)


@pytest.mark.soak
@pytest.mark.parametrize("writes", SOAKED)
def test_the_verdict_is_the_same_in_ten_runs(writes: str, tmp_path: Path) -> None:
    """`replaced` shows what ext4's auto_da_alloc hides: a moment after the rename the bytes are on the disk."""
    expected = SOAKED[writes] * (RUNS // len(SOAKED[writes]))
    steps = judged(tmp_path, writes, [event for event, _ in expected])
    assert len(steps) == RUNS
    for step, (_, symptoms) in zip(steps, expected, strict=True):
        as_expected(step, symptoms)
