"""Which stores of a stack can lie on crash disks, and what the override then says of them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persistence_tests.stack.control import EXTERNAL_VOLUME, NAMED_VOLUME
from persistence_tests.stack.disks.disk import Disk
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.isolation import unescaped
from persistence_tests.stack.override import Override

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """A store of the isolated stack that can lie on a disk. `directory` is that of a bind mount, absolute."""

    name: str
    volume: str
    directory: str | None = None


Placed = tuple[Stored, Disk]


def stores(config: Config, project_directory: Path) -> list[Stored]:
    """The volumes of the services that run, and the directories of the project that one of them mounts to write in.

    A volume with options of a driver, and a directory inside or around another one, stays where it is.
    """
    used: dict[str, bool] = {}
    binds: dict[str, bool] = {}
    for name, service in config["services"].items():
        for mount in (service.get("volumes") or ()) if name != CONTROL_SERVICE else ():
            source = unescaped(str(mount.get("source") or ""))
            if mount.get("type") == "volume" and source:
                used[source] = True
            if mount.get("type") == "bind":
                binds[source] = binds.get(source, False) or not mount.get("read_only")
    declared = config.get("volumes") or {}
    found = [
        Stored(key, key)
        for key in sorted(used)
        if key not in (NAMED_VOLUME, EXTERNAL_VOLUME) and not (declared.get(key) or {}).get("driver_opts")
    ]
    for source, written in sorted(binds.items()):
        others = [other for other in binds if other != source]
        apart = not any(_inside(source, other) or _inside(other, source) for other in others)
        if written and apart and Path(source).is_dir():
            inside = posixpath.relpath(source, project_directory)
            key = "persistence-disk-" + "".join(c if c.isalnum() else "-" for c in inside)
            found.append(Stored(f"./{inside}", key, source))
    return found


def on_disks(
    override: Mapping[str, Any], config: Config, chosen: Sequence[Placed], labels: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The override with these stores on their disks, and what that changes, in words."""
    volumes = dict(override.get("volumes") or {})
    services = dict(override["services"])
    changes = []
    for stored, disk in chosen:
        if stored.directory is not None:
            volumes[stored.volume] = {"labels": dict(labels), "driver_opts": Override(disk.driver_options)}
        elif not (config["volumes"].get(stored.volume) or {}).get("external"):
            said = volumes.get(stored.volume) or {}
            volumes[stored.volume] = {**said, "driver_opts": Override(disk.driver_options)}
        changes.append(f"{stored.name}: on a crash disk ({disk.media})")
    moved = {stored.directory: stored.volume for stored, _ in chosen if stored.directory is not None}
    for name, service in config["services"].items():
        mounts = service.get("volumes") or []
        if any(_moved_to(mount, moved) for mount in mounts):
            services[name] = {**services[name], "volumes": Override([_on_volume(m, moved) for m in mounts])}
    return {**override, "services": services, "volumes": volumes}, changes


def _moved_to(mount: Config, moved: Mapping[str, str]) -> str | None:
    return moved.get(unescaped(str(mount.get("source") or ""))) if mount.get("type") == "bind" else None


def _on_volume(mount: Config, moved: Mapping[str, str]) -> Config:
    volume = _moved_to(mount, moved)
    if volume is None:
        return mount
    kept = {key: value for key, value in mount.items() if key in ("target", "read_only")}
    # A bind mount shows the directory as it is: nothing is copied into it from the image.
    return {**kept, "type": "volume", "source": volume, "volume": {"nocopy": True}}


def _inside(path: str, directory: str) -> bool:
    return path.startswith(directory.rstrip("/") + "/")
