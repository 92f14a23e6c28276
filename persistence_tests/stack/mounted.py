"""A directory of a volume, opened on this machine through the main process of a container that has it mounted.

The engine's archive API takes a tenth of a second for its first byte and hands out a third of what a disk gives. Where
the container's processes are this machine's own, its files are read without it; where that is not proven, they are not.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OWN_USERS = Path("/proc/self/ns/user")
_OCTAL = re.compile(r"\\([0-7]{3})")

Mounted = tuple["Container", str]
"""A running container, and the place where it has a volume."""


def found_mounted(containers: Iterable[Container], volume: str) -> Mounted | None:
    """The first running container that has the volume, by its name on the engine."""
    for container in containers:
        if container.status == "running":
            for mount in container.attrs.get("Mounts") or ():
                if mount["Type"] == "volume" and mount.get("Name") == volume:
                    return container, mount["Destination"]
    return None


@contextmanager
def opened_directory(mounted: Mounted, volume: str, under: str | None = None) -> Iterator[int | None]:
    """A descriptor of the volume's directory, or of `under` in it; None where it is not proven to be that one.

    Proven: the process belongs to that container (its control groups say so) and to the user namespace of ours, so
    that owners are the same numbers; what is mounted there is the volume's own directory or a whole filesystem; nothing
    else is mounted below. No symbolic link is followed. Who may not look at other users' processes gets None.
    """
    container, place = mounted
    with ExitStack() as opened:
        yield _open(opened, container, place, volume, under)


def _open(opened: ExitStack, container: Container, place: str, volume: str, under: str | None) -> int | None:
    try:
        process = _opened(opened, f"/proc/{int(container.attrs['State']['Pid'])}")
        if str(container.id) not in _text(process, "cgroup"):
            return None
        if os.readlink("ns/user", dir_fd=process) != str(_OWN_USERS.readlink()):
            return None
        if not shows_volume(_text(process, "mountinfo"), place, volume):
            return None
        directory = _opened(opened, "root", process)
        for part in filter(None, f"{place}/{under or ''}".split("/")):
            directory = _opened(opened, part, directory, os.O_NOFOLLOW)
    except OSError:
        return None
    return directory


def shows_volume(mountinfo: str, place: str, volume: str) -> bool:
    """Whether `place` is in a process's mounts (proc(5)) the directory that the engine made for the volume."""
    mounts = [_mount(line) for line in mountinfo.splitlines()]
    if any(target.startswith(f"{place.rstrip('/')}/") for _, target in mounts):
        return False
    around = [(root, target) for root, target in mounts if f"{place}/".startswith(f"{target.rstrip('/')}/")]
    root, target = max(around, key=lambda mount: len(mount[1]), default=("", ""))
    if [each for _, each in around].count(target) != 1:
        return False
    within = posixpath.join(root, posixpath.relpath(place, target)) if target != place else root
    return within.endswith(f"/{volume}/_data") or (target, root) == (place, "/")


def _mount(line: str) -> tuple[str, str]:
    _, _, _, root, target, *_ = line.split(" ")
    return _unescaped(root), _unescaped(target)


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)


def _opened(opened: ExitStack, path: str, within: int | None = None, flags: int = 0) -> int:
    descriptor = os.open(path, _DIRECTORY | flags, dir_fd=within)
    opened.callback(os.close, descriptor)
    return descriptor


def _text(directory: int, name: str) -> str:
    with open(name, opener=lambda path, flags: os.open(path, flags, dir_fd=directory)) as file:
        return file.read()
