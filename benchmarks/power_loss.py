"""A power loss of the unchanged media stack, and of the whole host that it runs on, against their bare commands.

Ours is a whole step: 50 acknowledged uploads before, every name verified on four paths after, both controls, the proof.
By hand it is, on a stack that stands as ours does: `kill`, the ioctl on the disk, `rm` and `up --wait`; for the host
the ioctl, `kill` of the machine, `start`, and waiting until what starts by itself is healthy.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure, in_turn, insist, seconds
from persistence_tests.events.disk_event import station_of
from persistence_tests.events.waiting import wait_healthy
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.scenario.scenario import Scenario
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.stack import Stack

ROUNDS = 3
CYCLES = 3  # a round; each verifies what was uploaded before the earlier ones too
UPLOADS = 50
PROJECT = Path("compose-under-test/media")


@dataclass(frozen=True, slots=True)
class Loss:
    event: str
    entry: dict[str, Any]
    isolation: str
    storage: str | None
    goal: float
    """Seconds beyond the bare commands."""
    by_hand: Callable[[Stack], float]


def figures() -> Iterator[Figure]:
    for loss in LOSSES:
        with tempfile.TemporaryDirectory() as place:
            scenario = load(_scenario(loss, Path(place)))
            ours, theirs = in_turn(
                partial(_ours, Path(place)), partial(_theirs, loss, scenario, Path(place)), rounds=ROUNDS
            )
        beyond = ours - theirs
        # Here the ratio is the time itself: seconds beyond the commands.
        yield Figure(loss.event, beyond, f"≤ {loss.goal} s beyond", beyond <= loss.goal, ours, theirs, "s")
        cycles = f"{loss.event}-cycles"
        yield Figure(cycles, 60 / ours, "reported only", None, 60 / ours, 60 / theirs, "cycles/min")


def _scenario(loss: Loss, directory: Path) -> Path:
    document: dict[str, Any] = {
        "stack": {
            "compose": str((PROJECT / "compose.yaml").resolve()),
            "ready": {"path": "proxy", "url": "/api/v1/health", "within": "60s"},
            "isolation": loss.isolation,
            **({"storage": loss.storage} if loss.storage else {}),
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
        "events": [{loss.event: loss.entry}] * CYCLES,
    }
    file = directory / "media.persistence.yaml"
    file.write_text(json.dumps(document))  # which YAML contains
    return file


def _ours(directory: Path) -> float:
    """The median of the steps."""
    line = [sys.executable, "-m", "persistence_tests", "run", str(directory / "media.persistence.yaml")]
    line += ["--json", "--report-dir", str(directory / "reports")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    insist(done.returncode == 0, done.stderr)
    steps = json.loads(done.stdout)["scenarios"][0]["steps"][1:]
    insist(len(steps) == CYCLES, "not every cycle was run")
    insist(all(step["written"]["ok"] >= UPLOADS for step in steps), "not every upload was acknowledged")
    return float(median(step["seconds"] for step in steps))


def _theirs(loss: Loss, scenario: Scenario, directory: Path) -> float:
    engine = Engine.connect()
    with closing(engine), Run(Settings(directory / "by-hand", seed=0), engine) as run:
        stack = Stack.prepare(scenario.stack, engine, run.identity, "by-hand", run.secrets)
        with closing(stack):
            stack.build()
            stack.lay_on(scenario.stack.storage or Media())
            stack.start()
            wait_healthy(stack)
            return median(loss.by_hand(stack) for _ in range(CYCLES))


def _power_loss(stack: Stack) -> float:
    station = station_of(stack)
    station.write_controls("by-hand")  # which mounts the disks where they are cut
    names = [str(each.id) for each in stack.containers()]

    def by_hand() -> None:
        _docker("kill", *names)
        station.cut()
        _docker("rm", *names)
        station.wait_free()
        stack.compose.run("up", "--detach", "--wait")

    return seconds(by_hand)


def _host_power_loss(stack: Stack) -> float:
    station, machine = station_of(stack), stack.machine
    machine.sync()
    station.write_controls("by-hand")

    def by_hand() -> None:
        station.cut()
        _docker("kill", machine.disk)
        station.wait_free()
        _docker("start", machine.disk)
        machine.wait_engine()
        insist(wait_healthy(stack), "the stack does not come back")

    return seconds(by_hand)


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    insist(done.returncode == 0, done.stderr)


LOSSES = (
    Loss("power-loss", {"strict": False}, "override", "crash-disk", 0.8, _power_loss),
    Loss("host-power-loss", {}, "machine", None, 2.0, _host_power_loss),
)
