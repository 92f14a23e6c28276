"""What the engine says of a stack, and how two such states differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Mount:
    """`kind` is volume, bind or tmpfs; `source` the volume's name or the path on the host."""

    kind: str
    source: str
    target: str
    writable: bool


@dataclass(frozen=True, slots=True)
class ContainerState:
    identity: str
    name: str
    service: str
    number: int
    image: str
    running: bool
    started_at: str
    exit_code: int
    restart_count: int
    process: int
    health: str | None
    mounts: tuple[Mount, ...]


@dataclass(frozen=True, slots=True)
class VolumeState:
    """`key` is the name in the Compose file, None for an anonymous volume.

    `created_at` tells two volumes of one name apart, and is for nothing else.
    """

    name: str
    key: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class EngineState:
    """Containers by "service-number", volumes by their name on the engine."""

    containers: dict[str, ContainerState]
    volumes: dict[str, VolumeState]


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One entry of the engine's event stream; `kind` is container, volume, image or network."""

    nanoseconds: int
    kind: str
    action: str
    identity: str
    attributes: dict[str, str]


class Change(StrEnum):
    SAME = "same"
    RESTARTED = "restarted"  # the same container, another start
    RECREATED = "recreated"  # another container or volume in its place
    STOPPED = "stopped"  # still there, no longer running
    GONE = "gone"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed: containers and images by "service-number", volumes by name on the engine.

    `images` says SAME or RECREATED. Anonymous volumes are in no delta: what becomes of them is what some events are
    about.
    """

    containers: dict[str, Change] = field(default_factory=dict)
    images: dict[str, Change] = field(default_factory=dict)
    volumes: dict[str, Change] = field(default_factory=dict)


class Store(StrEnum):
    """Where the control container keeps its files; see DESIGN, "Controls"."""

    TMPFS = "tmpfs"
    LAYER = "writable layer"
    ANONYMOUS = "anonymous volume"
    NAMED = "named volume"
    EXTERNAL = "external volume"
    NEVER_SYNCED = "file never synced"
    SYNCED = "file synced with its directory"
    AFTER_BACKUP = "file made after the backup"
    BEFORE_BACKUP = "file made before the backup"
