"""Waiting for a stack: whether it has a point, the cheap question first, and what its containers have said last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.run.readiness import wait_ready
from persistence_tests.stack.readiness import is_over, last_words, starts


def container(status: str, code: int = 0, policy: str = "no", log: bytes = b"") -> Any:
    return SimpleNamespace(
        status=status,
        labels={"com.docker.compose.service": "app"},
        logs=lambda tail: b"\n".join(log.splitlines()[-tail:]),
        attrs={
            "State": {"Status": status, "ExitCode": code},
            "HostConfig": {"RestartPolicy": {"Name": policy}},
        },
    )


@pytest.mark.parametrize(
    ("status", "code", "policy", "over"),
    [
        ("exited", 1, "no", True),
        ("exited", 1, "", True),
        ("exited", 0, "no", False),
        ("exited", 1, "always", False),
        ("exited", 1, "on-failure", False),
        ("restarting", 1, "always", False),
        ("running", 0, "no", False),
        ("created", 0, "no", False),
    ],
)
def test_only_what_nothing_starts_again_is_over(status: str, code: int, policy: str, over: bool) -> None:
    assert is_over([container("running"), container(status, code, policy)]) is over


def test_the_last_lines_of_what_does_not_run_are_told() -> None:
    log = b"".join(b"line %d\n" % number for number in range(20)) + b"\nTraceback: it broke\n"
    said = last_words([container("exited", 3, log=log), container("running", log=b"well\n")])
    assert said[-1] == "  | app: Traceback: it broke"
    assert len(said) == 7
    assert last_words([container("exited", 0, log=b"migrated\n")]) == []


def test_a_stack_that_has_ended_is_not_waited_for() -> None:
    stack: Any = SimpleNamespace(
        starting=lambda: False,
        unready=lambda: ["app: exited (exit code 3)"],
        is_over=lambda: True,
        last_words=lambda: ["  | app: broke"],
    )
    assert wait_ready(stack, None, 3600.0) == (False, "app: exited (exit code 3)\n  | app: broke")


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("created", "Created", False),
        ("restarting", "Restarting (1) 2 seconds ago", False),
        ("running", "Up 2 seconds (health: starting)", True),
        ("running", "Up 2 seconds (healthy)", False),
        ("running", "Up 2 seconds (unhealthy)", False),
        ("running", "Up 2 seconds", False),
        ("exited", "Exited (0) 2 seconds ago", False),
    ],
)
def test_what_still_starts(state: str, status: str, expected: bool) -> None:
    assert starts({"State": state, "Status": status}) is expected


class Starting:
    """A stack that is starting so many times, then unready for these reasons in turn."""

    def __init__(self, starting: int, *unready: list[str]) -> None:
        self._starting = starting
        self._unready = [*unready, []]
        self.asked = 0

    def starting(self) -> bool:
        self._starting -= 1
        return self._starting >= 0

    def is_over(self) -> bool:
        return False

    def last_words(self) -> list[str]:
        return []

    def unready(self) -> list[str]:
        self.asked += 1
        return self._unready.pop(0) if len(self._unready) > 1 else self._unready[0]


class Probe:
    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)

    def ask(self, url: str) -> str | None:
        return self.answers.pop(0)


def ready(stack: Any, within: float, probe: Probe | None = None) -> tuple[bool, str | None]:
    return wait_ready(stack, (probe, "/health") if probe else None, within)


def test_a_stack_is_ready_only_by_what_is_asked_in_full() -> None:
    stack = Starting(3, ["api: health starting"])
    assert ready(stack, 10, Probe("HTTP 502", None)) == (True, None)
    assert stack.asked == 3


def test_who_is_still_starting_in_the_end_is_told_in_full() -> None:
    assert ready(Starting(10**6, ["api: health starting: no"]), 0.05) == (False, "api: health starting: no")
    assert ready(Starting(0, ["api: exited", "proxy: dead"]), 0.0) == (False, "api: exited; proxy: dead")
