"""10,000 files through the proxy against `wrk` on the same URLs.

The server is nginx with the files in the page cache, so that the client is what takes the time. Ours makes an
observation with a digest of every answer and pipelines nothing; wrk only counts. In requests a second.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, in_turn, insist, seconds
from benchmarks.served import Served, served

FILES, SIZE = 10_000, 4096
ROUNDS = 5
GOAL = 0.25
_ASK = """
local names, turn = {}, 0
init = function()  -- not before: until then wrk does not know the Host header
  for name in io.lines(os.getenv("NAMES")) do names[#names + 1] = wrk.format("GET", "/files/" .. name) end
end
request = function() turn = turn % #names + 1; return names[turn] end
"""


def figures() -> Iterator[Figure]:
    with served(FILES, SIZE) as stack, tempfile.TemporaryDirectory() as scratch:
        names, script = Path(scratch) / "names", Path(scratch) / "ask.lua"
        names.write_text("".join(f"{name}\n" for name in stack.names))
        script.write_text(_ASK)
        stack.verify("proxy")  # everything is in the page cache from here on
        ours, theirs = in_turn(
            lambda: FILES / seconds(lambda: stack.verify("proxy")),
            lambda: _wrk(stack, names, script),
            rounds=ROUNDS,
        )
    ratio = ours / theirs
    yield Figure("proxy", ratio, f"≥ {GOAL} of its requests", ratio >= GOAL, ours, theirs, "requests/s")


def _wrk(stack: Served, names: Path, script: Path) -> float:
    line = ["wrk", f"-t{os.cpu_count()}", "-c16", "-d2s", "-s", str(script), stack.url("proxy")]
    done = subprocess.run(
        line, env={**os.environ, "NAMES": str(names)}, check=True, capture_output=True, text=True
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    insist(found is not None and "Non-2xx" not in done.stdout, done.stdout)
    assert found is not None
    return float(found[1])
