"""Lays the stores of a stack on fresh crash disks."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackRefused
from persistence_tests.stack.disks.disk import Disk, Media
from persistence_tests.stack.disks.placement import Placed, Stored, stores
from persistence_tests.stack.disks.station import Station

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine
    from persistence_tests.stack.identity import Identity


@dataclass(frozen=True, slots=True)
class Laid:
    """`media` is what was asked for; `pairs` are the stores and their disks, in the order of the disks' places.

    `whole`: the only disk is that of the machine that the stack runs in, with everything but the workspace on it.
    """

    media: Media
    station: Station
    pairs: tuple[Placed, ...]
    whole: bool = False


def lay(
    engine: Engine, identity: Identity, config: dict[str, Any], project_directory: Path, media: Media
) -> Laid:
    """Make the disks and fill those of bind mounts; the engine fills the others, as it does with any volume.

    Raises CapabilityLacking where this machine makes no disks, StackRefused where `media` names what is no store.
    """
    chosen = _chosen(stores(config, project_directory), media)
    station = Station(engine, identity)
    try:
        devices = station.make(media, len(chosen))
        for place, stored in enumerate(chosen):
            if stored.directory is not None:
                station.fill(place, posixpath.relpath(stored.directory, identity.workspace))
    except BaseException:
        station.close()
        raise
    pairs = tuple(
        (stored, Disk(stored.name, stored.volume, place, device, media))
        for place, (stored, device) in enumerate(zip(chosen, devices, strict=True))
    )
    return Laid(media, station, pairs)


def _chosen(found: Sequence[Stored], media: Media) -> list[Stored]:
    wanted = {name: {name, f"./{name.removeprefix('./')}"} for name in media.only}
    known = {stored.name for stored in found}
    if strange := [name for name, spellings in wanted.items() if not spellings & known]:
        raise StackRefused(
            f"{', '.join(strange)} cannot lie on a crash disk",
            where="stack.storage",
            remedy=f"the stores that can are {', '.join(sorted(known)) or 'none'}",
        )
    if not found:
        raise StackRefused(
            "the stack has nothing that could lie on a crash disk",
            remedy="it needs a named volume, or a directory of the project that a service mounts to write in",
        )
    return [s for s in found if not wanted or any(s.name in spellings for spellings in wanted.values())]
