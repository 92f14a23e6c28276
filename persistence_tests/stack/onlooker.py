"""Looks at what the engine has of a project that is not the run's own: images, running containers. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persistence_tests.stack.engine import Engine, engine_answers

PROJECT_DIRECTORY = "com.docker.compose.project.working_dir"
SERVICE = "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's configuration says."""

    user: str
    workdir: str
    volumes: tuple[str, ...]
    environment: dict[str, str]
    command: tuple[str, ...]


def image_facts(engine: Engine, reference: str) -> ImageFacts | None:
    """None where the engine does not have the image; nothing is pulled."""
    from docker.errors import ImageNotFound

    with engine_answers(f"looking at the image {reference}"):
        try:
            config: Mapping[str, Any] = engine.client.images.get(reference).attrs["Config"]
        except ImageNotFound:
            return None
    return ImageFacts(
        user=str(config.get("User") or "").split(":")[0],
        workdir=str(config.get("WorkingDir") or ""),
        volumes=tuple(config.get("Volumes") or ()),
        environment=dict(entry.split("=", 1) for entry in config.get("Env") or () if "=" in entry),
        command=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
    )


def running_changes(engine: Engine, directory: Path) -> dict[str, list[str]]:
    """Of each running service of the project in `directory`: the files added to or changed in its writable layer."""
    from docker.errors import NotFound

    filters: dict[str, str | list[str] | bool] = {
        "label": f"{PROJECT_DIRECTORY}={directory}",
        "status": "running",
    }
    found: dict[str, list[str]] = {}
    with engine_answers("looking at the running project"):
        for container in engine.client.containers.list(filters=filters, ignore_removed=True):
            try:
                changes = container.diff() or []
            except NotFound:
                continue
            paths = [str(change["Path"]) for change in changes if change["Kind"] in (0, 1)]
            found.setdefault(str(container.labels.get(SERVICE)), []).extend(paths)
    return found
