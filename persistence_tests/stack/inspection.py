"""Reads the state of a stack from the engine: a list and an inspection of each container, a list of the volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.state import ContainerState, EngineState, Mount, VolumeState

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.engine import Engine

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
VOLUME = "com.docker.compose.volume"
ONEOFF = "com.docker.compose.oneoff"


def service_of(container: Container) -> str:
    return str(container.labels.get(SERVICE, ""))


def number_of(container: Container) -> int:
    return int(container.labels.get(NUMBER) or 1)


def container_state(container: Container) -> ContainerState:
    attributes = container.attrs
    state = attributes["State"]
    return ContainerState(
        identity=str(container.id),
        name=str(container.name),
        service=service_of(container),
        number=number_of(container),
        image=attributes["Image"],
        running=bool(state["Running"]),
        started_at=state["StartedAt"],
        exit_code=int(state["ExitCode"]),
        restart_count=int(attributes.get("RestartCount", 0)),
        process=int(state["Pid"]),
        health=(state.get("Health") or {}).get("Status"),
        mounts=tuple(sorted(_mounts(attributes), key=lambda mount: mount.target)),
    )


def mounted_volumes(container: Container) -> set[str]:
    return {m["Name"] for m in container.attrs.get("Mounts") or () if m["Type"] == "volume"}


def mounts_by_service(
    containers: Iterable[Container], keys: Mapping[str, str]
) -> dict[str, list[dict[str, str]]]:
    """Of each service, by its first container: kind, source and target of its mounts; `keys` as for `engine_state`."""
    out: dict[str, list[dict[str, str]]] = {}
    for container in containers:
        if service_of(container) in out:
            continue
        out[service_of(container)] = [
            {"kind": m.kind, "source": m.source, "target": m.target, "writable": str(m.writable).lower()}
            | ({"volume": keys[m.source]} if m.source in keys else {})
            for m in container_state(container).mounts
        ]
    return out


def engine_state(
    engine: Engine,
    containers: Iterable[Container],
    labels: list[str],
    keys: Mapping[str, str],
    created: Mapping[str, int],
) -> EngineState:
    """`keys` are the names in the Compose file by the name on the engine, for volumes without Compose's label.

    `created` are the moments at which the engine made volumes; see `EventFeed.volumes_created`.
    """
    containers = list(containers)
    states = {f"{service_of(c)}-{number_of(c)}": container_state(c) for c in containers}
    listed = engine.client.api.volumes(filters={"label": labels})["Volumes"] or []
    found = {entry["Name"]: entry for entry in listed}
    for name in set().union(*(mounted_volumes(c) for c in containers)) - set(found):
        found[name] = engine.client.api.inspect_volume(name)
    volumes = {name: _volume(entry, keys, created) for name, entry in sorted(found.items())}
    return EngineState(dict(sorted(states.items())), volumes)


def _volume(entry: dict[str, Any], keys: Mapping[str, str], created: Mapping[str, int]) -> VolumeState:
    name = entry["Name"]
    key = (entry.get("Labels") or {}).get(VOLUME) or keys.get(name)
    return VolumeState(name, key, str(created.get(name) or entry.get("CreatedAt") or ""))


def _mounts(attributes: dict[str, Any]) -> list[Mount]:
    mounts = [
        Mount(m["Type"], m.get("Name") or m.get("Source") or "", m["Destination"], bool(m.get("RW")))
        for m in attributes.get("Mounts") or ()
    ]
    known = {mount.target for mount in mounts}
    tmpfs = attributes["HostConfig"].get("Tmpfs") or {}
    return mounts + [Mount("tmpfs", "", target, True) for target in tmpfs if target not in known]
