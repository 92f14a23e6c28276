"""Long: each broken variant five times, and 200 sound steps without a finding and without an `inconclusive`.

make soak
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.scenario import load
from tests.engine.test_variants import test_a_broken_stack_is_lost_for_the_right_reason as assert_is_lost
from tests.variants.broken_media import SCENARIO, VARIANTS

pytestmark = [pytest.mark.engine, pytest.mark.soak]

STEPS = 200
STEPS_A_ROUND = len(load(SCENARIO).steps) + 1  # and `up`
TIMES = 5


@pytest.mark.parametrize("time", range(TIMES))
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_lost_every_time(name: str, time: int, tmp_path: Path) -> None:
    assert_is_lost(name, tmp_path)


@pytest.mark.parametrize("turn", range(-(-STEPS // STEPS_A_ROUND)))
def test_sound_steps_are_kept(turn: int, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "persistence_tests", "run", str(SCENARIO)),
        *("--seed", str(turn), "--report-dir", str(tmp_path), "--json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    result: dict[str, Any] = json.loads(done.stdout)
    steps = result["scenarios"][0]["steps"]

    assert len(steps) == STEPS_A_ROUND
    assert [
        (step["step"], step["reasons"], step["findings"]) for step in steps if step["verdict"] != "kept"
    ] == []
    assert done.returncode == 0
