"""The media scenario over six broken media stacks: each is `lost`, with the right symptom, path and event."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.variants.broken_media import VARIANTS, Expected, write_variant

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("name", VARIANTS)
def test_a_broken_stack_is_lost_for_the_right_reason(name: str, tmp_path: Path) -> None:
    variant = VARIANTS[name]
    result = run_scenario(write_variant(variant, tmp_path), variant.event, tmp_path / "reports")

    steps = {step["step"]: step for step in result["scenarios"][0]["steps"]}
    judged = [(step["step"], step["verdict"], step["reasons"]) for step in steps.values()]
    assert (result["exit_code"], result["verdict"]) == (1, "lost"), judged
    assert steps["up"]["verdict"] == "kept", steps["up"]
    decided = [step for step in steps.values() if step["event"] == variant.event]
    assert any(step["verdict"] == "lost" for step in decided), decided
    findings = [finding for step in decided for finding in step["findings"]]
    assert found(findings, variant.expected), findings


def run_scenario(scenario: Path, event: str, reports: Path) -> dict[str, Any]:
    """What `persistence run` says of one event, as anybody would read it."""
    command = [
        *(sys.executable, "-m", "persistence_tests", "run", str(scenario)),
        *("--event", event, "--report-dir", str(reports), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout.strip(), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == result["exit_code"], done.stderr
    return result


def found(findings: list[dict[str, Any]], expected: Expected) -> bool:
    return any(
        finding["event"] == expected.event
        and finding["symptom"] == expected.symptom
        and tuple(finding["paths"]) == expected.paths
        and (finding["diagnosis"] or {}).get("rule") == expected.rule
        for finding in findings
    )
