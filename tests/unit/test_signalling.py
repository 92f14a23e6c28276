"""A signal from this machine reaches the container's own process, or nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from persistence_tests.errors import StackError
from persistence_tests.stack.signalling import signal_main_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes of containers are those of Linux")


class Helped(Exception):
    """A helper container was asked for."""


def helper(*_: Any, command: list[str], **__: Any) -> NoReturn:
    raise Helped(command[-1])


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as running:
        yield running
        running.kill()


def container(process: int, identity: str) -> Any:
    attributes = {"State": {"Pid": process}}
    return SimpleNamespace(id=identity, name="box-1", attrs=attributes, reload=lambda: None)


def group_of(process: int) -> str:
    """What stands in the place of the container's identity for a process that is in none."""
    return Path(f"/proc/{process}/cgroup").read_text().splitlines()[0]


def test_the_process_of_the_container_gets_the_signal(process: subprocess.Popen[bytes]) -> None:
    signal_main_process(helper, container(process.pid, group_of(process.pid)), "SIGTERM")
    assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("identity", ["0" * 64, ""])
def test_another_process_of_that_number_is_left_alone(
    process: subprocess.Popen[bytes], identity: str
) -> None:
    with pytest.raises(Helped, match=f"kill -9 {process.pid}"):
        signal_main_process(helper, container(process.pid, identity), "KILL")
    assert process.poll() is None


def test_a_process_that_is_not_here_is_left_to_a_helper(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)
    with pytest.raises(Helped):
        signal_main_process(helper, container(process.pid, "0" * 64), "SIGKILL")


def test_what_may_not_be_signalled_is_left_to_a_helper(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(signal, "pidfd_send_signal", refused)
    with pytest.raises(Helped):
        signal_main_process(helper, container(process.pid, group_of(process.pid)), "SIGKILL")


def test_a_container_that_does_not_run_has_no_process() -> None:
    with pytest.raises(StackError, match="does not run"):
        signal_main_process(helper, container(0, "0" * 64), "SIGKILL")
