"""Signals from the host to a container's main process, past the engine."""

from __future__ import annotations

import os
import signal as signals
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.stack.helper import run_to_end

if TYPE_CHECKING:
    from docker.models.containers import Container


def signal_main_process(
    helper: Callable[..., AbstractContextManager[Container]], container: Container, signal: str
) -> None:
    """`helper` makes a helper container, for where the process cannot be reached from here: the engine's host is
    another one, or we are not root. Raises StackError where the container does not run.
    """
    container.reload()
    process = int(container.attrs["State"]["Pid"])
    if process == 0:
        raise StackError(f"the container {container.name} does not run: there is no process to signal")
    number = signals.Signals[signal if signal.startswith("SIG") else f"SIG{signal}"].value
    if _signalled_from_here(process, container.id or "", number):
        return
    command = ["sh", "-c", f"kill -{number} {process}"]
    with helper({}, command=command, pid_mode="host", cap_drop=["ALL"], cap_add=["KILL"]) as killer:
        exit_code, output = run_to_end(killer)
    if exit_code != 0:
        raise StackError(
            f"{signal} could not be sent to the main process of {container.name}: "
            f"{output.decode(errors='replace').strip()}"
        )


def _signalled_from_here(process: int, container: str, number: int) -> bool:
    """Whether that number is the container's process on this machine too, and took the signal."""
    if sys.platform != "linux":
        return False
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return False
    try:
        # The handle stays with the process of which this is read, whoever gets its number afterwards.
        if not container or container not in Path(f"/proc/{process}/cgroup").read_text():
            return False
        signals.pidfd_send_signal(handle, number)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
