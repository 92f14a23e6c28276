"""Removes what bears the run's labels: containers, networks, volumes, images. Nothing else is ever removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.identity import RUN_LABEL

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

BUSY = 5.0
POLL = 0.05


def remove_labelled(engine: Engine, label: str, recorded_volumes: Iterable[str] = ()) -> list[str]:
    """Remove everything with `label` ("key=value" of the run's), and the anonymous volumes that its containers had.

    Idempotent. Returns what could not be removed, in words.
    """
    api = engine.client.api
    failures: list[str] = []
    volumes = set(recorded_volumes)

    def attempt(what: str, action: Callable[[], Any]) -> None:
        if problem := _patiently(action):
            failures.append(f"{what}: {problem}")

    for entry in _listed(failures, "containers", lambda: api.containers(all=True, filters={"label": label})):
        volumes |= {m["Name"] for m in entry.get("Mounts") or () if m["Type"] == "volume" and m.get("Name")}
        identity = entry["Id"]
        attempt(
            f"container {entry['Names'][0].lstrip('/') if entry.get('Names') else identity[:12]}",
            lambda identity=identity: api.remove_container(identity, v=True, force=True),
        )
    for entry in _listed(failures, "networks", lambda: api.networks(filters={"label": label})):
        attempt(f"network {entry['Name']}", lambda identity=entry["Id"]: api.remove_network(identity))
    labelled = _listed(failures, "volumes", lambda: api.volumes(filters={"label": label})["Volumes"] or [])
    for name in sorted(
        {entry["Name"] for entry in labelled} | {v for v in volumes if _is_unclaimed(engine, v)}
    ):
        attempt(f"volume {name}", lambda name=name: api.remove_volume(name))
    for identity in _images(failures, engine, label):
        attempt(f"image {identity[:19]}", lambda identity=identity: api.remove_image(identity, force=True))
    return failures


def _images(failures: list[str], engine: Engine, label: str) -> list[str]:
    found = _listed(failures, "images", lambda: engine.client.api.images(filters={"label": label}))
    return [entry["Id"] for entry in found]


def _is_unclaimed(engine: Engine, name: str) -> bool:
    """An anonymous volume that a container of the run had, still there and used by no other container."""
    from docker.errors import DockerException

    try:
        volume = engine.client.api.inspect_volume(name)
        used = engine.client.api.containers(all=True, filters={"volume": name})
    except DockerException:
        return False
    is_anonymous = len(name) == 64 and all(character in "0123456789abcdef" for character in name)
    labels = volume.get("Labels") or {}
    return not used and (is_anonymous or RUN_LABEL in labels)


def _listed(
    failures: list[str], what: str, listing: Callable[[], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    import requests
    from docker.errors import DockerException

    try:
        return listing()
    except (DockerException, requests.RequestException) as error:
        failures.append(f"{what} could not be listed: {error}")
        return []


def _patiently(action: Callable[[], Any]) -> str | None:
    """Try until it is done or was already; what is still busy (a mount, a removal under way) is tried again."""
    import requests
    from docker.errors import APIError, DockerException, NotFound

    deadline = time.monotonic() + BUSY
    while True:
        try:
            action()
            return None
        except NotFound:
            return None
        except APIError as error:
            if error.status_code not in (403, 409, 500) or time.monotonic() > deadline:
                return str(error.explanation or error)
        except (DockerException, requests.RequestException) as error:
            return str(error)
        time.sleep(POLL)
