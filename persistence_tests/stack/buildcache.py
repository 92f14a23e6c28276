"""Keeps what a build made, without the run's labels, so that the next run need not build it again.

The classic builder finds its layers through images. A run's images go when it ends; the last layer below their
labels stays, under a tag of the harness's own, one for each service of each project directory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.stack.identity import RUN_LABEL, STACK_LABEL, WORKSPACE_LABEL

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

REPOSITORY = "persistence-tests/cache"
RUN_LABELS = {RUN_LABEL, STACK_LABEL, WORKSPACE_LABEL}


def layers_below_labels(engine: Engine, images: Mapping[str, str]) -> dict[str, str]:
    """By service, the last layer of its image (`images`: reference by service) that bears none of the run's labels.

    A layer that has a name of its own is left out: it stays without our help. A builder that keeps its layers
    elsewhere shows none.
    """
    from docker.errors import DockerException

    layers = {}
    for service, reference in images.items():
        try:
            image = engine.client.images.get(reference)
            while RUN_LABELS & set(image.labels) and image.attrs.get("Parent"):
                image = engine.client.images.get(image.attrs["Parent"])
        except DockerException:
            continue
        named = any(not tag.startswith(f"{REPOSITORY}:") for tag in image.tags)
        if not named and not RUN_LABELS & set(image.labels):
            layers[service] = str(image.id)
    return layers


def keep(engine: Engine, project_directory: str, layers: Mapping[str, str]) -> None:
    """Tag the layers, and give up those that were kept before for the same services.

    A project in the system's temporary directory is not built twice: nothing of it is kept.
    """
    if Path(project_directory).resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()):
        return
    import requests
    from docker.errors import DockerException, ImageNotFound

    api = engine.client.api
    for service, identity in layers.items():
        tag = sha256(f"{project_directory}\0{service}".encode()).hexdigest()[:16]
        # Without it the next run merely builds again.
        with suppress(DockerException, requests.RequestException):
            try:
                former = str(engine.client.images.get(f"{REPOSITORY}:{tag}").id)
            except ImageNotFound:
                former = identity
            api.tag(identity, REPOSITORY, tag)
            if former != identity:
                api.remove_image(former)


def kept(engine: Engine) -> list[str]:
    """The tags of all that is kept."""
    entries = engine.client.api.images(name=REPOSITORY)
    return sorted(
        tag for entry in entries for tag in entry.get("RepoTags") or () if tag.startswith(REPOSITORY)
    )


def forget(engine: Engine, tags: Iterable[str]) -> list[str]:
    """Remove what is kept; returns what could not be removed, in words."""
    from docker.errors import DockerException, NotFound

    failures = []
    for tag in tags:
        try:
            engine.client.api.remove_image(tag)
        except NotFound:
            continue
        except DockerException as error:
            failures.append(f"image {tag}: {error}")
    return failures
