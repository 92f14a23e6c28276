"""Removes what bears the run's labels: containers, networks, volumes, images. Nothing else is ever removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.identity import RUN_LABEL

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

BUSY = 5.0
POLL = 0.05
PASSES = 4
BUSY_STATUS = (403, 409, 500)

Listed = list[dict[str, Any]]


def remove_labelled(
    engine: Engine, labels: list[str], recorded_volumes: Iterable[str] = (), *, images: bool = True
) -> list[str]:
    """Remove everything that has all of `labels` ("key=value", the run's), and its containers' anonymous volumes.

    Idempotent; `images` false leaves the images. Returns what could not be removed, in words. Looks again until
    nothing is found: an interrupted Compose may have left the engine making one more container.
    """
    volumes = set(recorded_volumes)
    failures: list[str] = []
    for _ in range(PASSES):
        found, failures = _remove_once(engine, {"label": labels}, volumes, images)
        if not found:
            break
    return failures


def _remove_once(
    engine: Engine, filters: dict[str, Any], volumes: set[str], with_images: bool
) -> tuple[int, list[str]]:
    api = engine.client.api
    failures: list[str] = []
    containers = _listed(failures, "containers", lambda: api.containers(all=True, filters=filters))
    for entry in containers:
        volumes |= {m["Name"] for m in entry.get("Mounts") or () if m["Type"] == "volume" and m.get("Name")}
        name = (entry.get("Names") or [entry["Id"][:12]])[0].lstrip("/")
        failures += _removed(
            f"container {name}", partial(api.remove_container, entry["Id"], v=True, force=True)
        )
    networks = _listed(failures, "networks", lambda: api.networks(filters=filters))
    for entry in networks:
        failures += _removed(f"network {entry['Name']}", partial(api.remove_network, entry["Id"]))
    labelled = _listed(failures, "volumes", lambda: api.volumes(filters=filters)["Volumes"] or [])
    names = {entry["Name"] for entry in labelled} | {name for name in volumes if _is_abandoned(engine, name)}
    for name in sorted(names):
        failures += _removed(f"volume {name}", partial(api.remove_volume, name))
    images = _listed(failures, "images", lambda: api.images(filters=filters)) if with_images else []
    for entry in images:
        what = f"image {entry['Id'][:19]}"
        # Busy is also one that another of them is built on: it goes in the next pass.
        failures += _removed(what, partial(api.remove_image, entry["Id"], force=True), patience=0.5)
    return len(containers) + len(networks) + len(names) + len(images), failures


def _is_abandoned(engine: Engine, name: str) -> bool:
    """An anonymous volume that a container of the run had, and that no container has any more."""
    from docker.errors import DockerException

    try:
        volume = engine.client.api.inspect_volume(name)
        used = engine.client.api.containers(all=True, filters={"volume": name})
    except DockerException:
        return False
    is_anonymous = len(name) == 64 and all(character in "0123456789abcdef" for character in name)
    return not used and (is_anonymous or RUN_LABEL in (volume.get("Labels") or {}))


def _listed(failures: list[str], what: str, listing: Callable[[], Listed]) -> Listed:
    import requests
    from docker.errors import DockerException

    try:
        return listing()
    except (DockerException, requests.RequestException) as error:
        failures.append(f"{what} could not be listed: {error}")
        return []


def _removed(what: str, action: Callable[[], Any], patience: float = BUSY) -> list[str]:
    """Try until it is gone or was already; what is still busy (a mount, a removal under way) is tried again."""
    import requests
    from docker.errors import APIError, DockerException, NotFound

    deadline = time.monotonic() + patience
    while True:
        try:
            action()
            return []
        except NotFound:
            return []
        except APIError as error:
            if error.status_code not in BUSY_STATUS or time.monotonic() > deadline:
                return [f"{what}: {error.explanation or error}"]
        except (DockerException, requests.RequestException) as error:
            return [f"{what}: {error}"]
        time.sleep(POLL)
