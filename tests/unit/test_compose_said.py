"""What is told of a command of Compose that failed: its reason, not its progress."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from persistence_tests.stack import compose as seam
from persistence_tests.stack.compose import Compose, ComposeFailed, ServicesNotStarted, told

WARNING = 'time="2026-01-01T00:00:00Z" level=warning msg="The \\"X\\" variable is not set."'
PROGRESS = [
    WARNING,
    " Network box_default Creating ",
    " Volume box_data Created ",
    " Container box-init-1 Recreate ",
    " Container box-init-1 Recreated ",
    " Container box-app-1 Building",
    " Image box-app Built ",
    " Container box-init-1 Waiting ",
    " Container box-init-1 Exited ",
]
NOT_STARTED = [
    "dependency failed to start: container box-db-1 is unhealthy",
    "dependency failed to start: container box-db-1 exited (3)",
    'service "init" didn\'t complete successfully: exit 1',
]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Compose:
    """A Compose whose every command says the lines of `said` in its environment, and fails."""
    script = "import os, sys; sys.stderr.write(os.environ['SAID']); sys.exit(1)"
    monkeypatch.setattr(seam, "compose_binary", lambda: (sys.executable, "-c", script))
    return Compose("unix:///nowhere", "box", tmp_path, (tmp_path / "compose.yaml",))


def test_progress_and_warnings_are_not_the_reason() -> None:
    assert told("\n".join([*PROGRESS, "no space left on device"])) == ["no space left on device"]


def test_where_nothing_else_was_said_all_of_it_is_told() -> None:
    assert [line.rstrip() for line in told("\n".join(PROGRESS))] == [line.rstrip() for line in PROGRESS]


@pytest.mark.parametrize(
    "line", ["Container is on fire", "Image box-app: not found", "Volume box_data is in use by someone"]
)
def test_a_reason_that_begins_like_progress_is_told(line: str) -> None:
    assert told("\n".join([*PROGRESS, line])) == [line]


@pytest.mark.parametrize("reason", NOT_STARTED)
@pytest.mark.parametrize("command", ["up", "start"])
def test_a_service_on_which_others_depend_is_told_apart(failing: Compose, command: str, reason: str) -> None:
    said = "\n".join([*PROGRESS, f" Container box-db-1 Error {reason}", reason])
    with pytest.raises(ServicesNotStarted) as failed:
        failing.run(command, "-d", env={"SAID": said})
    assert failed.value.in_one_line == f"`docker compose {command} -d` failed with exit code 1: {reason}"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("down", NOT_STARTED[0]),
        ("build", 'service "init" didn\'t complete successfully: exit 1'),
        ("up", "Error response from daemon: port is already allocated"),
        ("up", "Error response from daemon: dependency failed to start: not Compose's own words"),
    ],
)
def test_any_other_failure_is_one_of_the_command(failing: Compose, command: str, reason: str) -> None:
    with pytest.raises(ComposeFailed) as failed:
        failing.run(command, env={"SAID": "\n".join([*PROGRESS, reason])})
    assert not isinstance(failed.value, ServicesNotStarted)
    assert failed.value.in_one_line.endswith(f"failed with exit code 1: {reason}")
