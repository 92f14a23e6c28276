"""A command of the stack's own that is cut short: by a signal, at a line of its output."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from persistence_tests.errors import StackError
from persistence_tests.stack.process import CommandResult

ENDING_SECONDS = 30.0


@dataclass(slots=True)
class Interruption:
    """The signal that a command and all that it started gets at the first line of its output that `at` is found in.

    `line` is that line once it has been printed; `delivered` whether the command was running then.
    """

    at: re.Pattern[str]
    signal: signal.Signals
    line: str | None = None
    delivered: bool = False


def run_interrupted(
    line: list[str],
    interruption: Interruption,
    *,
    said: str,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
) -> CommandResult:
    """Run a process in a session of its own and interrupt it; its exit code is the negative signal it died of.

    What the process prints to either stream is in `stdout`. What does not end within 30 s after the signal is killed.
    """
    began = time.monotonic()
    output: list[str] = []
    with subprocess.Popen(
        line,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            with _killed_after(process, timeout) as late:
                for text in process.stdout or ():
                    output.append(text)
                    if interruption.at.search(text):
                        interruption.line = text.strip()
                        break
                else:
                    process.wait()
            if late.is_set():
                raise StackError(f"`{said}` did not end within {timeout:g} s")
            if interruption.line is not None:
                if process.poll() is None:
                    os.killpg(process.pid, interruption.signal)
                    interruption.delivered = True
                with _killed_after(process, ENDING_SECONDS):
                    output += process.stdout or ()
                    process.wait()
        except BaseException:
            _signal_session(process, signal.SIGKILL)
            raise
    return CommandResult("".join(output), "", process.returncode, time.monotonic() - began)


@contextmanager
def _killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[threading.Event]:
    """Kill the session if the block takes longer; the event says that it was."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        _signal_session(process, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _signal_session(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
