"""The images of a stack's services: what they are called, and the volumes that they declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.compose import UP_TIMEOUT, Compose

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine


def reference(config: Mapping[str, Any], project: str, service: str) -> str:
    """The image that Compose runs for a service; what it builds and nobody has named is PROJECT-SERVICE."""
    return str(config["services"][service].get("image") or f"{project}-{service}")


def built(config: Mapping[str, Any], project: str) -> dict[str, str]:
    """By service, the reference of the image that Compose builds for it."""
    return {
        name: reference(config, project, name)
        for name, service in config["services"].items()
        if service.get("build")
    }


def declared_volumes(engine: Engine, compose: Compose, config: Mapping[str, Any]) -> dict[str, list[str]]:
    """By service, the targets of the volumes that its image declares; images that are not there are pulled."""
    from docker.errors import ImageNotFound

    declared = {}
    pulled = False
    for name in config["services"]:
        image_name = reference(config, compose.project, name)
        try:
            image = engine.client.images.get(image_name)
        except ImageNotFound:
            if not pulled:
                compose.run("pull", "--ignore-buildable", "--policy", "missing", timeout=UP_TIMEOUT)
                pulled = True
            image = engine.client.images.get(image_name)
        declared[name] = list(image.attrs["Config"].get("Volumes") or {})
    return declared
