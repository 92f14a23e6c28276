"""What is known while an override is made, and what comes of it."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.refusal import Refusal
from persistence_tests.stack.spec import StackSpec

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount of a path of the host: `source` is the user's, `inside` the workspace's, relative to the project.

    `inside` is None where the path is mounted read-only as it is, because the scenario says so.
    """

    service: str
    source: str
    inside: str | None
    writable: bool
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Isolation:
    """`external_volumes` and `external_networks` are to be made by the run, under these names of the engine."""

    override: dict[str, Any]
    changes: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    binds: tuple[Bind, ...]
    files: dict[str, str]
    external_volumes: tuple[str, ...]
    external_networks: tuple[str, ...]


@dataclass(slots=True)
class Plan:
    original: Config
    shadow: Config
    active: frozenset[str]
    identity: Identity
    project_directory: str
    spec: StackSpec
    taken_subnets: tuple[str, ...]
    changes: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    external_volumes: list[str] = field(default_factory=list)
    external_networks: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # services, and why


def inside_project(path: str, project_directory: str) -> str | None:
    """`path` relative to the project directory ("./data"), None where it lies outside."""
    path, project_directory = posixpath.normpath(path), posixpath.normpath(project_directory)
    if path == project_directory:
        return "."
    prefix = project_directory.rstrip("/") + "/"
    return f"./{path.removeprefix(prefix)}" if path.startswith(prefix) else None


def unescaped(text: str) -> str:
    """A value of a resolved configuration as it is meant: Compose prints every dollar twice."""
    return text.replace("$$", "$")


def escaped(text: str) -> str:
    return text.replace("$", "$$")


def part(config: Config, name: str) -> dict[str, Config]:
    return config.get(name) or {}


def service_of(config: Config, name: str) -> Config:
    return part(config, "services").get(name) or {}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
