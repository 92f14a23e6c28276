"""The recorded configuration of a stack, as the rules read it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Backing(StrEnum):
    """What keeps the files of a directory in a container; see PLATFORM, "Which storage survives"."""

    LAYER = "writable layer"
    TMPFS = "tmpfs"
    ANONYMOUS = "anonymous volume"
    NAMED = "named volume"
    BIND = "bind mount"


@dataclass(frozen=True, slots=True)
class MountTarget:
    target: str
    backing: Backing
    source: str

    def holds(self, directory: str) -> bool:
        """Whether `directory` is the mount's target or lies below it."""
        return _is_below(directory, self.target)


def well_formed(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recorded configuration has the form that Compose gives it: a history may hold anything."""
    services = {}
    for name, service in _mappings(recorded.get("services")).items():
        volumes, tmpfs = service.get("volumes"), service.get("tmpfs")
        services[name] = {
            **service,
            "volumes": [e for e in volumes if isinstance(e, dict)] if isinstance(volumes, list) else [],
            "tmpfs": tmpfs if isinstance(tmpfs, list | str) else [],
        }
    volumes = {
        key: {
            **volume,
            "driver_opts": options if isinstance(options := volume.get("driver_opts"), dict) else {},
        }
        for key, volume in _mappings(recorded.get("volumes")).items()
    }
    return {**recorded, "services": services, "volumes": volumes}


@dataclass(frozen=True, slots=True)
class Configuration:
    """`resolved` is what `docker compose config --format json` prints, `mounts` what the engine really mounted.

    `mounts` maps a service to entries with the keys kind, source and target.
    """

    resolved: Mapping[str, Any]
    mounts: Mapping[str, list[dict[str, str]]]

    def targets(self, service: str) -> list[MountTarget]:
        """Every mount of a service: those of the Compose file and those that its image adds."""
        definition = (self.resolved.get("services") or {}).get(service) or {}
        targets = [_declared(entry) for entry in definition.get("volumes") or []]
        tmpfs = definition.get("tmpfs") or []
        for entry in [tmpfs] if isinstance(tmpfs, str) else tmpfs:
            target = str(entry).split(":", 1)[0]
            targets.append(MountTarget(_clean(target), Backing.TMPFS, ""))
        known = {target.target for target in targets}
        for mount in self.mounts.get(service, []):
            target = _clean(mount.get("target", ""))
            if target not in known:
                kind = Backing.TMPFS if mount.get("kind") == "tmpfs" else Backing.ANONYMOUS
                targets.append(MountTarget(target, kind, mount.get("source", "")))
        return targets

    def volume_keys(self) -> list[str]:
        """The volumes that the Compose file declares, by their keys."""
        return sorted(self.resolved.get("volumes") or {})

    def keys_in_use(self) -> set[str]:
        """The keys of the volumes that some service mounts."""
        services = self.resolved.get("services") or {}
        return {m.source for service in services for m in self.targets(service) if m.backing is Backing.NAMED}

    def is_memory(self, key: str) -> bool:
        """Whether a named volume is a tmpfs: empty whenever no container holds it."""
        options = ((self.resolved.get("volumes") or {}).get(key) or {}).get("driver_opts") or {}
        return str(options.get("type", "")).lower() in {"tmpfs", "ramfs"}

    def is_built(self, service: str) -> bool:
        """Whether the stack builds the service's image itself."""
        return bool(((self.resolved.get("services") or {}).get(service) or {}).get("build"))

    def mount_of(self, service: str, directory: str) -> MountTarget | None:
        """The innermost mount that holds a directory; None where it lies in the writable layer."""
        holding = [mount for mount in self.targets(service) if mount.holds(_clean(directory))]
        return max(holding, key=lambda mount: len(mount.target), default=None)

    def backing(self, service: str, directory: str) -> Backing:
        mount = self.mount_of(service, directory)
        if mount is not None and mount.backing is Backing.NAMED and self.is_memory(mount.source):
            return Backing.TMPFS
        return mount.backing if mount else Backing.LAYER


def _mappings(part: Any) -> dict[str, dict[str, Any]]:
    """Compose prints null for an entry of which nothing is said."""
    entries = part.items() if isinstance(part, dict) else ()
    return {key: entry or {} for key, entry in entries if entry is None or isinstance(entry, dict)}


def _declared(entry: Mapping[str, Any]) -> MountTarget:
    source = str(entry.get("source") or "")
    backing = {
        "bind": Backing.BIND,
        "tmpfs": Backing.TMPFS,
        "volume": Backing.NAMED if source else Backing.ANONYMOUS,
    }.get(str(entry.get("type")), Backing.BIND)
    return MountTarget(_clean(str(entry.get("target", ""))), backing, source)


def _clean(path: str) -> str:
    return posixpath.normpath(path or "/")


def _is_below(directory: str, parent: str) -> bool:
    return parent in {directory, "/"} or directory.startswith(parent + "/")
