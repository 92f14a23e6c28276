"""`persistence run` on a tiny stack: what it prints, writes and leaves, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from persistence_tests.report.result import json_schema
from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import write_scenario

pytestmark = pytest.mark.engine
LOSING = {"service": "box", "root": "/tmp"}  # the writable layer: `recreate` loses it


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "persistence_tests", *arguments]


def persistence(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, timeout=300, check=False
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def removed(engine: Engine, tmp_path: Path) -> Iterator[None]:
    """Removes, of the runs that reported into `tmp_path`, what is left; nothing of anybody else."""
    yield
    runs = {path.name for path in (tmp_path / "reports").glob("*-*")}
    mine = Leftovers(tuple(found for found in leftovers(engine).found if found.run in runs))
    assert remove(engine, mine) == []


def left(engine: Engine, run: str) -> list[str]:
    return [found.name for found in leftovers(engine).found if found.run == run]


@pytest.mark.usefixtures("removed")
def test_a_sound_stack_is_kept_and_nothing_is_left(engine: Engine, tmp_path: Path) -> None:
    write_scenario(tmp_path, ["restart"])
    done = persistence("run", "box.persistence.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    jsonschema.validate(result, json_schema(), jsonschema.Draft202012Validator)
    assert (result["verdict"], result["complete"]) == ("kept", True)
    directory = tmp_path / "reports" / result["run_id"]
    assert json.loads((directory / "result.json").read_text()) == result
    assert (tmp_path / "reports" / "latest").resolve() == directory
    assert {path.name for path in directory.iterdir()} >= {
        "history.jsonl",
        "result.json",
        "summary.md",
        "logs",
    }
    assert "stack up, ready after" in done.stderr
    assert left(engine, result["run_id"]) == []

    again = persistence("check", str(directory), "--json", cwd=tmp_path)
    assert json.loads(again.stdout) == result


@pytest.mark.usefixtures("removed")
def test_a_loss_is_1_says_why_and_what_is_kept_can_be_looked_at(engine: Engine, tmp_path: Path) -> None:
    write_scenario(tmp_path, ["recreate", "restart"], paths={"direct": LOSING})
    done = persistence(
        "run",
        "box.persistence.yaml",
        "--event",
        "recreate",
        "--seed",
        "7",
        "--keep",
        "on-failure",
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error[PV001]: 6 names missing after `recreate` on direct" in done.stdout
    assert "= cause: no volume is mounted at /tmp of service box" in done.stdout
    assert "persistence run box.persistence.yaml --event recreate --seed 7" in done.stdout
    (project,) = re.findall(r"left running: (\S+)", done.stdout)
    (listing,) = re.findall(r"^ +containers +(.+)$", done.stdout, re.MULTILINE)
    looked = subprocess.run(shlex.split(listing), capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stderr
    assert f"{project}-box-1" in looked.stdout

    path = next((tmp_path / "reports").glob("*-*"))
    again = persistence("check", str(path), cwd=tmp_path)
    assert again.returncode == 1
    block = re.search(r"^error\[.*?^Reproduce with:\n\n[^\n]+\n", done.stdout, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block.group() in again.stdout


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_130_with_what_is_known_so_far_and_nothing_left(
    number: signal.Signals, engine: Engine, tmp_path: Path
) -> None:
    write_scenario(tmp_path, ["restart"] * 20)
    process = subprocess.Popen(
        command("run", "box.persistence.yaml", "--json"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "✓ up" in line:
            break
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    result = json.loads(stdout)
    assert (result["exit_code"], result["complete"], result["stopped"]) == (130, False, "interrupted")
    assert result["scenarios"][0]["steps"][0]["verdict"] == "kept"
    assert "the run is not complete: interrupted" in stderr
    assert "not run: " in stderr
    assert left(engine, result["run_id"]) == []


@pytest.mark.usefixtures("removed")
def test_a_scenario_that_compose_refuses_is_64(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("services:\n  box:\n    image: 7\n    volumes: [nowhere:/x]\n")
    write_scenario(tmp_path, ["restart"], stack={"compose": "broken.yaml"})
    done = persistence("run", "box.persistence.yaml", cwd=tmp_path)
    assert done.returncode == 64, done.stderr
    assert "box.persistence.yaml" in done.stderr


@pytest.mark.usefixtures("removed")
def test_two_scenarios_of_one_name_are_judged_apart(tmp_path: Path) -> None:
    for place, root in (("one", "/files"), ("two", "/tmp")):
        (tmp_path / place).mkdir()
        write_scenario(tmp_path / place, ["recreate"], paths={"direct": {"service": "box", "root": root}})
    done = persistence("run", "one", "two", "--json", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    scenarios = json.loads(done.stdout)["scenarios"]
    assert [(each["name"], each["verdict"]) for each in scenarios] == [("box", "kept"), ("box-2", "lost")]
    assert len({each["project"] for each in scenarios}) == 2


def test_doctor_says_what_this_machine_can_do(tmp_path: Path, engine: Engine) -> None:
    before = {found.name for found in leftovers(engine).found}
    done = persistence("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    said = dict(re.findall(r"^✓ (.{16}) (.*)$", done.stdout, re.MULTILINE))
    assert {name.strip() for name in said} >= {"compose", "engine", "helper image", "crash disks", "machines"}
    assert "cut and mounted again" in said["crash disks     "]
    assert said["machines        "] == "a container may be a Docker host of its own"
    assert {found.name for found in leftovers(engine).found} <= before
