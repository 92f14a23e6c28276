"""A process of another program, run to its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from persistence_tests.errors import StackError


@dataclass(frozen=True, slots=True)
class CommandResult:
    stdout: str
    stderr: str
    exit_code: int
    seconds: float = 0.0


def run_process(
    line: Sequence[str],
    *,
    said: str,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    input: bytes | None = None,
) -> CommandResult:
    """Run a process without a terminal, in a session of its own; on a timeout or an interrupt the session is killed."""
    began = time.monotonic()
    with subprocess.Popen(
        line,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except BaseException as error:
            _kill_session(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise StackError(f"`{said}` did not end within {timeout:g} s") from error
            raise
    return CommandResult(
        stdout.decode(errors="replace"),
        stderr.decode(errors="replace"),
        process.returncode,
        time.monotonic() - began,
    )


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
