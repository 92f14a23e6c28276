"""What a crash disk is like, and which store of the stack lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Filesystem = Literal["ext4", "xfs"]

MEBIBYTE = 1024 * 1024
DEFAULT_SIZE = 1024 * MEBIBYTE
SMALLEST: dict[Filesystem, int] = {"ext4": 16 * MEBIBYTE, "xfs": 300 * MEBIBYTE}

CONTROL_FILES = ".persistence-control-*"
"""Names of the harness's own files in the root of a disk."""


@dataclass(frozen=True, slots=True)
class Media:
    """`size` in bytes, of each disk. `noauto_da_alloc` is ext4's: a rename over a file, and a file that was emptied,
    then reach the disk without their bytes, as on other filesystems. `only` are the stores that lie on disks, by
    their key in the Compose file or the source of the bind mount; empty: all that can. `thin`: what is not allocated
    yet can be made to fail for a while; such a disk lies in memory, as much of it as is used.
    """

    size: int = DEFAULT_SIZE
    filesystem: Filesystem = "ext4"
    noauto_da_alloc: bool = False
    only: tuple[str, ...] = ()
    thin: bool = False

    @property
    def options(self) -> str:
        """For mount(8)."""
        return "noauto_da_alloc" if self.noauto_da_alloc else ""

    def __str__(self) -> str:
        options = f", {self.options}" if self.options else ""
        return f"{self.filesystem}, {self.size // MEBIBYTE} MiB{options}{', in memory' if self.thin else ''}"


@dataclass(frozen=True, slots=True)
class Disk:
    """`store` is what the user calls it: a volume's key, or a bind's source; `volume` its key under `volumes:` of the
    isolated stack; `place` its number on its station; `device` as the engine's host calls it, "/dev/loop3".
    """

    store: str
    volume: str
    place: int
    device: str
    media: Media

    @property
    def driver_options(self) -> dict[str, str]:
        """For the engine's local driver."""
        options = {"type": self.media.filesystem, "device": self.device}
        return options | ({"o": self.media.options} if self.media.options else {})
