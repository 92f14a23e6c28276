"""Signals from the host to a container's main process, past the engine."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.stack.helper import run_to_end

if TYPE_CHECKING:
    from docker.models.containers import Container


def signal_main_process(
    helper: Callable[..., AbstractContextManager[Container]], container: Container, signal: str
) -> None:
    """`helper` makes a helper container. Raises StackError where the container does not run."""
    container.reload()
    process = int(container.attrs["State"]["Pid"])
    if process == 0:
        raise StackError(f"the container {container.name} does not run: there is no process to signal")
    number = signals.Signals[signal if signal.startswith("SIG") else f"SIG{signal}"].value
    command = ["sh", "-c", f"kill -{number} {process}"]
    with helper({}, command=command, pid_mode="host", cap_drop=["ALL"], cap_add=["KILL"]) as killer:
        exit_code, output = run_to_end(killer)
    if exit_code != 0:
        raise StackError(
            f"{signal} could not be sent to the main process of {container.name}: "
            f"{output.decode(errors='replace').strip()}"
        )
