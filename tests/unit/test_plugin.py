"""The pytest plugin without an engine: what it collects, refuses, and does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BOX = Path(__file__).parents[1] / "stacks" / "box"
HEAVY = (
    "docker",
    "pydantic",
    "requests",
    "rich",
    "jinja2",
    "testcontainers",
    "ruamel.yaml",
    "tenacity",
    "hypothesis",
)
SCENARIO = f"""
stack: {{ compose: {BOX / "compose.yaml"} }}
paths:
  direct: {{ service: box, root: /files }}
writes:
  - {{ through: direct, into: [.], files: 2 }}
events:
  - restart
  - kill
  - kill
"""


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    directory = pytester.mkdir("scenarios")
    (directory / "media.persistence.yaml").write_text(SCENARIO)
    return directory


def test_every_step_is_an_item(pytester: pytest.Pytester, scenarios: Path) -> None:
    result = pytester.runpytest("--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        f"scenarios/media.persistence.yaml::{step}" for step in ("up", "restart", "kill", "kill-2")
    ]
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (["-k", "kill"], ["kill", "kill-2"]),
        (["-m", "persistence and not slow"], ["up", "restart", "kill", "kill-2"]),
        (["scenarios/media.persistence.yaml::restart"], ["restart"]),
    ],
)
def test_items_are_chosen_as_any_other(
    pytester: pytest.Pytester, scenarios: Path, options: list[str], steps: list[str]
) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    result = pytester.runpytest("--collect-only", "-q", *options)
    chosen = [line.rsplit("::", 1)[1] for line in result.outlines if "yaml::" in line]
    assert chosen == steps


def test_a_bad_scenario_is_an_error_of_collection_with_its_place(
    pytester: pytest.Pytester, scenarios: Path
) -> None:
    (scenarios / "bad.persistence.yaml").write_text(SCENARIO.replace("- restart", "- restrat"))
    result = pytester.runpytest("-q")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    output = result.stdout.str()
    assert "bad.persistence.yaml:8:5" in output
    assert "help:" in output
    assert "Traceback" not in output
    assert "loader.py" not in output


def test_the_option_and_its_twin_in_the_ini_file(pytester: pytest.Pytester, scenarios: Path) -> None:
    pytester.makeini("[pytest]\npersistence_keep = sometimes")
    assert "--persistence-keep takes always, on-failure, never" in pytester.runpytest().stderr.str()
    assert pytester.runpytest("--collect-only", "--persistence-keep=always").ret == pytest.ExitCode.OK
    wrong = pytester.runpytest("--persistence-keep=always", "--persistence-seed=one")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert "--persistence-seed takes a number" in wrong.stderr.str()


def test_help_names_every_option(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--help").stdout.str()
    for name in ("seed", "engine", "report-dir", "keep"):
        assert f"--persistence-{name}" in text
        assert f"persistence_{name.replace('-', '_')}" in text


def test_without_an_engine_every_step_says_what_to_do(
    pytester: pytest.Pytester, scenarios: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(failed=4)
    output = result.stdout.str()
    assert output.count("error: no Docker engine answers at unix:///nonexistent.sock") >= 4
    assert "help: start Docker" in output
    assert "Traceback" not in output
    assert not (pytester.path / "reports").exists()


def test_other_tests_are_let_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one():\n    pass\n")
    result = pytester.runpytest("-q")
    result.assert_outcomes(passed=1)
    assert "persistence" not in result.stdout.str()


def test_loading_the_plugin_imports_nothing_heavy() -> None:
    code = f"""
import sys, persistence_tests.pytest_plugin
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
