"""Steps a minute of two scenarios with `pytest -n 2` on two engines, against both on one engine with one worker.

The second engine is started for it, on this machine: what is measured is how well workers keep out of each other's
way, and two engines on two processors can at best be twice as fast. Nothing is promised.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figure import Figure, in_turn, insist, seconds
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import DIRECT, write_scenario
from tests.stacks.own_engine import OwnEngine, why_not

ROUNDS = 3
EVENTS = ["restart", "stop-start", "kill", "recreate", "down-up"]
SCENARIOS = ("one", "two")
COMPOSE = """
services:
  box:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    volumes: [files:/files]
volumes:
  files: {}
"""


def figures() -> Iterator[Figure]:
    if reason := why_not():
        print(f"engines: left out, {reason}")
        return
    engine = Engine.connect()
    with (
        tempfile.TemporaryDirectory() as project,
        tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp") as place,
    ):
        for name in SCENARIOS:
            directory = Path(project) / name
            directory.mkdir()
            (directory / "compose.yaml").write_text(COMPOSE)
            write_scenario(directory, EVENTS, stack={"compose": "compose.yaml"}, paths={"direct": DIRECT})
        (Path(project) / "pytest.ini").write_text("[pytest]\n")
        second = OwnEngine(Path(place))
        try:
            second.start()
            second.load()
            two, one = in_turn(
                lambda: _steps_a_minute(project, [engine.url, second.url]),
                lambda: _steps_a_minute(project, [engine.url]),
                rounds=ROUNDS,
            )
        finally:
            second.close()
            engine.close()
    yield Figure("engines", two / one, "reported only", None, two, one, "steps/min")


def _steps_a_minute(project: str, engines: Sequence[str]) -> float:
    line = [sys.executable, "-m", "pytest", "-q", "-n", str(len(engines)), "--dist", "loadfile"]
    line += [f"--persistence-engine={engine}" for engine in engines]

    def run() -> None:
        done = subprocess.run(line, cwd=project, capture_output=True, text=True, check=False)
        insist(done.returncode == 0, done.stdout + done.stderr)

    return 60 * len(SCENARIOS) * (len(EVENTS) + 1) / seconds(run)
