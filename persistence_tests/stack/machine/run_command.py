"""Runs one command of the stack's own in the machine: what it is comes as a line of JSON, its exit code goes back.

The command has a session of its own, whose number is in /run/persistence-command while it runs.
"""

import json
import subprocess
import sys
from pathlib import Path

SESSION = Path("/run/persistence-command")

asked = json.loads(sys.stdin.readline())
Path(asked["home"]).mkdir(parents=True, exist_ok=True)
with subprocess.Popen(
    ["bash", "-c", asked["line"]],
    cwd=asked["directory"],
    env=asked["environment"],
    stdin=subprocess.DEVNULL,
    stderr=subprocess.STDOUT if asked["together"] else None,
    start_new_session=True,
) as process:
    SESSION.write_text(str(process.pid))
    code = process.wait()
# A shell's way to say that a signal ended it.
sys.exit(128 - code if code < 0 else code)
