"""Nothing that was not shown is kept: writes that all fail, pages that stand for every file, or for a while."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import BOX, DIRECT, VOLUME, WRITES, Entry, write_scenario
from tests.stacks.command import Command, made_below

pytestmark = pytest.mark.engine

EVENTS: list[Entry] = ["restart"]
DESTROYED: list[Entry] = ["restart", "down-volumes"]
SERVED = {"service": "web", "port": 8000, "url": "/files/{name}"}
AT_ONCE = {**SERVED, "within": "1s"}
MAINTAINED = """
touch /files/.maintenance
cat > /files/{name}
until [ -e /files/.told ]; do sleep 0.05; done
rm /files/.maintenance /files/.told
"""
POSTED = {**WRITES, "through": "api", "request": "POST /files/{name}"}
READ_ONLY = "services: {box: {volumes: ['files:/files:ro']}}\n"

Result = dict[str, Any]
Judge = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Judge]:
    """`persistence run` over the box: its result.json. It never leaves anything."""
    started: list[Command] = []

    def judged(**parts: Any) -> Result:
        scenario = write_scenario(tmp_path, parts.pop("events", EVENTS), **parts)
        arguments = ("run", str(scenario), "--report-dir", str(tmp_path / "reports"), "--json")
        started.append(Command(*arguments, directory=tmp_path))
        ended = started[-1].ended()
        assert "Traceback" not in ended.said
        result: Result = json.loads(ended.stdout)
        assert ended.code == result["exit_code"]
        return result

    yield judged
    for command in started:
        command.kill()
    engine = Engine.connect()
    left = made_below(engine.client, tmp_path / "tmp")
    engine.close()
    assert left == []


def web(behaviour: str) -> dict[str, Any]:
    """The part `stack` with the service `web`."""
    return {
        "compose": str(BOX / "compose.yaml"),
        "profiles": ["web"],
        "env": {"BEHAVIOUR": behaviour},
        "ready": {"path": "api", "url": "/health", "within": "20s"},
    }


def verdicts(result: Result) -> dict[str, str]:
    return {step["step"]: step["verdict"] for step in result["scenarios"][0]["steps"]}


def reasons(result: Result) -> list[str]:
    return [reason for step in result["scenarios"][0]["steps"] for reason in step["reasons"]]


def test_the_same_stack_keeps_what_is_written_to_it(run: Judge) -> None:
    result = run(
        stack=web("honest"), paths={"volume": VOLUME, "direct": DIRECT, "api": SERVED}, writes=[POSTED]
    )
    assert verdicts(result) == {"up": "kept", "restart": "kept"}
    assert result["exit_code"] == 0


def test_writes_to_a_wrong_url_keep_nothing(run: Judge) -> None:
    wrong = {**POSTED, "request": "POST /upload/{name}"}
    result = run(stack=web("honest"), paths={"volume": VOLUME, "api": SERVED}, writes=[wrong])
    assert_inconclusive(result)


def test_writes_to_a_read_only_mount_keep_nothing(run: Judge, tmp_path: Path) -> None:
    (tmp_path / "read-only.yaml").write_text(READ_ONLY)
    files = [str(BOX / "compose.yaml"), str(tmp_path / "read-only.yaml")]
    assert_inconclusive(run(stack={"compose": files}))


def test_one_rule_that_writes_is_not_enough(run: Judge) -> None:
    wrong = {**POSTED, "request": "POST /upload/{name}"}
    result = run(stack=web("honest"), paths={"direct": DIRECT, "api": SERVED}, writes=[WRITES, wrong])
    assert "kept" not in verdicts(result).values()
    assert result["exit_code"] == 2
    assert any(
        reason.startswith("of the writes of rule 1 (")
        and "none was acknowledged; the last answer: " in reason
        for reason in reasons(result)
    )


def assert_inconclusive(result: Result) -> None:
    assert set(verdicts(result).values()) == {"inconclusive"}
    assert result["verdict"] == "inconclusive"
    assert result["exit_code"] == 2
    assert any("none was acknowledged" in reason for reason in reasons(result))
    assert all(step["written"]["ok"] == 0 for step in result["scenarios"][0]["steps"])


def test_an_index_page_for_everything_is_never_kept(run: Judge) -> None:
    result = run(stack=web("deaf"), paths={"api": AT_ONCE, "proxy": AT_ONCE}, writes=[POSTED])
    assert "kept" not in verdicts(result).values()
    assert verdicts(result)["up"] == "lost"
    assert result["exit_code"] == 1
    [finding] = result["scenarios"][0]["steps"][0]["findings"]
    assert (finding["symptom"], finding["paths"]) == ("masked", ["api", "proxy"])


def test_a_path_that_answers_everything_is_told_of(run: Judge, tmp_path: Path) -> None:
    paths = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
    result = run(stack=web("index"), paths=paths, writes=[POSTED], events=DESTROYED)
    assert result["exit_code"] == 0, result
    assert verdicts(result) == {"up": "kept", "restart": "kept", "down-volumes": "kept"}
    [scenario] = result["scenarios"]
    told = "api cannot show that a file is gone: asked for a name never written, it answered 200"
    assert any(note.startswith(told) for note in scenario["notes"])
    assert "api cannot show that a name is absent" in reasons(result)
    [summary] = (tmp_path / "reports").glob("2*/summary.md")
    assert told in summary.read_text()


def test_only_paths_that_cannot_show_absence_show_no_destruction(run: Judge) -> None:
    result = run(stack=web("index"), paths={"api": SERVED}, writes=[POSTED], events=DESTROYED)
    assert verdicts(result)["restart"] == "kept"
    assert verdicts(result)["down-volumes"] != "kept"
    assert result["exit_code"] != 0


def test_a_page_with_200_in_the_place_of_files_is_masked_be_it_during_an_event_only(run: Judge) -> None:
    import_file = {"service": "box", "command": f"sh -ec '{MAINTAINED}'", "while": "reading"}
    paths = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
    result = run(stack=web("polite"), paths=paths, writes=[POSTED], events=[{"run-once": import_file}])
    assert verdicts(result) == {"up": "kept", "run-once": "lost"}
    step = result["scenarios"][0]["steps"][1]
    [finding] = step["findings"]
    assert (finding["symptom"], finding["paths"]) == ("masked", ["api"])
    assert all(line.endswith("on api while the event was applied") for line in finding["evidence"])
    assert step["paths"]["api"]["ok"] == step["paths"]["api"]["checked"] > 0
