"""A copy of a stack under a project name of its own, driven by Compose as its operator would."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import docker
from docker.models.containers import Container


@dataclass
class ComposeCopy:
    """`override.yaml` in `directory` isolates it from the rest of the machine."""

    compose_file: ClassVar[str]

    directory: Path
    project: str
    engine: docker.DockerClient = field(default_factory=docker.from_env)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("COMPOSE_")}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": f"{self.directory}/{self.compose_file}:{self.directory}/override.yaml",
            "PWD": str(self.directory),
        }

    def compose(self, *arguments: str) -> str:
        command = ["docker-compose"]
        if shutil.which("docker-compose", path=self.environment["PATH"]) is None:
            command = ["docker", "compose"]
        done = subprocess.run(
            [*command, *arguments], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> Container:
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        (found,) = self.engine.containers.list(all=True, filters={"label": labels})
        return found
