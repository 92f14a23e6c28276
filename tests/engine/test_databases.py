"""Blobs in a database, durable and fast, when the power goes: only what the API serves is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Verdict
from tests.stacks.bench import bench
from tests.stacks.box_scenario import Entry

pytestmark = [pytest.mark.engine, pytest.mark.soak]

BLOBS = Path(__file__).parents[1] / "stacks" / "blobs"
AT_ONCE: Entry = {"power-loss": {"strict": False}}
STRICT: Entry = {"power-loss": {"strict": True}}
LATER: Entry = {"power-loss": {"after": "7s", "noauto_da_alloc": True}}
REQUEST = "PUT /blobs/{name}"
PARTS: dict[str, Any] = {
    "paths": {"api": {"service": "blobs", "port": 8000, "url": "/blobs/{name}", "within": "3s"}},
    "writes": [
        {
            "through": "api",
            "request": {"create": REQUEST, "overwrite": REQUEST},
            "operations": ["create", "overwrite"],
            "into": ["."],
            "files": 6,
            "sizes": [100, 5000, 70_000],
            "names": "plain",
            "writers": 1,
        }
    ],
}
DATABASES = ["sqlite", "postgres"]


def judged(directory: Path, database: str, durable: str, events: list[Entry]) -> list[StepJudgement]:
    stack = {
        "compose": str(BLOBS / "compose.yaml"),
        "env": {"DATABASE": database, "DURABLE": durable},
        "ready": {"path": "api", "url": "/health", "within": "60s"},
    }
    listed = {str(place): entry for place, entry in enumerate(events)}
    with bench(directory, listed, times=1, stack=stack, **PARTS) as opened:
        up, *steps = opened.running.judgements()
    assert (up.verdict, up.findings) == (Verdict.KEPT, ())
    return steps


@pytest.mark.parametrize("database", DATABASES)
def test_what_a_durable_database_acknowledges_is_kept(database: str, tmp_path: Path) -> None:
    for step in judged(tmp_path, database, "yes", [AT_ONCE, STRICT]):
        assert (step.verdict, step.findings) == (Verdict.KEPT, ()), (step.step, step.reasons)


@pytest.mark.parametrize("database", DATABASES)
def test_one_that_does_not_sync_loses(database: str, tmp_path: Path) -> None:
    (step,) = judged(tmp_path, database, "no", [AT_ONCE])
    assert step.verdict is Verdict.LOST, step.reasons
    assert step.findings


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("durable", ["yes", "no"])
def test_the_verdict_is_the_same_each_time(database: str, durable: str, tmp_path: Path) -> None:
    verdict = Verdict.KEPT if durable == "yes" else Verdict.LOST
    for step in judged(tmp_path, database, durable, [AT_ONCE, STRICT, LATER] * 3):
        assert step.verdict is verdict, (step.step, step.reasons)
