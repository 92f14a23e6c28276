"""`persistence replay` on a tiny stack: what loses does so every time, and once it is mended in none."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from persistence_tests.stack.cleanup import leftovers
from persistence_tests.stack.engine import Engine
from tests.engine.test_cli_run import persistence
from tests.stacks.box_scenario import BOX, write_scenario

pytestmark = pytest.mark.engine

LAYER = {"direct": {"service": "box", "root": "/srv", "within": "500ms"}}


def test_a_loss_is_shown_again_in_every_round_and_the_fix_is_proven(engine: Engine, tmp_path: Path) -> None:
    shutil.copytree(BOX, tmp_path / "box")
    write_scenario(tmp_path, ["recreate"], paths=LAYER, stack={"compose": "box/compose.yaml"})
    first = persistence("run", "box.persistence.yaml", "--seed", "7", cwd=tmp_path)
    assert first.returncode == 1, first.stdout + first.stderr
    (recorded,) = (tmp_path / "reports").glob("2*")

    lossy = persistence("replay", str(recorded), "-n", "2", cwd=tmp_path)
    assert lossy.returncode == 1, lossy.stdout + lossy.stderr
    assert "\nmissing after recreate: 2/2 lost, 0 kept, 0 inconclusive\n" in lossy.stdout
    assert "changed since" not in lossy.stdout
    assert len(re.findall(r"^  ✗ round [12]  lost ", lossy.stdout, re.MULTILINE)) == 2

    compose = tmp_path / "box" / "compose.yaml"
    compose.write_text(compose.read_text().replace("[files:/files]", "[files:/srv]", 1))
    mended = persistence("replay", str(recorded / "history.jsonl"), "-n", "2", "--json", cwd=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert "\nmissing after recreate: 0/2 lost, 2 kept, 0 inconclusive\n" in mended.stderr
    assert "changed since: the stack's configuration (services.box.volumes)\n" in mended.stderr
    result = json.loads(mended.stdout)
    (step,) = result["steps"]
    assert (result["seed"], step["step"], step["lost"], step["kept"]) == (7, "recreate", 0, 2)

    directory = tmp_path / "reports" / result["replay_id"]
    assert json.loads((directory / "replay.json").read_text()) == result
    assert {path.name for path in directory.iterdir()} == {"replay.json", "round-1", "round-2"}
    for each in step["rounds"]:
        again = persistence("check", str(directory / each["report"]), "--json", cwd=tmp_path)
        assert json.loads(again.stdout)["verdict"] == "kept"
    assert (tmp_path / "reports" / "latest").resolve() == recorded
    runs = {path.name for path in (tmp_path / "reports").glob("2*")}
    assert [
        found for found in leftovers(engine).found if any(found.run.startswith(run) for run in runs)
    ] == []
