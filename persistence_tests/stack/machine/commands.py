"""The stack's own commands in its machine: as they stand, by bash, in the project directory."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from persistence_tests.errors import EngineUnavailable, StackError
from persistence_tests.stack.exec_stream import STDOUT, ExecFailed, ExecStream
from persistence_tests.stack.interruption import ENDING_SECONDS, Interruption
from persistence_tests.stack.process import CommandResult

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.machine.container import Machine

RUN = ("python3", "/usr/local/lib/persistence-tests/run_command.py")
SESSION = "/run/persistence-command"
OWN_TO_THE_USERS_HOST = re.compile(
    r"DOCKER_.*|COMPOSE_.*|PATH|TMPDIR|LD_.*|PYTHON.*|VIRTUAL_ENV|XDG_.*|SSH_.*"
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def in_machine(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the user's environment means the same in the machine: Compose files may be resolved with it."""
    kept = {key: value for key, value in environment.items() if not OWN_TO_THE_USERS_HOST.fullmatch(key)}
    return {**kept, "PATH": PATH}


def run_in(
    machine: Machine,
    line: str,
    *,
    directory: str,
    environment: Mapping[str, str],
    timeout: float,
    interruption: Interruption | None = None,
) -> CommandResult:
    """Run a command line; its exit code is a shell's. With an `interruption` as `interruption.run_interrupted`.

    Raises StackError where it cannot be started, or takes longer than `timeout` seconds; it is killed then.
    """
    began = time.monotonic()
    asked = {
        "line": line,
        "directory": directory,
        "environment": dict(environment),
        "home": environment.get("HOME", "/root"),
        "together": interruption is not None,
    }
    out, err = bytearray(), bytearray()
    deadline = began + timeout
    try:
        with ExecStream(machine.container, RUN, "0:0") as stream:
            stream.send(json.dumps(asked).encode() + b"\n", timeout)
            while (frame := stream.frame(max(0.0, deadline - time.monotonic()))) is not None:
                (out if frame[0] == STDOUT else err).extend(frame[1])
                if interruption is not None and interruption.line is None and _found(interruption, out):
                    interruption.delivered = _signal(machine.container, interruption.signal)
                    deadline = time.monotonic() + ENDING_SECONDS
            code = stream.exit_code()
    except TimeoutError as error:
        _signal(machine.container, signal.SIGKILL)
        if interruption is None or not interruption.delivered:
            raise StackError(f"`{line}` did not end within {timeout:g} s") from error
        code = 128 + signal.SIGKILL
    except (ExecFailed, EngineUnavailable) as error:
        raise StackError(f"`{line}` could not be run in the machine: {error}") from error
    except BaseException:
        _signal(machine.container, signal.SIGKILL)
        raise
    if code is None:
        raise StackError(f"the machine does not say how `{line}` ended")
    if interruption is not None and interruption.delivered and code > 128:
        code = 128 - code
    return CommandResult(
        out.decode(errors="replace"), err.decode(errors="replace"), code, time.monotonic() - began
    )


def _found(interruption: Interruption, out: bytearray) -> bool:
    whole = out[: out.rfind(b"\n") + 1].decode(errors="replace")
    for text in whole.splitlines():
        if interruption.at.search(text):
            interruption.line = text.strip()
            return True
    return False


def _signal(container: Container, number: signal.Signals) -> bool:
    """Whether the command and all that it started got it."""
    from persistence_tests.stack.exec_stream import run_any

    try:
        _, _, code = run_any(
            container, ["bash", "-c", f'kill -{number.value} -- "-$(cat {SESSION})"'], 10.0, "0:0"
        )
    except (ExecFailed, TimeoutError, EngineUnavailable):
        return False
    return code == 0
