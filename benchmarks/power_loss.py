"""A power loss of the unchanged media stack, cut at once, against its bare commands.

Ours is a whole step: 50 acknowledged uploads before, every name verified on four paths after, both controls, the proof.
By hand it is `kill`, the ioctl on the disk, `rm` and `up --wait`, on a stack that stands as ours does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure, insist, seconds
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.scenario.scenario import Scenario
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.stack import Stack

CYCLES = 7
UPLOADS = 50
GOAL = 0.8  # seconds beyond the bare commands
PROJECT = Path("compose-under-test/media")


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as place:
        scenario = load(_scenario(Path(place)))
        ours = _ours(Path(place))
        theirs = _theirs(scenario, Path(place))
    beyond = ours - theirs
    # Here the ratio is the time itself: seconds beyond the commands.
    yield Figure("power-loss", beyond, f"≤ {GOAL} s beyond", beyond <= GOAL, ours, theirs, "s")
    yield Figure("power-loss-cycles", 60 / ours, "reported only", None, 60 / ours, 60 / theirs, "cycles/min")


def _scenario(directory: Path) -> Path:
    document: dict[str, Any] = {
        "stack": {
            "compose": str((PROJECT / "compose.yaml").resolve()),
            "ready": {"path": "proxy", "url": "/api/v1/health", "within": "60s"},
            "storage": "crash-disk",
        },
        "paths": {
            "volume": {"volume": "media_files"},
            "direct": {"service": "api", "root": "/home/app/assets/media-files"},
            "api": {"service": "api", "port": 8001, "url": "/media-files/{name}"},
            "proxy": {"service": "proxy", "port": 80, "url": "/media-files/{name}"},
        },
        "writes": [
            {
                "through": "api",
                "request": "POST /api/v1/media/{directory}",
                "multipart": "file",
                "into": ["uploads", "downloads"],
                "files": UPLOADS,
                "sizes": [4096, 65_536],
                "names": "plain",
            }
        ],
        "events": [{"power-loss": {"strict": False}}] * CYCLES,
    }
    file = directory / "media.persistence.yaml"
    file.write_text(json.dumps(document))  # which YAML contains
    return file


def _ours(directory: Path) -> float:
    """The median of the steps; what was written in earlier ones is verified as well."""
    line = [sys.executable, "-m", "persistence_tests", "run", str(directory / "media.persistence.yaml")]
    line += ["--json", "--report-dir", str(directory / "reports")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    insist(done.returncode == 0, done.stderr)
    steps = json.loads(done.stdout)["scenarios"][0]["steps"][1:]
    insist(len(steps) == CYCLES, "not every cycle was run")
    insist(all(step["written"]["ok"] >= UPLOADS for step in steps), "not every upload was acknowledged")
    return float(median(step["seconds"] for step in steps))


def _theirs(scenario: Scenario, directory: Path) -> float:
    engine = Engine.connect()
    with closing(engine), Run(Settings(directory / "by-hand", seed=0), engine) as run:
        stack = Stack.prepare(scenario.stack, engine, run.identity, "by-hand", run.secrets)
        with closing(stack):
            stack.build()
            stack.lay_on(scenario.stack.storage)
            stack.start()
            return median(_cycle(stack) for _ in range(CYCLES))


def _cycle(stack: Stack) -> float:
    insist(stack.laid is not None, "the stack does not lie on disks")
    assert stack.laid is not None
    station = stack.laid.station
    station.write_controls("by-hand")  # which mounts the disks where they are cut
    names = [str(each.id) for each in stack.containers()]

    def by_hand() -> None:
        _docker("kill", *names)
        station.cut()
        _docker("rm", *names)
        station.wait_free()
        stack.compose.run("up", "--detach", "--wait")

    return seconds(by_hand)


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    insist(done.returncode == 0, done.stderr)
