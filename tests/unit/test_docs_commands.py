"""Documents name what exists: workflows are YAML, and every command and option in them is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from persistence_tests.cli import cli, exit_code
from persistence_tests.events import EVENTS
from persistence_tests.report import files
from tests.stacks.documents import DOCS, blocks, commands

DOCUMENTS = ("ci.md", "crash-loss.md", "your-own-stack.md")


def parsed(name: str, words: list[str]) -> None:
    """A command line of ours; raises for a command or an option that is none."""
    with cli.make_context("persistence", [name, *words]) as group:
        cli.commands[name].make_context(name, words, parent=group).close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_one(document: str, pytestconfig: pytest.Config) -> None:
    found = list(commands(document))
    assert len(found) > 3
    for line in found:
        program, *words = shlex.split(line.replace("…", ""))
        if program == "pytest":
            pytestconfig._parser.parse(words)  # its usage error names an option that is unknown
        else:
            name, *rest = words
            parsed(name, rest)
            events = [rest[at + 1] for at, word in enumerate(rest) if word == "--event"]
            assert set(events) <= EVENTS.keys()


def test_a_command_that_is_none_is_found_out(pytestconfig: pytest.Config) -> None:
    with pytest.raises(click.NoSuchOption):
        parsed("run", ["--nope"])
    with pytest.raises(pytest.UsageError):
        pytestconfig._parser.parse(["--persistence-nope"])


def test_the_workflows_of_both_systems_are_whole() -> None:
    github, step, gitlab = (YAML(typ="safe").load(b.text) for b in blocks("ci.md") if b.language == "yaml")
    steps = github["jobs"]["persistence"]["steps"]
    assert all(("uses" in each) != ("run" in each) for each in [*steps, *step])
    assert github["on"].keys() == {"pull_request", "push", "schedule"}
    job = gitlab["persistence"]
    assert all(isinstance(line, str) for line in job["before_script"] + job["script"])
    for text in (github, gitlab):
        assert "-m persistence scenarios --junit-xml=reports/junit.xml" in str(text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_reports_that_are_named_are_written(document: str) -> None:
    written = set(re.findall(r'directory / "([\w.]+)"', Path(files.__file__).read_text())) | {"history.jsonl"}
    named = set(re.findall(r"reports/latest/([\w.]+)", (DOCS / document).read_text()))
    assert named and named <= written


@pytest.mark.parametrize("document", DOCUMENTS)
def test_pages_that_are_linked_are_there(document: str) -> None:
    for page in re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / document).read_text()):
        assert (DOCS / page).is_file(), page


def test_the_stack_of_the_page_has_the_first_scenario_that_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    shell = [block.text for block in blocks("your-own-stack.md") if block.language == "sh"]
    [heredoc] = [text for text in shell if text.startswith("cat > compose.yaml")]
    (tmp_path / "compose.yaml").write_text(heredoc.partition("\n")[2].rpartition("EOF")[0])
    assert exit_code(["init"]) == 0
    said = capfd.readouterr().out
    shown: Any = next(block.text for block in blocks("your-own-stack.md") if block.language == "text")
    assert shown.strip() in said
