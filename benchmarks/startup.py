"""How long `persistence --help` takes, and what the plugin adds to pytest where nobody uses it.

The other sides: the bare interpreter (`python -c pass`), and the same pytest without the plugin, both in the
directory of a project with one test and no scenario. Wall time of whole processes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figure import Figure, in_turn, seconds

ROUNDS = 21
HELP_GOAL, PLUGIN_GOAL = 0.200, 0.050


def figures() -> Iterator[Figure]:
    here = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as project:
        (Path(project) / "test_nothing.py").write_text("def test_nothing():\n    pass\n")

        def takes(*line: str) -> Callable[[], float]:
            return lambda: seconds(lambda: subprocess.run(line, cwd=project, check=True, capture_output=True))

        collect = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
        ours, theirs = in_turn(
            takes(str(here / "persistence"), "--help"), takes(sys.executable, "-c", "pass"), rounds=ROUNDS
        )
        yield Figure(
            "help", ours / theirs, "ours ≤ 200 ms", ours <= HELP_GOAL, ours * 1e3, theirs * 1e3, "ms"
        )
        ours, theirs = in_turn(takes(*collect), takes(*collect, "-p", "no:persistence"), rounds=ROUNDS)
        met = ours - theirs <= PLUGIN_GOAL
        yield Figure("plugin", ours / theirs, "ours - theirs ≤ 50 ms", met, ours * 1e3, theirs * 1e3, "ms")
