"""Which stack a scenario asks for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from persistence_tests.stack.disks.disk import Media


@dataclass(frozen=True, slots=True)
class StackSpec:
    """The stack of a scenario.

    `compose` are the Compose files, absolute, in the order in which Compose merges them; the project directory
    is that of the first. `env` is for the interpolation of the Compose files and for the stack's own commands.
    `setup` are commands run once the stack is ready. `follow_project` says that the stack's own commands use the
    project, the files and the engine that the environment names, and no fixed names.

    `binds` says what replaces a bind mount (or a volume's device) that lies outside the project directory: a
    directory below the project directory, or the path itself where it may be mounted read-only as it is.
    `copy` are the data directories, below the project directory, that do not start empty. `without` are services
    that are left out. `storage` are the crash disks on which the stack lies, None where only its events need some.
    `reached` are ports of services that are looked at, be it that the stack does not publish them.
    """

    compose: tuple[Path, ...]
    profiles: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    env_files: tuple[Path, ...] = ()
    setup: tuple[str, ...] = ()
    isolation: str = "override"
    follow_project: bool = False
    binds: dict[str, str] = field(default_factory=dict)
    copy: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    storage: Media | None = None
    reached: tuple[tuple[str, int], ...] = ()

    @property
    def project_directory(self) -> Path:
        return Path(os.path.normpath(self.compose[0].absolute().parent))
