"""What a scenario says of the stack it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class StackSpec:
    """The stack under test, as the scenario file declares it.

    `compose` are absolute paths in the order in which Compose merges them; the directory of the first is
    the project directory. `setup` are commands that run once the stack is ready. `follow_project` says that
    the stack's own commands use the `COMPOSE_PROJECT_NAME`, `COMPOSE_FILE` and `DOCKER_HOST` that they are
    given. `binds` maps the source of an absolute bind mount to what replaces it; `copy` names data
    directories whose content is copied into the workspace, relative to the project directory.
    """

    compose: tuple[Path, ...]
    profiles: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    env_files: tuple[Path, ...] = ()
    setup: tuple[str, ...] = ()
    isolation: Literal["override"] = "override"
    follow_project: bool = False
    binds: dict[str, str] = field(default_factory=dict)
    copy: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """The project directory: relative bind mounts and build contexts start from it."""
        return self.compose[0].parent
