"""`persistence run` on the media stack, eleven steps, against a script with the same Compose commands and waits.

The script (`by_hand.sh`) writes nothing, looks at nothing and has no control service: what is beyond it is all that
a verdict costs. Both begin with images in the build cache and end with nothing left. Wall time of whole processes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, in_turn, insist, seconds

ROUNDS = 3
RATIO_GOAL, STEP_GOAL = 1.10, 0.3
SCENARIO = Path("scenarios/media.persistence.yaml")
PROJECT = Path("compose-under-test/media")
STEPS = (
    *("up-2", "restart", "stop-start", "kill", "kill-2", "crash", "recreate", "down-up"),
    *("backup-restore", "volume-recreate", "down-volumes"),
)  # those that by_hand.sh has
_OVERRIDE = """
services:
  api: { container_name: !reset null, ports: !override ["127.0.0.1::8001"] }
  proxy: { ports: !override ["127.0.0.1::80"] }
"""


def figures() -> Iterator[Figure]:
    ours, theirs = in_turn(_ours, _theirs, rounds=ROUNDS)
    ratio, a_step = ours / theirs, (ours - theirs) / (len(STEPS) + 1)
    yield Figure("run", ratio, f"≤ {RATIO_GOAL:.2f}", ratio <= RATIO_GOAL, ours, theirs, "s")
    # Here the ratio is the time itself: seconds a step beyond the script, which has none.
    yield Figure("run-step", a_step, f"≤ {STEP_GOAL} s a step beyond", a_step <= STEP_GOAL, a_step, 0.0, "s")


def _ours() -> float:
    with tempfile.TemporaryDirectory() as reports:
        line = [sys.executable, "-m", "persistence_tests", "run", str(SCENARIO), "--report-dir", reports]
        for step in STEPS:
            line += ["--event", step]
        return seconds(lambda: _run(line, Path(), dict(os.environ)))


def _theirs() -> float:
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "media"
        shutil.copytree(PROJECT, project)
        (project / "bench.yaml").write_text(_OVERRIDE)
        environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": f"bench{secrets.token_hex(3)}",
            "COMPOSE_FILE": "compose.yaml:bench.yaml",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        return seconds(lambda: _run([str(Path("benchmarks/by_hand.sh").resolve())], project, environment))


def _run(line: list[str], directory: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(line, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    insist(done.returncode == 0, f"{line[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
