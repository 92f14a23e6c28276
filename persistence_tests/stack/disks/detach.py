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

# One that is still mounted goes once it is unmounted: the kernel sees to that. The file of a thin disk is nowhere to be
# seen from here, but it begins with the name of the volume, which is nobody else's.
DETACH = f"""
for file in {DISKS}/*; do
  [ -e "$file" ] || continue
  for device in $(losetup -n -O NAME -j "$file"); do losetup -d "$device"; done
done
losetup -n -O NAME,BACK-FILE | while read -r device file; do
  case $file in */"$1"-[0-9]*) losetup -d "$device" ;; esac
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
            command=["sh", "-ec", DETACH, "sh", volume],
            writable=True,
            **CAPABILITIES,
        ) as container:
            code, said = run_to_end(container)
    except (PersistenceError, DockerException) as error:
        return [f"the loop devices of {volume}: {error}"]
    return [] if code == 0 else [f"the loop devices of {volume}: {said.decode(errors='replace').strip()}"]
