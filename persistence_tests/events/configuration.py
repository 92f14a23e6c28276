"""What the resolved Compose configuration says of an event: which services it reaches, which volumes go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Config = Mapping[str, Any]

SHARED_NAMESPACES = ("network_mode", "ipc", "pid")


def services(config: Config) -> Mapping[str, Mapping[str, Any]]:
    return config.get("services") or {}


def building(config: Config) -> tuple[str, ...]:
    """Services that Compose builds."""
    return tuple(name for name, service in services(config).items() if service.get("build"))


def running_images_of(config: Config, project: str, chosen: Collection[str]) -> frozenset[str]:
    """Services that run an image which `compose build` makes for one of `chosen`, be it another service's."""
    image_of = {
        name: str(service.get("image") or f"{project}-{name}") for name, service in services(config).items()
    }
    made = {image_of[name] for name in building(config) if name in chosen}
    return frozenset(name for name, image in image_of.items() if image in made)


def remade_with(config: Config, remade: Collection[str]) -> frozenset[str]:
    """These services, and those that Compose makes anew with them for sharing a namespace or volumes."""
    reached = set(remade)
    while more := {
        name for name, service in services(config).items() if name not in reached and _uses(service) & reached
    }:
        reached |= more
    return frozenset(reached)


def restarted_with(config: Config, remade: Collection[str]) -> frozenset[str]:
    """Services with `depends_on: {X: {restart: true}}`: Compose restarts them when it makes X anew."""
    return frozenset(
        name
        for name, service in services(config).items()
        if name not in remade
        and any(
            isinstance(condition, Mapping) and condition.get("restart") and dependency in remade
            for dependency, condition in _dependencies(service).items()
        )
    )


def own_volumes(config: Config) -> tuple[str, ...]:
    """Keys of the volumes that `down --volumes` removes: all but the external ones."""
    volumes = config.get("volumes") or {}
    return tuple(key for key, volume in volumes.items() if not (volume or {}).get("external"))


def volumes_unlike(before: Config, after: Config) -> tuple[str, ...]:
    """Keys of the volumes that keep their name on the engine, but differ in what Compose would make them anew for."""

    def described(config: Config, key: str) -> tuple[Any, ...]:
        volume = (config.get("volumes") or {}).get(key) or {}
        return tuple(volume.get(part) or {} for part in ("driver", "driver_opts", "labels"))

    def name(config: Config, key: str) -> Any:
        return ((config.get("volumes") or {}).get(key) or {}).get("name")

    return tuple(
        key
        for key in own_volumes(after)
        if key in (before.get("volumes") or {})
        and name(before, key) == name(after, key)
        and described(before, key) != described(after, key)
    )


def _uses(service: Mapping[str, Any]) -> set[str]:
    shared = [str(service.get(key) or "") for key in SHARED_NAMESPACES]
    names = {value.removeprefix("service:") for value in shared if value.startswith("service:")}
    sources = [str(source) for source in service.get("volumes_from") or ()]
    return names | {source.partition(":")[0] for source in sources if not source.startswith("container:")}


def _dependencies(service: Mapping[str, Any]) -> Mapping[str, Any]:
    dependencies = service.get("depends_on") or {}
    return dependencies if isinstance(dependencies, Mapping) else dict.fromkeys(dependencies)
