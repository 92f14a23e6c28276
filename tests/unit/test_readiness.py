"""Whether waiting for a stack has a point, and what its containers have said last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.run.readiness import wait_ready
from persistence_tests.stack.readiness import is_over, last_words


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
        unready=lambda: ["app: exited (exit code 3)"],
        is_over=lambda: True,
        last_words=lambda: ["  | app: broke"],
    )
    assert wait_ready(stack, None, 3600.0) == (False, "app: exited (exit code 3)\n  | app: broke")
