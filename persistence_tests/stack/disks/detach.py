"""Detaches the loop devices of crash disks, by the very files that they are attached to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import PersistenceError
from persistence_tests.stack.helper import helper, run_to_end

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

DISKS = "/disks"
CAPABILITIES: Mapping[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
    # Block devices of major 7 are the loop devices, 10:237 is /dev/loop-control.
    "device_cgroup_rules": ["b 7:* rmw", "c 10:237 rmw"],
}

# One that is still mounted goes once it is unmounted: the kernel sees to that.
DETACH = f"""
for file in {DISKS}/*; do
  for device in $(losetup -n -O NAME -j "$file"); do losetup -d "$device"; done
done
"""


def detach(engine: Engine, volume: str, labels: Mapping[str, str]) -> list[str]:
    """Detach all devices whose file lies in this volume; what could not be done, in words."""
    from docker.errors import DockerException, NotFound

    try:
        engine.client.api.inspect_volume(volume)
    except NotFound:
        return []
    try:
        with helper(
            engine,
            {DISKS: volume, "/dev": Path("/dev")},
            labels=labels,
            command=["sh", "-ec", DETACH],
            writable=True,
            **CAPABILITIES,
        ) as container:
            code, said = run_to_end(container)
    except (PersistenceError, DockerException) as error:
        return [f"the loop devices of {volume}: {error}"]
    return [] if code == 0 else [f"the loop devices of {volume}: {said.decode(errors='replace').strip()}"]
