"""What must become of the files in an event that removes volumes: that depends on where they are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.model.records import DataFate
from persistence_tests.stack.identity import CONTROL_SERVICE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from persistence_tests.events.base import Event

Config = Mapping[str, Any]
Mount = Mapping[str, Any]


def fate(event: Event, paths: Mapping[str, tuple[str, BaseModel]], config: Config) -> DataFate:
    """The event's own fate, but `kept` for one that destroys other volumes than those where the files are.

    `config` is the resolved Compose configuration. Raises StackError where only a part of the paths leads to
    what the event removes, or nobody can know where a server keeps its files.
    """
    planned = event.fate()
    if planned is not DataFate.DESTROYED:
        return planned
    removed = event.removes(config)
    outlives = {
        name: stays
        for name, (_, path) in paths.items()
        if (stays := _outlives(path, config, removed)) is not None
    }
    if not outlives and any(_mount_outlives(mount, removed) for mount in _writable(config)):
        raise StackError(
            f"what {event.name} must leave of the files cannot be said: it removes some of the stack's stores "
            "and not others",
            remedy="add a `volume` or `direct` path, which says where they are",
        )
    if len(set(outlives.values())) > 1:
        left = ", ".join(name for name, stays in outlives.items() if stays)
        raise StackError(
            f"what {event.name} must leave of the files cannot be said: it removes what some paths show, "
            f"but not what {left} shows"
        )
    return DataFate.KEPT if any(outlives.values()) else DataFate.DESTROYED


def _outlives(path: BaseModel, config: Config, removed: Collection[str]) -> bool | None:
    """Whether what a path shows is on none of the removed volumes; None for a server's path."""
    if getattr(path, "bind", None) is not None:
        return True
    if (volume := getattr(path, "volume", None)) is not None:
        return volume not in removed
    root = getattr(path, "root", None)
    if root is None and getattr(path, "references", None) is None:
        return None
    service = (config.get("services") or {}).get(getattr(path, "service", "")) or {}
    if root is None:
        # Where in its service a database keeps its rows is not said; that it has one place for them is likely.
        stays = {_mount_outlives(mount, removed) for mount in _mounts(service) if not mount.get("read_only")}
        return stays.pop() if len(stays) == 1 else None
    around = [
        mount for mount in _mounts(service) if PurePosixPath(root).is_relative_to(str(mount.get("target")))
    ]
    nearest = max(around, key=lambda mount: len(PurePosixPath(str(mount.get("target"))).parts), default=None)
    return nearest is not None and _mount_outlives(nearest, removed)


def _mount_outlives(mount: Mount, removed: Collection[str]) -> bool:
    """An anonymous volume, a tmpfs and the container's own layer go with the container."""
    if mount.get("type") == "bind":
        return True
    return mount.get("type") == "volume" and bool(mount.get("source")) and mount["source"] not in removed


def _writable(config: Config) -> Iterator[Mount]:
    for name, service in (config.get("services") or {}).items():
        if name != CONTROL_SERVICE:
            yield from (mount for mount in _mounts(service or {}) if not mount.get("read_only"))


def _mounts(service: Mapping[str, Any]) -> list[Mount]:
    return [mount for mount in service.get("volumes") or () if isinstance(mount, Mapping)]
