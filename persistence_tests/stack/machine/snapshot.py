"""Snapshots of a machine's disk as it is once the images are on it: the next machine begins with a copy.

They outlive the run, as the layers of builds do: one for each project directory, and one with nothing but the helper
image. A project in the system's temporary directory is not run twice: its snapshot is the run's.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.helper import helper, run_to_end

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

SNAPSHOT_LABEL = "persistence-tests.machine-snapshot"
IMAGE_LABEL = "persistence-tests.machine-image"
DISK = "/var/lib/docker"
PATHS = "persistence-paths"
"""Where on the disk the paths are that the stack mounts from its host."""
COPY_SECONDS = 600.0

# `complete` comes last: what was cut short is never begun with.
SAVE = f"mkdir /snapshot/root; cp -a {DISK}/. /snapshot/root/; rm -rf /snapshot/root/{PATHS}; touch /snapshot/complete"
COPYING: Mapping[str, Any] = {
    # The engine's layers have device nodes and trusted attributes.
    "cap_add": ["SYS_ADMIN", "MKNOD"],
    "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
    "writable": True,
}


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Those of one project on an outer engine; `image` is the reference of the machines' image."""

    engine: Engine
    image: str
    project_directory: str
    labels: Mapping[str, str]

    @property
    def lasting(self) -> bool:
        temporary = Path(tempfile.gettempdir()).resolve()
        return not Path(self.project_directory).resolve().is_relative_to(temporary)

    def newest(self) -> str | None:
        """The volume to begin with: the project's own, else the general one."""
        keys = [_key(self.project_directory), _key("")] if self.lasting else [_key("")]
        return next((found[0] for key in keys if (found := self._of(key))), None)

    def save(self, disk: str, *, general: bool = False) -> str:
        """Copy a disk that nothing writes to; the new snapshot's volume. What it replaces goes."""
        key = _key("" if general else self.project_directory)
        lasting = general or self.lasting
        labels = {SNAPSHOT_LABEL: key, IMAGE_LABEL: self.image} if lasting else dict(self.labels)
        name = f"persistence-machine-{key}-{secrets.token_hex(4)}"
        former = [volume for volume in volumes(self.engine, key) if lasting]
        with engine_answers("taking a snapshot of the machine"):
            self.engine.client.volumes.create(name, labels=labels)
        with helper(
            self.engine,
            {DISK: disk, "/snapshot": name},
            labels=self.labels,
            command=["sh", "-ec", SAVE],
            image=self.image,
            **COPYING,
        ) as copying:
            code, said = run_to_end(copying, COPY_SECONDS)
        if code != 0:
            self._remove([name])
            raise StackError(
                f"the machine's disk could not be copied: {' '.join(said.decode(errors='replace').split())[-300:]}"
            )
        self._remove(former)
        return name

    def _of(self, key: str) -> list[str]:
        return volumes(self.engine, key, self.image)

    def _remove(self, names: Iterable[str]) -> None:
        from docker.errors import DockerException

        for name in names:
            with suppress(DockerException):  # another run begins with it at this moment
                self.engine.client.api.remove_volume(name)


def volumes(engine: Engine, key: str | None = None, image: str | None = None) -> list[str]:
    """The volumes of snapshots that outlive their run, the newest first; of one key, of one image."""
    labels = [SNAPSHOT_LABEL if key is None else f"{SNAPSHOT_LABEL}={key}"]
    labels += [] if image is None else [f"{IMAGE_LABEL}={image}"]
    with engine_answers("looking up the snapshots of machines"):
        listed = engine.client.api.volumes(filters={"label": labels})["Volumes"] or []
    return [
        entry["Name"] for entry in sorted(listed, key=lambda entry: str(entry["CreatedAt"]), reverse=True)
    ]


def forget(engine: Engine, names: Iterable[str]) -> list[str]:
    """Remove snapshots; returns what could not be removed, in words."""
    from persistence_tests.stack.teardown import removed

    return [
        failure
        for name in sorted(names)
        for failure in removed(f"volume {name}", partial(engine.client.api.remove_volume, name))
    ]


def _key(project_directory: str) -> str:
    return sha256(project_directory.encode()).hexdigest()[:12]
