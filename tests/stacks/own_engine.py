"""A second Docker engine that a test may kill: its own data, socket and processes, nothing of the first one's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import docker
from docker import DockerClient

from persistence_tests.events.waiting import wait_until

IMAGE = "debian:bookworm-slim"
START_SECONDS = 60.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
POOL = "base=10.213.0.0/16,size=24"


def why_not() -> str | None:
    """Why no second engine can be had here."""
    if os.geteuid() != 0:
        return "only root can start a second engine"
    return None if shutil.which("dockerd") else "dockerd is not installed on this machine"


class OwnEngine:
    """`directory` should be short: a socket's path has at most 107 bytes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{directory}/docker.sock"
        self.client: DockerClient

    def start(self) -> None:
        (self._directory / "pid").unlink(missing_ok=True)
        # In a network namespace of its own: an engine without a bridge removes the first one's docker0.
        command = [
            *("unshare", "--net", "dockerd"),
            *("--data-root", str(self._directory / "data"), "--exec-root", str(self._directory / "exec")),
            *("--host", self.url, "--pidfile", str(self._directory / "pid")),
            *("--bridge", "none", "--iptables=false", "--ip6tables=false", "--default-address-pool", POOL),
        ]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            assert not self._is_over(POLL_SECONDS), (self._directory / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "the second engine does not listen"
        self.client = DockerClient(self.url)  # waits for its first answer

    def load(self, image: str = IMAGE) -> None:
        """The first engine's image, brought here."""
        first = docker.from_env()
        try:
            self.client.images.load(b"".join(first.images.get(image).save(named=True)))
        finally:
            first.close()

    def kill(self) -> None:
        """SIGKILL, as when the machine's memory is at its end; its containers live on."""
        assert self._process is not None
        self.client.close()
        self._process.kill()
        self._process.wait()
        self._end_containerd()

    def _end_containerd(self) -> None:
        """It ends with its dockerd, but not at once, and the next dockerd would wait for it in vain."""
        file = self._directory / "exec" / "containerd" / "containerd.pid"
        try:
            process = int(file.read_text())
        except FileNotFoundError:
            return
        with suppress(ProcessLookupError):
            if str(file.parent) in _command_line(process):
                os.kill(process, signal.SIGKILL)
        assert wait_until(lambda: not _command_line(process), STOP_SECONDS)
        file.unlink()

    def close(self) -> None:
        """End its containers, the engine, and remove all that it had on the disk."""
        if self._process is not None:
            if self._process.poll() is not None:
                self.start()
            for container in self.client.containers.list(all=True):
                container.remove(force=True, v=True)
            self.client.networks.prune()
            self.client.close()
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
        for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (point := mount.split()[1]).startswith(f"{self._directory}/"):
                subprocess.run(["umount", "--lazy", point], check=False)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _is_over(self, within: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.url.removeprefix("unix://")) == 0


def _command_line(process: int) -> str:
    """Empty where it is over, be it that nobody has collected it."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
