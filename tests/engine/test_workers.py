"""pytest-xdist: every worker has a project of its own, on an engine of its own; one report tells of all."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.compose import compose_binary
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import DIRECT, write_scenario
from tests.stacks.own_engine import OwnEngine, why_not

pytestmark = pytest.mark.engine
LOSING = {"service": "box", "root": "/tmp"}  # the writable layer: `recreate` loses it
UNBUILT = """
services:
  box:
    image: debian:bookworm-slim
    init: true
    command: [sleep, infinity]
    volumes: [files:/files]
volumes:
  files: {}
"""


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    pytester.makeini("[pytest]\npersistence_report_dir = runs\npersistence_seed = 11")
    return pytester.mkdir("scenarios")


def the_report(pytester: pytest.Pytester) -> tuple[Path, dict[str, Any]]:
    (report,) = (path.parent for path in (pytester.path / "runs").glob("*-*/report.html"))
    assert (pytester.path / "runs" / "latest").readlink() == Path(report.name)
    return report, json.loads((report / "result.json").read_text())


def left(engine: Engine, report: Path) -> Leftovers:
    """Of all workers of a run."""
    return Leftovers(
        tuple(found for found in leftovers(engine).found if found.run.startswith(f"{report.name}-gw"))
    )


def test_a_scenario_in_pieces_is_judged_all_the_same(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    """`-n 2` alone deals out items one by one: each worker brings the stack up for its own."""
    write_scenario(scenarios, ["restart", "recreate"], paths={"direct": LOSING})
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2, failed=1)
    report, told = the_report(pytester)
    verdicts = [(step["step"], step["verdict"]) for s in told["scenarios"] for step in s["steps"]]
    assert sorted(set(verdicts)) == [("recreate", "lost"), ("restart", "kept"), ("up", "kept")]
    assert {s["name"] for s in told["scenarios"]} == {"box", "box-2"}
    assert len({s["project"] for s in told["scenarios"]}) == 2
    assert (told["complete"], told["exit_code"], told["seed"]) == (True, 1, 11)
    assert sorted(path.parent.name for path in report.glob("gw*/history.jsonl")) == ["gw0", "gw1"]
    assert {"box-box.log", "box-2-box.log"} <= {path.name for path in (report / "logs").iterdir()}
    assert f"persistence: seed 11, report runs/{report.name}/" in result.stdout.str()
    assert not left(engine, report)


def test_the_first_failure_ends_the_session_and_cleans_up(
    engine: Engine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    write_scenario(scenarios, ["recreate", *["restart"] * 6], paths={"direct": LOSING})
    result = pytester.runpytest_subprocess("-n", "1", "-x", "--dist", "loadfile")
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["passed"] < 7
    report, told = the_report(pytester)
    assert (told["verdict"], told["complete"], told["exit_code"]) == ("lost", False, 1)
    assert "stopping after 1 failures" in told["stopped"]
    assert not left(engine, report)


@pytest.fixture
def second() -> Iterator[OwnEngine]:
    if reason := why_not():
        pytest.skip(reason)
    directory = Path(mkdtemp(prefix="pt-", dir="/tmp"))
    own = OwnEngine(directory)
    try:
        own.start()
        own.load()
        yield own
    finally:
        own.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_each_worker_takes_an_engine(
    engine: Engine, second: OwnEngine, pytester: pytest.Pytester, scenarios: Path
) -> None:
    for name in ("one", "two"):
        (scenarios / name).mkdir()
        (scenarios / name / "compose.yaml").write_text(UNBUILT)
        write_scenario(
            scenarios / name, ["restart"], stack={"compose": "compose.yaml"}, paths={"direct": DIRECT}
        )
    urls = [engine.url, second.url]
    chosen = [f"--persistence-engine={url}" for url in urls]
    result = pytester.runpytest_subprocess(
        "-n", "2", "--dist", "loadfile", "--persistence-keep=always", *chosen
    )
    report, told = the_report(pytester)
    own = Engine.connect(second.url)
    try:
        result.assert_outcomes(passed=4)
        kept = {s["kept"]["engine"]: s["project"] for s in told["scenarios"]}
        assert sorted(kept) == sorted(urls)
        for url, there in ((engine.url, engine), (second.url, own)):
            names = {container.name for container in there.client.containers.list(ignore_removed=True)}
            assert {project for project in kept.values() if f"{project}-box-1" in names} == {kept[url]}
            listing = shlex.join([*compose_binary(), "-p", kept[url], "ps", "--all"])
            assert f"DOCKER_HOST={url} {listing}" in result.stdout.str()
    finally:
        failures = [*remove(engine, left(engine, report)), *remove(own, left(own, report))]
        own.close()
    assert not failures
