"""The stack's own commands: backup, restore, deploy, set-up."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.stack.fixed_names import fixed_names
from persistence_tests.stack.guard import guard
from persistence_tests.stack.guard_rules import GuardRules
from persistence_tests.stack.interruption import Interruption, run_interrupted
from persistence_tests.stack.process import CommandResult, run_process
from persistence_tests.stack.refusal import refuse

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

COMMAND_TIMEOUT = 600.0


def run_command(
    stack: Stack,
    line: str,
    timeout: float,
    env: Mapping[str, str] | None,
    interruption: Interruption | None = None,
) -> CommandResult:
    """See `Stack.command`."""
    spec = stack.spec
    if not spec.follow_project:
        raise StackRefused(
            f"the stack's command {line!r} may name containers and volumes of the user's own",
            remedy="where it uses no fixed names, but COMPOSE_PROJECT_NAME, COMPOSE_FILE and DOCKER_HOST, say "
            "`commands: follow-project`",
        )
    if found := fixed_names(line, stack.workspace, spec.project_directory, stack.original):
        raise refuse(found, str(spec.compose[0]))
    bash = shutil.which("bash")
    if bash is None:
        raise StackError("bash was not found", remedy="install it: the stack's commands are run by it")
    stack.record_volumes()
    with _engine_for(stack) as url:
        environment = _environment(stack, env) | {"DOCKER_HOST": url}
        command, where = [bash, "-c", line], stack.workspace
        if interruption is None:
            result = run_process(command, said=line, cwd=where, env=environment, timeout=timeout)
        else:
            stack.compose.interrupted = True  # the engine may still be carrying out what was cut short
            result = run_interrupted(
                command, interruption, said=line, cwd=where, env=environment, timeout=timeout
            )
    stack.record_volumes()
    return result


def _engine_for(stack: Stack) -> AbstractContextManager[str]:
    """The engine as a command may have it; one that has no socket on this machine is the command's as it is."""
    if stack.engine.socket is None:
        return nullcontext(stack.engine.url)
    rules = GuardRules(stack.engine, stack.identity, stack.compose.project, stack.mounted_as_is)
    return guard(stack.engine.socket, rules)


def _environment(stack: Stack, extra: Mapping[str, str] | None) -> dict[str, str]:
    compose = stack.compose
    environment = compose.environment(extra)
    files = [str(file) for file in compose.files]
    separator = next(sign for sign in (os.pathsep, "|", "\n") if not any(sign in file for file in files))
    environment |= {
        "COMPOSE_PROJECT_NAME": compose.project,
        "COMPOSE_FILE": separator.join(files),
        "COMPOSE_PATH_SEPARATOR": separator,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }
    if stack.spec.profiles:
        environment["COMPOSE_PROFILES"] = ",".join(stack.spec.profiles)
    if compose.env_files:
        environment["COMPOSE_ENV_FILES"] = ",".join(map(str, compose.env_files))
    return environment
