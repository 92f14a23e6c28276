"""Other people's Compose projects: the scenario that `init` writes is run as it stands, or with what it asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.foreign import FOREIGN, copy_of, edit

pytestmark = pytest.mark.engine

MOST_EDITED_LINES = 5


def persistence(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "persistence_tests", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def run_first_scenario(name: str, directory: Path, *options: str) -> dict[str, Any]:
    """`init` in a copy of the project, the owner's edits, `run`; the result."""
    foreign, home = FOREIGN[name], copy_of(name, directory)
    written = persistence(home, "init")
    assert written.returncode == 0, written.stderr
    scenario = home / f"{foreign.scenario}.persistence.yaml"
    assert edit(scenario, foreign.edits) <= MOST_EDITED_LINES
    done = persistence(home, "run", scenario.name, "--json", *options)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == result["exit_code"], done.stderr
    return result


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["verdict"] for step in result["scenarios"][0]["steps"]}


@pytest.mark.soak
@pytest.mark.parametrize("name", FOREIGN)
def test_a_first_scenario_says_how_it_is(name: str, tmp_path: Path) -> None:
    foreign = FOREIGN[name]
    result = run_first_scenario(name, tmp_path)
    steps = verdicts(result)
    assert (result["verdict"], result["exit_code"]) == (foreign.verdict, foreign.exit_code), steps
    assert steps == {step: "lost" if step in foreign.lost else "kept" for step in steps}
    assert len(steps) > 5
    for step in result["scenarios"][0]["steps"]:
        assert tuple(step["paths"]) == foreign.paths
        assert all(path["checked"] > 0 for path in step["paths"].values()), step


def test_a_database_of_somebody_else_is_kept(tmp_path: Path) -> None:
    steps = verdicts(run_first_scenario("redis", tmp_path, "--event", "down-up"))
    assert steps == {"up": "kept", "down-up": "kept"}


def test_a_stack_without_any_storage_is_lost_for_that_reason(tmp_path: Path) -> None:
    result = run_first_scenario("guestbook", tmp_path, "--event", "recreate")
    [step] = [step for step in result["scenarios"][0]["steps"] if step["step"] == "recreate"]
    assert (result["exit_code"], step["verdict"]) == (1, "lost")
    assert {finding["diagnosis"]["rule"] for finding in step["findings"]} == {"no-volume"}
