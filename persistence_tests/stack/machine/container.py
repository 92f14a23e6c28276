"""The container that is a machine: how it is made, begun, ended, and what it says of itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import CapabilityLacking, EngineUnavailable, PersistenceError, StackError
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.exec_stream import ExecFailed, run_any
from persistence_tests.stack.identity import HELPER_LABEL, Identity
from persistence_tests.stack.machine.snapshot import DISK

if TYPE_CHECKING:
    from docker.models.containers import Container

CAPABILITIES = (
    "SYS_ADMIN", "NET_ADMIN", "SYS_CHROOT", "MKNOD", "SYS_PTRACE", "DAC_READ_SEARCH", "NET_RAW", "SYSLOG", "SETPCAP",
    "LINUX_IMMUTABLE", "IPC_LOCK",
)  # fmt: skip
"""Named, because not every host has all of them to give, as `privileged` would."""
ENABLE = (
    "it needs an engine of this machine's own on Linux that gives containers the capabilities "
    f"{', '.join(CAPABILITIES[:3])}… without AppArmor and seccomp (no rootless engine, no remote one)"
)
START_SECONDS = 60.0
GRACE_SECONDS = 40  # the engine gives its containers 15 s or their own grace, then ends them
POLL_SECONDS = 0.02
BOOT = "/usr/local/lib/persistence-tests/boot.sh"
LOG = "/var/log/docker.log"
# Nobody has these (RFC 2544), so that the stack's own subnets do not meet the machine's.
NETWORKS = ip_network("198.18.0.0/15")
PLACES = 1 << (28 - NETWORKS.prefixlen)
ATTEMPTS = 20

# How long the engine's log is; then name, number and start in clock ticks of each of its processes.
PROCESSES = (
    f"stat -c %s {LOG}; "
    'for p in /proc/[0-9]*; do read -r name <"$p/comm" || continue; case $name in dockerd|containerd) '
    'stat=$(cat "$p/stat") || continue; rest=${stat##*) }; set -- $rest; echo "$name ${p#/proc/} ${20}";; esac; done '
    "2>/dev/null"
)


def privileges(info: Mapping[str, Any]) -> dict[str, Any]:
    """What a container needs to be a Docker host, as options of the SDK; `info` is what its engine says of itself."""
    given: dict[str, Any] = {
        "cap_add": list(CAPABILITIES),
        "security_opt": ["apparmor=unconfined", "seccomp=unconfined"],
    }
    # The control groups, which an engine makes for its containers.
    if str(info.get("CgroupVersion", "1")) != "1":
        return {**given, "cgroupns": "private"}
    groups = {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}}
    return {**given, "cgroupns": "host", "volumes": groups}


@dataclass(frozen=True, slots=True)
class Process:
    number: int
    ticks: int  # when it began, since the host's boot


@dataclass(frozen=True, slots=True)
class MachineState:
    """As the outer engine has it: when the machine was started last, when it ended before that and with what exit code.

    The processes are None where they do not run. `said` is how long the engine's log is, in bytes.
    """

    running: bool
    boot: str
    ended: str
    exit_code: int
    engine: Process | None = None
    containerd: Process | None = None
    said: int = 0


class Machine:
    """`identity` says whose it is; `disk` is the volume of its engine's data, `snapshot` the one that it begins with.

    `ports` are published on this host's loopback address, those in `loopback` although the machine has them on its own
    loopback address only.
    """

    def __init__(self, outer: Engine, identity: Identity, image: str, socket: Path) -> None:
        """`socket` is where in the workspace its engine listens."""
        self._outer = outer
        self._identity = identity
        self._image = image
        self._socket = socket
        self._container: Container | None = None
        self._engine: Engine | None = None

    @property
    def disk(self) -> str:
        return self._identity.prefixed("machine")

    @property
    def engine(self) -> Engine:
        """The engine in it: the same connection for as long as there is a machine."""
        if self._engine is None:
            raise StackError("the machine is not there")
        return self._engine

    @property
    def container(self) -> Container:
        if self._container is None:
            raise StackError("the machine is not there")
        return self._container

    @property
    def exists(self) -> bool:
        return self._container is not None

    # Life

    def make(
        self,
        *,
        snapshot: str | None,
        ports: Iterable[int] = (),
        loopback: Sequence[int] = (),
        disk_options: Mapping[str, str] | None = None,
    ) -> None:
        """Make it, with a fresh disk, and start it; returns once its engine answers.

        Raises CapabilityLacking where this host does not let a container be a Docker host.
        """
        try:
            self._make(snapshot, ports, loopback, disk_options or {})
        except StackError as error:
            raise CapabilityLacking(
                f"no Docker host can be had in a container here: {error.what}", remedy=ENABLE
            ) from error

    def _make(
        self,
        snapshot: str | None,
        ports: Iterable[int],
        loopback: Sequence[int],
        disk_options: Mapping[str, str],
    ) -> None:
        self._socket.parent.mkdir(exist_ok=True)
        labels = self._labels
        api = self._outer.client.api
        with engine_answers("making the machine"):
            self._outer.client.volumes.create(
                self.disk, labels=labels, driver="local", driver_opts=dict(disk_options)
            )
            network = self._network(labels)
            self._container = self._outer.client.containers.create(
                self._image,
                ["bash", BOOT, str(self._socket), *map(str, loopback)],
                name=self.disk,
                hostname="machine",
                labels=labels,
                init=True,
                network=network,
                ports={f"{port}/tcp": ("127.0.0.1", None) for port in ports},  # type: ignore[misc]  # None: a free one
                mounts=self._mounts(snapshot),
                tmpfs={"/run": "exec"},
                # What comes from outside may be sent on to the loopback address; see boot.sh.
                sysctls={"net.ipv4.conf.all.route_localnet": "1"},
                **privileges(api.info()),
            )
        self.start()

    def start(self) -> None:
        """Start it, as one switches a machine on; returns once its engine answers."""
        with engine_answers("starting the machine"):
            self.container.start()
        self.wait_engine()

    def stop(self) -> None:
        """Shut it down as `shutdown` does: the engine ends its containers, then the machine ends."""
        with engine_answers("shutting the machine down"):
            self.container.stop(timeout=GRACE_SECONDS)

    def sync(self) -> None:
        """Write out what its disk is to hold."""
        self.run(["sync", "-f", DISK])

    def kill(self) -> None:
        """All its processes end at once."""
        with engine_answers("killing the machine"):
            self.container.kill()

    def signal_engine(self, signal: str, *names: str) -> None:
        """Send a signal ("KILL") to the engine's processes of these names ("dockerd"), each whole name."""
        self.run(["pkill", f"-{signal}", "-x", "|".join(names)])

    def wait_engine(self, seconds: float = START_SECONDS) -> None:
        """Until the engine answers. Raises StackError, with its last words, where it does not."""
        from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

        def over() -> bool:
            if self._answers():
                return True
            with engine_answers("watching the machine"):
                self.container.reload()
            return bool(self.container.status in ("exited", "dead"))

        patience = Retrying(
            stop=stop_after_delay(seconds),
            wait=wait_fixed(POLL_SECONDS),
            retry=retry_if_result(lambda over: not over),
        )
        with suppress(RetryError):
            patience(over)
        if not self._answers():
            raise StackError(f"the machine's engine does not start: {self._last_words()}")

    def _answers(self) -> bool:
        if self._engine is not None:
            return self._engine.answers()
        try:
            self._engine = Engine.connect(f"unix://{self._socket}")
        except PersistenceError:
            return False
        return True

    def remove(self) -> list[str]:
        """The container, its network and its disk; what could not be removed, in words."""
        from persistence_tests.stack.teardown import removed

        self._container = None
        if self._engine is not None:
            self._engine.close()  # of what it has pooled nothing is left
        api = self._outer.client.api
        return [
            *removed("the machine", lambda: api.remove_container(self.disk, v=True, force=True)),
            *removed("the machine's network", lambda: api.remove_network(self.disk)),
            *removed("the machine's disk", lambda: api.remove_volume(self.disk)),
        ]

    # What it says

    def state(self) -> MachineState:
        with engine_answers("looking at the machine"):
            self.container.reload()
        seen = self.container.attrs["State"]
        state = MachineState(
            bool(seen["Running"]), str(seen["StartedAt"]), str(seen["FinishedAt"]), int(seen["ExitCode"])
        )
        if not state.running:
            return state
        length, *lines = self.run(["bash", "-c", PROCESSES]).splitlines()
        found: dict[str, Process] = {}
        for line in lines:
            name, number, ticks = line.split()
            found[name] = Process(int(number), int(ticks))
        return replace(
            state, engine=found.get("dockerd"), containerd=found.get("containerd"), said=int(length)
        )

    def log(self, since: int) -> str:
        """What the engine has logged beyond its first `since` bytes."""
        return self.run(["tail", "-c", f"+{since + 1}", LOG])

    def port(self, port: int) -> int | None:
        """Where a port of the machine is reached on this host; None where it is not published."""
        with engine_answers("looking at the machine"):
            self.container.reload()
        published = (self.container.attrs["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp")
        return int(published[0]["HostPort"]) if published else None

    @property
    def address(self) -> str:
        """The machine's own address, which only this host can reach."""
        with engine_answers("looking at the machine"):
            self.container.reload()
        networks = self.container.attrs["NetworkSettings"]["Networks"]
        return str(networks[self.disk]["IPAddress"])

    def run(self, command: Sequence[str]) -> str:
        """What a program in the machine printed. Raises StackError where it fails."""
        try:
            out, err, code = run_any(self.container, command, user="0:0")
        except (ExecFailed, TimeoutError, EngineUnavailable) as error:
            raise StackError(f"the machine takes no command: {error}") from error
        if code != 0:
            said = " ".join((err or out).decode(errors="replace").split())
            raise StackError(f"`{command[0]}` failed in the machine: {said[-300:] or f'exit code {code}'}")
        return out.decode(errors="replace")

    # How it is made

    @property
    def _labels(self) -> dict[str, str]:
        return {**self._identity.labels, HELPER_LABEL: "machine"}

    def _mounts(self, snapshot: str | None) -> list[Any]:
        from docker.types import Mount

        workspace = self._identity.workspace
        mounts = [
            Mount(DISK, self.disk, type="volume", no_copy=True),
            Mount(workspace, workspace, type="bind"),
        ]
        if snapshot is not None:
            mounts.append(Mount("/snapshot", snapshot, type="volume", read_only=True, no_copy=True))
        return mounts

    def _network(self, labels: Mapping[str, str]) -> str:
        """A network with nobody else on it."""
        from docker.errors import APIError
        from docker.types import IPAMConfig, IPAMPool

        for attempt in range(ATTEMPTS):
            subnet = str(list(NETWORKS.subnets(new_prefix=28))[secrets.randbelow(PLACES)])
            ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
            try:
                self._outer.client.networks.create(self.disk, labels=dict(labels), ipam=ipam)
            except APIError as error:
                if "overlap" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
            else:
                break
        return self.disk

    def _last_words(self) -> str:
        """Of the engine in the machine, or of the machine itself."""
        from docker.errors import DockerException

        try:
            self.container.reload()
            if self.container.status == "running":
                said = self.run(["tail", "-n", "3", LOG])
            else:
                said = self.container.logs(tail=3).decode(errors="replace")
        except (DockerException, StackError) as error:
            said = str(error)
        return " ".join(said.split())[-400:] or "it said nothing"
