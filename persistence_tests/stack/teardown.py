"""Removes what bears the run's labels: containers, networks, volumes, images. Nothing else is ever removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.disks.detach import detach
from persistence_tests.stack.identity import DISKS_LABEL, RUN_LABEL, STACK_LABEL

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

AT_ONCE = 8
BUSY = 5.0
POLL = 0.05
PASSES = 20
BUSY_STATUS = (403, 409, 500)

Listed = list[dict[str, Any]]


def remove_labelled(
    engine: Engine,
    run: str,
    stack: str,
    recorded_volumes: Iterable[str] = (),
    *,
    images: bool = True,
    settle: float = 0.0,
) -> list[str]:
    """Remove everything that is labelled as the run's and the stack's, and its containers' anonymous volumes.

    Idempotent; `images` false leaves the images. Returns what could not be removed, in words. Looks again until
    nothing was found for `settle` seconds: after an interrupt the engine may go on making things for a moment.
    """
    volumes = set(recorded_volumes)
    failures: list[str] = []
    quiet_since = time.monotonic()
    former: list[str] = []
    passes = 0
    while passes < PASSES:
        found, failures = _remove_once(engine, run, stack, volumes, images)
        if found:
            if failures and failures == former:
                break
            former = failures
            passes += 1
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= settle:
            break
        else:
            time.sleep(POLL)
    return failures


def _remove_once(
    engine: Engine, run: str, stack: str, volumes: set[str], with_images: bool
) -> tuple[int, list[str]]:
    api = engine.client.api
    filters = {"label": f"{RUN_LABEL}={run}"}

    def listed(what: str, listing: Callable[[], Listed]) -> Listed:
        # A build that was cut short leaves layers and containers that had been given the run's label only.
        found = _listed(failures, what, listing)
        return [entry for entry in found if entry["Labels"].get(STACK_LABEL) in (None, stack)]

    failures: list[str] = []
    containers = listed("containers", lambda: api.containers(all=True, filters=filters))
    for entry in containers:
        volumes |= {m["Name"] for m in entry.get("Mounts") or () if m["Type"] == "volume" and m.get("Name")}
    failures += _all_removed(
        (f"container {_name(entry)}", partial(api.remove_container, entry["Id"], v=True, force=True))
        for entry in containers
    )
    networks = listed("networks", lambda: api.networks(filters=filters))
    failures += _all_removed(
        (f"network {entry['Name']}", partial(api.remove_network, entry["Id"])) for entry in networks
    )
    labelled = listed("volumes", lambda: api.volumes(filters=filters)["Volumes"] or [])
    for entry in labelled:
        if DISKS_LABEL in entry["Labels"]:  # without its file nobody could find a loop device any more
            failures += detach(engine, entry["Name"], entry["Labels"])
    names = {entry["Name"] for entry in labelled} | {name for name in volumes if _is_abandoned(engine, name)}
    failures += _all_removed((f"volume {name}", partial(api.remove_volume, name)) for name in sorted(names))
    images = listed("images", lambda: api.images(filters=filters)) if with_images else []
    for entry in images:
        what = f"image {entry['Id'][:19]}"
        # Busy is also one that another of them is built on: it goes in the next pass.
        failures += removed(what, partial(api.remove_image, entry["Id"], force=True), patience=0.5)
    return len(containers) + len(networks) + len(names) + len(images), failures


def _is_abandoned(engine: Engine, name: str) -> bool:
    """An anonymous volume that a container of the run had, and that no container has any more."""
    import requests
    from docker.errors import DockerException

    try:
        volume = engine.client.api.inspect_volume(name)
        used = engine.client.api.containers(all=True, filters={"volume": name})
    except (DockerException, requests.RequestException):
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


def _name(container: dict[str, Any]) -> str:
    names = container.get("Names") or [container["Id"][:12]]
    return str(names[0]).lstrip("/")


def _all_removed(actions: Iterable[tuple[str, Callable[[], Any]]]) -> list[str]:
    """What would not go, in words; all is tried at once, as the engine mostly waits."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [pool.submit(removed, what, action) for what, action in actions]
        return [failure for each in tried for failure in each.result()]


def removed(what: str, action: Callable[[], Any], patience: float = BUSY) -> list[str]:
    """Try until it is gone or was already; what is still busy (a mount, a removal under way) is tried again."""
    import requests
    from docker.errors import APIError, DockerException, NotFound
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

    def is_busy(error: BaseException) -> bool:
        return isinstance(error, APIError) and error.status_code in BUSY_STATUS

    try:
        Retrying(
            stop=stop_after_delay(patience),
            wait=wait_fixed(POLL),
            retry=retry_if_exception(is_busy),
            reraise=True,
        )(action)
    except NotFound:
        pass
    except APIError as error:
        return [f"{what}: {error.explanation or error}"]
    except (DockerException, requests.RequestException) as error:
        return [f"{what}: {error}"]
    return []
