"""Names and ways in a stack's own command, and in the script it calls, that lead past the isolated stack.

The guard denies them what is not the run's (`guard_rules`); this says it before anything is done, with the line.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistence_tests.stack.isolation import unescaped
from persistence_tests.stack.refusal import Refusal

LARGEST = 1024 * 1024  # bytes of a script that is read

_DOCKER = re.compile(r"\b(?:docker|podman)\s+(?!compose\b|build\b|buildx\b)[^#\n]*")
_PROJECT = re.compile(
    r"\b(?:docker[ -]compose|podman-compose)\b[^#\n;|&]*?\s(?:-p|--project-name)[ =]?[\"']?([a-z0-9][\w-]*)"
)
_PAST = (
    (re.compile(r"\bdocker\.sock\b"), "reaches for the engine's socket"),
    (re.compile(r"\bsudo\b[^#\n;|&]*\b(?:docker|podman)\b"), "calls Docker by sudo, which forgets DOCKER_HOST"),
    (re.compile(r"\bdocker\s+(?:-H|--host|-c|--context)\b"), "names an engine of its own"),
    (re.compile(r"\bDOCKER_(?:HOST|CONTEXT)=|\bunset\s+[^#\n;|&]*\bDOCKER_HOST\b"), "sets DOCKER_HOST itself"),
)  # fmt: skip


def fixed_names(line: str, workspace: Path, project: Path, config: dict[str, Any]) -> list[Refusal]:
    """`config` is the stack's own resolved configuration, `project` the user's directory."""
    names = set(_names(project, config))
    return list(dict.fromkeys(_found(line, names, workspace)))


def _found(line: str, names: set[str], workspace: Path) -> Iterator[Refusal]:
    for where, text in _texts(line, workspace):
        for number, said in enumerate(text.splitlines(), 1):
            if said.lstrip().startswith("#"):
                continue
            at = f"{where}:{number}" if where else f"the command `{line}`"
            for pattern, what in _PAST:
                if pattern.search(said):
                    yield _refusal(at, f"{what}: {said.strip()}")
            if match := _PROJECT.search(said):
                yield _refusal(at, f"names the project {match[1]}: {said.strip()}")
            for call in _DOCKER.findall(said):
                for name in sorted(set(re.findall(r"[A-Za-z0-9][\w.-]+", call)) & names):
                    yield _refusal(at, f"names {name}, which is called otherwise under `isolation: override`")


def _refusal(at: str, what: str) -> Refusal:
    return Refusal(
        at,
        what,
        "use `docker compose` with the project, files and engine that COMPOSE_PROJECT_NAME, COMPOSE_FILE and "
        "DOCKER_HOST name",
    )


def _texts(line: str, workspace: Path) -> Iterator[tuple[str, str]]:
    yield "", line
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    for word in words:
        path = workspace / word
        try:
            inside = path.resolve().is_relative_to(workspace.resolve())
            if inside and path.is_file() and path.stat().st_size <= LARGEST:
                yield word.removeprefix("./"), path.read_text()
        except (OSError, ValueError):
            continue  # no path, or no text


def _names(project: Path, config: dict[str, Any]) -> Iterator[str]:
    """What the stack's containers and volumes are called where it is not isolated."""
    isolated = str(config.get("name"))
    usual = re.sub(r"[^a-z0-9_-]", "", project.name.lower()).lstrip("_-")
    for service, entry in (config.get("services") or {}).items():
        name = unescaped(str((entry or {}).get("container_name") or ""))
        if name and not name.startswith(isolated):
            yield name
        yield from (f"{usual}-{service}-1", f"{usual}_{service}_1")
    for entry in (config.get("volumes") or {}).values():
        name = unescaped(str((entry or {}).get("name") or ""))
        yield name.replace(isolated, usual, 1) if name.startswith(isolated) else name
