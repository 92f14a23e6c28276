"""Input that makes no sense: said with its place and a remedy, exit code 64, and no engine is so much as asked.

The commands are given an engine that is not there: whoever connected to it would end with 2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import BOX, DIRECT, VOLUME, Entry, write_scenario
from tests.stacks.command import Command, Ended, made_below

pytestmark = pytest.mark.engine

NOBODY = "unix:///nonexistent/docker.sock"
SERVED = {"service": "web", "port": 8000, "url": "/files/{name}"}
WEB = {"compose": str(BOX / "compose.yaml"), "profiles": ["web"]}
COMMANDS = ["run", "validate"]
Say = Callable[..., Ended]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    def command(*arguments: str, engine: str = NOBODY) -> Ended:
        directory = tmp_path / "command"
        directory.mkdir()
        started = Command(*arguments, directory=directory, engine=engine)
        ended = started.ended()
        assert "Traceback" not in ended.said
        assert list(started.temporary.iterdir()) == []
        assert not (tmp_path / "reports").exists() or engine != NOBODY
        return ended

    return command


NAMED_AND_MISSING = [
    pytest.param(
        {"paths": {"volume": VOLUME, "direct": {**DIRECT, "service": "bax"}}},
        "the stack has no service `bax`", 2, '"bax"', "did you mean `box`?", id="service of a path",
    ),
    pytest.param(
        {"paths": {"volume": {"volume": "fles"}, "direct": DIRECT}},
        "the stack has no volume `fles`", 2, '"fles"', "did you mean `files`?", id="volume of a path",
    ),
    pytest.param(
        {"stack": WEB, "paths": {"direct": DIRECT, "api": {**SERVED, "port": 8001}}},
        "the service `web` does not publish its port 8001", 2, "8001", "it publishes `8000`", id="port",
    ),
    pytest.param(
        {"paths": {"direct": DIRECT, "api": {**SERVED, "service": "box"}}},
        "the service `box` does not publish its port 8000", 2, "8000", "it publishes none", id="no port at all",
    ),
    pytest.param(
        {"events": [{"kill": {"service": "bax"}}]},
        "the stack has no service `bax`", 4, '"bax"', "did you mean `box`?", id="service of an event",
    ),
    pytest.param(
        {"events": [{"volume-recreate": {"volume": "fles"}}]},
        "the stack has no volume `fles`", 4, '"fles"', "did you mean `files`?", id="volume of an event",
    ),
    pytest.param(
        {"events": ["restrat"]}, "restrat", 4, '"restrat"', "did you mean `restart`?", id="event",
    ),
    pytest.param(
        {"stack": {**WEB, "profiles": ["wbe"]}},
        "no service of the stack has the profile `wbe`", 1, '"wbe"', "did you mean `web`?", id="profile",
    ),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("parts", "what", "line", "text", "remedy"), NAMED_AND_MISSING)
def test_what_the_stack_does_not_have_is_said_with_its_place(
    say: Say,
    tmp_path: Path,
    command: str,
    parts: dict[str, Any],
    what: str,
    line: int,
    text: str,
    remedy: str,
) -> None:
    scenario = written(tmp_path, **parts)
    column = scenario.read_text().splitlines()[line - 1].index(text) + 1
    ended = say(*run_over(scenario, command))
    assert ended.code == 64, ended
    assert what in ended.stderr
    assert f"--> {scenario}:{line}:{column}\n" in ended.stderr
    assert remedy in ended.stderr


def written(directory: Path, **parts: Any) -> Path:
    events: list[Entry] = ["restart"]
    return write_scenario(directory, parts.pop("events", events), **parts)


def run_over(scenario: Path, command: str = "run", *options: str) -> list[str]:
    reports = [] if command == "validate" else ["--report-dir", str(scenario.parent / "reports")]
    return [*command.split(), str(scenario), *reports, *options]


@pytest.mark.parametrize("command", [*COMMANDS, "run --plan"])
def test_all_that_is_wrong_is_said_at_once(say: Say, tmp_path: Path, command: str) -> None:
    paths = {"volume": {"volume": "fles"}, "direct": {**DIRECT, "service": "bax"}}
    scenario = written(tmp_path, paths=paths, events=[{"kill": {"service": "bux"}}])
    ended = say(*run_over(scenario, command))
    assert ended.code == 64
    for wrong in ("fles", "bax", "bux"):
        assert f"`{wrong}`" in ended.stderr
    assert ended.stderr.count(f"--> {scenario}:") == 3


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "there is no compose file", id="missing"),
        pytest.param("services: [\n", "yaml", id="no YAML"),
        pytest.param("services: {box: {imag: debian}}\n", "imag", id="no Compose file"),
        pytest.param("", "empty", id="empty"),
    ],
)
def test_a_compose_file_that_cannot_be_read_is_said_to_be(
    say: Say, tmp_path: Path, command: str, content: str | None, said: str
) -> None:
    compose = tmp_path / "compose.yaml"
    if content is not None:
        compose.write_text(content)
    scenario = written(tmp_path, stack={"compose": "compose.yaml"})
    ended = say(*run_over(scenario, command))
    assert ended.code == 64, ended
    assert f"--> {scenario}:1:" in ended.stderr
    assert said in ended.stderr.lower()
    assert "help: " in ended.stderr


@pytest.mark.parametrize(
    ("given", "what"),
    [
        pytest.param("", "no scenario was found", id="empty directory"),
        pytest.param("missing.persistence.yaml", "there is no such scenario", id="missing"),
        pytest.param("compose.yaml", "the file's name is not that of a scenario", id="another file"),
    ],
)
def test_without_a_scenario_nothing_is_kept(say: Say, tmp_path: Path, given: str, what: str) -> None:
    place = tmp_path / "scenarios"
    place.mkdir()
    (place / "compose.yaml").write_text("services: {}\n")
    ended = say("run", str(place / given), "--report-dir", str(tmp_path / "reports"))
    assert ended.code == 64, ended
    assert what in ended.stderr
    assert "help: " in ended.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        pytest.param(["--event", "reboot"], "no step has the event 'reboot'", id="no event"),
        pytest.param(
            ["--event", "restart", "--event", "restrat"], "no step has the event 'restrat'", id="one of two"
        ),
        pytest.param(["--path", "proxy"], "no scenario has a path 'proxy'", id="no path"),
        pytest.param(["--frobnicate"], "No such option", id="no option"),
        pytest.param(["--seed", "many"], "is not a valid integer", id="no number"),
    ],
)
def test_a_choice_of_nothing_is_refused(say: Say, tmp_path: Path, options: list[str], what: str) -> None:
    ended = say(*run_over(written(tmp_path), "run", *options))
    assert ended.code == 64, ended
    assert what in ended.stderr


def test_a_stack_that_cannot_be_isolated_is_refused_and_leaves_nothing(say: Say, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {box: {image: 'debian:bookworm-slim', volumes: ['/srv/files:/files']}}\n"
    )
    stack = {"compose": "compose.yaml"}
    scenario = written(tmp_path, stack=stack, paths={"direct": DIRECT})
    engine = Engine.connect()
    ended = say(*run_over(scenario), engine=engine.url)
    assert ended.code == 64, ended
    assert "/srv/files" in ended.stderr
    assert "help: " in ended.stderr
    assert made_below(engine.client, tmp_path / "command" / "tmp") == []
    engine.close()
