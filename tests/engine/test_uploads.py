"""A stack that names its files itself, re-encodes them, asks for a login and takes parts; and its broken twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.history import History, read_history
from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import Completed, Invoked
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import write_scenario

pytestmark = pytest.mark.engine

ALBUM = Path(__file__).parent.parent / "stacks/album/compose.yaml"
PASSWORD = "nobody-guesses-this-1"
LOGIN = [
    {"request": "GET /login", "take": {"csrf": {"pattern": 'name="csrf" value="([^"]+)"'}}},
    {
        "request": "POST /login",
        "form": {"user": "anna", "password": "${ALBUM_PASSWORD}", "csrf": "{csrf}"},
        "take": {"token": {"json": "data.token"}},
    },
]
API = {
    "service": "album",
    "port": 8000,
    "url": "/media/{name}",
    "login": LOGIN,
    "headers": {"Authorization": "Bearer {token}"},
}
WRITES = [
    {
        "through": "api",
        "into": ["."],
        "files": 3,
        "kinds": ["jpeg"],
        "sizes": [700, 5000, 70000],
        "names": "plain",
        "request": "POST /upload",
        "multipart": "picture",
        "form": {"csrf": "{csrf}"},
        "stored_as": {"json": "data.path", "under": "/media/"},
        "bytes": "as-stored",
    },
    {
        "through": "api",
        "into": ["parted"],
        "files": 3,
        "sizes": [30000, 9000, 100],
        "names": "plain",
        "parts": {
            "size": "4KiB",
            "request": "PATCH /parts/{name}?offset={offset}",
            "order": "shuffled",
            "finish": "POST /parts/{name}?size={size}",
            "leave_out": 1,
        },
    },
    {
        "through": "api",
        "into": ["raw"],
        "files": 4,
        "sizes": [5000, 100000],
        "names": "plain",
        "request": "PUT /media/{name}",
        "cut": 2,
    },
]


def judged(directory: Path, behaviour: str) -> tuple[dict[str, StepJudgement], History, str]:
    """The steps, the history, and everything that was written."""
    env = {"ALBUM_PASSWORD": PASSWORD, "BEHAVIOUR": behaviour}
    stack: dict[str, Any] = {"compose": str(ALBUM), "env": env, "ready": {"path": "api", "url": "/health"}}
    paths = {"volume": {"volume": "files"}, "api": API}
    file = write_scenario(
        directory, ["restart"], stack=stack, paths=paths, writes=WRITES, expect={"ignore": [".parts/**"]}
    )
    engine = Engine.connect()
    try:
        with Run(Settings(report_dir=directory / "reports", seed=7), engine) as run:
            with run.scenario(load(file)) as running:
                took = running.judgements() if behaviour == "sound" else iter([running.open()])
                steps = {step.step: step for step in took}
            history = read_history(run.directory / "history.jsonl")
            written = "".join(f.read_text(errors="replace") for f in run.directory.rglob("*") if f.is_file())
    finally:
        engine.close()
    return steps, history, written


def test_files_that_the_stack_names_and_makes_anew_are_kept(tmp_path: Path) -> None:
    steps, history, written = judged(tmp_path, "sound")
    assert {step: judgement.verdict for step, judgement in steps.items()} == {
        "up": Verdict.KEPT,
        "restart": Verdict.KEPT,
    }, [(judgement.reasons, judgement.findings) for judgement in steps.values()]

    records = [entry.record for entry in history]
    named = {record.name for record in records if isinstance(record, Completed) and record.name}
    assert {f"album/{number:06d}.jpg" for number in range(1, 7)} == named
    sent = {record.operation.identity: record.operation for record in records if isinstance(record, Invoked)}
    ends = [(sent[r.operation].rule, r.outcome) for r in records if isinstance(r, Completed)]
    for rule, unknown in ((0, 0), (1, 1), (2, 2)):
        outcomes = [outcome for of, outcome in ends if of == rule]
        assert outcomes.count(Outcome.INFO) == 2 * unknown, ends
        # A session that the restart forgot may cost one write, which is refused and not sent again.
        assert outcomes.count(Outcome.OK) >= len(outcomes) - 2 * unknown - 1, ends
    assert PASSWORD not in written
    token = next(iter(t for t in written.split() if t.startswith("session=")), None)
    assert token is None


def test_its_broken_twin_is_found_out(tmp_path: Path) -> None:
    steps, _, _ = judged(tmp_path, "broken")
    up = steps["up"]
    assert up.verdict is Verdict.LOST
    found = {finding.symptom: finding for finding in up.findings}
    assert found.keys() == {Symptom.TRUNCATED, Symptom.ZEROED, Symptom.FOREIGN}, up.findings
    assert len(found[Symptom.TRUNCATED].names) == 2
    assert all(name.startswith("raw/") for name in found[Symptom.TRUNCATED].names)
    assert all(name.startswith("parted/") for name in found[Symptom.ZEROED].names)
    assert (found[Symptom.FOREIGN].names, found[Symptom.FOREIGN].paths) == (("album/000002.jpg",), ("api",))
