"""The plugin on a tiny stack: steps pass, fail, skip and are torn down as pytest's own tests are."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.compose import compose_binary
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import DIRECT, write_scenario

pytestmark = pytest.mark.engine
TALKING = r"""
services:
  box:
    image: debian:bookworm-slim
    init: true
    command: [bash, -c, 'echo -e "hello \033[31mred"; exec sleep infinity']
"""
LOSING = {"service": "box", "root": "/tmp"}  # the writable layer: `recreate` loses it


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    pytester.makeini("[pytest]\npersistence_report_dir = runs\npersistence_seed = 11")
    return pytester.mkdir("scenarios")


def nothing_is_left(engine: Engine, reports: Path) -> bool:
    runs = {path.name for path in reports.glob("*-*")}
    return bool(runs) and not [found for found in leftovers(engine).found if found.run in runs]


def test_a_loss_fails_with_its_block_and_the_next_step_is_judged_on_its_own(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    (scenarios / "talking.yaml").write_text(TALKING)
    write_scenario(
        scenarios, ["recreate", "restart"], stack={"compose": "talking.yaml"}, paths={"direct": LOSING}
    )
    result = pytester.runpytest_subprocess("-m", "persistence", "--junitxml=junit.xml")
    result.assert_outcomes(passed=2, failed=1)
    output = result.stdout.str()
    assert "error[PV001]: 6 names missing after `recreate` on direct" in output
    assert "persistence run scenarios/box.persistence.yaml --event recreate --seed 11" in output
    assert "FAILED scenarios/box.persistence.yaml::recreate - error[PV001]" in output
    assert "Captured log of box call" in output
    assert r"hello \x1b[31mred" in output
    assert "persistence: seed 11, report runs/" in output
    assert "Traceback" not in output
    assert ".py:" not in output.replace("conftest.py:", "")
    assert nothing_is_left(engine, pytester.path / "runs")

    cases = {
        case.get("name"): case for case in ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")
    }
    properties = {p.get("name"): p.get("value") for p in cases["recreate"].iter("property")}
    (run,) = {path.name for path in (pytester.path / "runs").glob("*-*")}
    assert properties == {
        "verdict": "lost",
        "event": "recreate",
        "step": "recreate",
        "seed": "11",
        "run": run,
        "report": f"runs/{run}",
        "findings": "PV001",
        "path.direct": "0/6",
    }
    failure = cases["recreate"].find("failure")
    assert failure is not None
    message = failure.get("message") or ""
    assert message.startswith("error[PV001]: 6 names missing")
    assert "--> scenarios/box.persistence.yaml:4:10" in message
    assert "Traceback" not in "".join(failure.itertext())
    assert cases["restart"].find("failure") is None


def test_the_first_failure_can_be_the_last_and_run_again(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    write_scenario(scenarios, ["recreate", "restart"], paths={"direct": LOSING})
    first = pytester.runpytest_subprocess("-x")
    first.assert_outcomes(passed=1, failed=1)
    assert "the run is not complete" not in first.stdout.str()
    again = pytester.runpytest_subprocess("--lf", "--persistence-report-dir=others")
    again.assert_outcomes(failed=1)
    assert nothing_is_left(engine, pytester.path / "runs")
    assert nothing_is_left(engine, pytester.path / "others")


def test_an_interrupt_tears_down_and_leaves_a_report(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    write_scenario(scenarios, ["restart"] * 20)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", "-v"], stdout=subprocess.PIPE, text=True, cwd=pytester.path
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "::up PASSED" in line:
            break
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert nothing_is_left(engine, pytester.path / "runs")
    (summary,) = (pytester.path / "runs").glob("*-*/summary.md")
    assert "**Not complete**: interrupted" in summary.read_text()


def test_fixtures_in_a_test_of_ones_own(engine: Engine, pytester: pytest.Pytester, scenarios: Path) -> None:
    file = write_scenario(scenarios, ["restart", "recreate"])
    pytester.makepyfile(
        f"""
        def test_one(persistence_scenario, persistence_run):
            box = persistence_scenario({str(file)!r})
            assert box.step("restart").verdict == "kept"
            assert box.step("recreate").verdict == "kept"
            assert persistence_run.settings.seed == 11

        def test_two(persistence_scenario):
            assert persistence_scenario({str(file)!r}).step("recreate").verdict == "kept"
        """
    )
    result = pytester.runpytest_subprocess("-k", "test_")
    result.assert_outcomes(passed=2, deselected=3)
    assert nothing_is_left(engine, pytester.path / "runs")


def test_a_stack_that_cannot_be_had_fails_every_step_with_words(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    (scenarios / "host.yaml").write_text(
        "services:\n  box:\n    image: debian:bookworm-slim\n    volumes: [/etc:/files]\n"
    )
    write_scenario(scenarios, ["restart"], stack={"compose": "host.yaml"}, paths={"direct": LOSING})
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=2)
    assert result.stdout.str().count("/etc") >= 2
    assert "Traceback" not in result.stdout.str()


def test_a_known_loss_passes_and_says_so_until_it_is_mended(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "step.md"))
    known = [{"event": "recreate", "symptom": "missing", "why": "no volume yet", "mended_after": 1}]
    write_scenario(scenarios, ["recreate", "restart"], paths={"direct": LOSING}, known=known)
    failing = pytester.runpytest_subprocess("-rP", "--junitxml=junit.xml")
    failing.assert_outcomes(passed=3)
    failing.stdout.fnmatch_lines(
        [
            "*known PV001: 6 names missing after `recreate` on direct: no volume yet (line 5)",
            "persistence: kept, with 1 known loss: 0 names wrong, 6 known to be, *",
        ]
    )
    (report,) = (path.parent for path in (pytester.path / "runs").glob("*-*/report.html"))
    assert "kept, with 1 known loss" in (report / "report.html").read_text()
    assert (pytester.path / "step.md").read_text() == (report / "summary.md").read_text()
    result = json.loads((report / "result.json").read_text())
    assert result["exit_code"] == 0
    assert [s["known"][0]["status"] for s in result["scenarios"]] == ["failing"]

    write_scenario(scenarios, ["recreate", "restart"], paths={"direct": DIRECT}, known=known)
    mended = pytester.runpytest_subprocess()
    mended.assert_outcomes(passed=2, failed=1)
    mended.stdout.fnmatch_lines(
        ["*the known loss on line 5, missing after `recreate` (no volume yet), is mended*"]
    )
    assert nothing_is_left(engine, pytester.path / "runs")


def test_what_failed_is_kept_to_be_looked_at(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    write_scenario(scenarios, ["recreate", "restart"], paths={"direct": LOSING})
    result = pytester.runpytest_subprocess("--persistence-keep=on-failure")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    (report,) = (pytester.path / "runs").glob("*-*/result.json")
    (kept,) = (scenario["kept"] for scenario in json.loads(report.read_text())["scenarios"])
    try:
        output = result.stdout.str()
        assert f"left running: {kept['project']}" in output
        assert shlex.join([*compose_binary(), "-p", kept["project"], "logs", "--timestamps"]) in output
        names = {container.name for container in engine.client.containers.list(ignore_removed=True)}
        assert f"{kept['project']}-box-1" in names
        assert kept["services"] == ["box"]
        for volume in kept["volumes"]:
            assert volume in output and engine.client.volumes.get(volume).name == volume
        assert (Path(kept["workspace"]) / "compose.yaml").is_file()
        assert kept["project"] in (report.parent / "report.html").read_text()
    finally:
        assert not remove(
            engine,
            Leftovers(tuple(found for found in leftovers(engine).found if found.run == report.parent.name)),
        )
    assert nothing_is_left(engine, pytester.path / "runs")
