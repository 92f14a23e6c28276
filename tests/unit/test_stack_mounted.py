"""When a directory of a running process is a volume's own, and when that is not proven."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.stack.mounted import found_mounted, opened_directory, shows_volume

ROOT = "1 0 0:50 / / rw - overlay overlay rw"
VOLUMES = "/var/lib/docker/volumes"


def mount(root: str, target: str) -> str:
    return f"7 1 254:0 {root} {target} rw,relatime master:1 - ext4 /dev/vda rw"


@pytest.mark.parametrize(
    ("mounts", "place", "is_proven"),
    [
        pytest.param([mount(f"{VOLUMES}/v/_data", "/data")], "/data", True, id="the engine's directory"),
        pytest.param([mount("/@/docker/volumes/v/_data", "/data")], "/data", True, id="in a subvolume"),
        pytest.param([mount("/", "/data")], "/data", True, id="a filesystem of its own"),
        pytest.param([mount(f"{VOLUMES}/v/_data", r"/my\040data")], "/my data", True, id="escaped"),
        pytest.param([mount("/", "/var/lib/docker")], f"{VOLUMES}/v/_data", True, id="in a machine"),
        pytest.param([mount(f"{VOLUMES}/v/_data", "/database")], "/data", False, id="another's name"),
        pytest.param([mount(f"{VOLUMES}/w/_data", "/data")], "/data", False, id="another volume"),
        pytest.param([mount(f"{VOLUMES}/v/_data/sub", "/data")], "/data", False, id="a part of it"),
        pytest.param([mount("/sub", "/data")], "/data", False, id="a part of its filesystem"),
        pytest.param([mount(f"{VOLUMES}/v/_data//deleted", "/data")], "/data", False, id="deleted"),
        pytest.param([mount("/old/v/_data.bak", "/data")], "/data", False, id="moved away"),
        pytest.param([], "/data", False, id="not mounted"),
        pytest.param(
            [mount(f"{VOLUMES}/v/_data", "/data"), mount("/w", "/data/cache")], "/data", False, id="one below"
        ),
        pytest.param(
            [mount(f"{VOLUMES}/v/_data", "/data"), mount("/", "/data")], "/data", False, id="one over it"
        ),
    ],
)
def test_what_a_process_has_mounted_is_the_volume_or_not_proven(
    mounts: list[str], place: str, is_proven: bool
) -> None:
    assert shows_volume("\n".join([ROOT, *mounts]), place, "v") is is_proven


def container(identity: str, process: int, status: str = "running", volume: str = "v") -> Any:
    mounts = [
        {"Type": "bind", "Source": "/v", "Destination": "/bound"},
        {"Type": "volume", "Name": volume, "Destination": "/data"},
    ]
    return SimpleNamespace(id=identity, status=status, attrs={"State": {"Pid": process}, "Mounts": mounts})


def test_only_a_running_container_that_has_the_volume_will_do() -> None:
    stopped, other = container("a", 0, "exited"), container("b", 1, volume="w")
    paused, running = container("c", 2, "paused"), container("d", 3)
    assert found_mounted([stopped, other, paused, running], "v") == (running, "/data")
    assert found_mounted([stopped, other], "v") is None


def test_a_process_that_is_not_the_container_s_is_not_looked_into(tmp_path: Path) -> None:
    gone = os.spawnlp(os.P_WAIT, "true", "true") or 2**22 - 1
    for process in (os.getpid(), 0, gone):
        with opened_directory((container("f" * 64, process), str(tmp_path)), "v") as directory:
            assert directory is None
