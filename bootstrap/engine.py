"""Makes sure that a Docker engine answers and that it has the base image.

The engine is the one that DOCKER_HOST or the current context names. Only where that is this machine's own
socket and nobody answers there is one started, and on Debian and Ubuntu, as root, installed first.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from docker import DockerClient
from docker.context import Context, ContextAPI
from docker.errors import DockerException
from requests.exceptions import RequestException

from bootstrap import base_image
from bootstrap.console import apt_install, can_apt_install, fail, say

LOCAL_SOCKET = Path("/var/run/docker.sock")
LOCAL_ENGINE = f"unix://{LOCAL_SOCKET}"
PID_FILE = Path("/var/run/docker.pid")
CONTAINERD_PID_FILE = Path("/var/run/docker/containerd/containerd.pid")
ENGINE_LOG = Path("/var/log/dockerd.log")
START_SECONDS = 60
POLL_SECONDS = 0.05


def context() -> Context | None:
    """The current context of the Docker client; None where it has no more to say than the default."""
    named: Context | None = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    return named if named is not None and named.name != "default" else None


def endpoint() -> tuple[str, str]:
    """The engine's address and what chose it, in the Docker client's own order."""
    if host := os.environ.get("DOCKER_HOST"):
        return host, "DOCKER_HOST"
    if chosen := context():
        return str(chosen.Host), f"the Docker context {chosen.name!r}"
    return LOCAL_ENGINE, "the default"


def connect() -> DockerClient:
    """A client of the engine that answers; DockerException or RequestException where none does."""
    if "DOCKER_HOST" in os.environ or not (chosen := context()):
        client = DockerClient.from_env(use_ssh_client=True)
    else:
        client = DockerClient(
            base_url=chosen.Host,
            tls=getattr(chosen, "TLSConfig", None) or False,
            use_ssh_client=True,
        )
    client.ping()
    return client


def cause(error: BaseException) -> str:
    while inner := error.__cause__ or error.__context__:
        error = inner
    return str(error)


def refuse_unless_startable(reason: str) -> None:
    host, origin = endpoint()
    if host not in (LOCAL_ENGINE, "unix:///run/docker.sock"):
        fail(
            "engine",
            f"no engine answers at {host}, which {origin} names: {reason}",
            "Start that engine, or unset DOCKER_HOST (docker context use default) for this machine's own.",
        )
    if sys.platform != "linux":
        fail(
            "engine",
            "no engine answers",
            "Start Docker Desktop, or install it (OrbStack and Colima serve too).",
        )
    if os.geteuid() != 0 and LOCAL_SOCKET.exists() and not os.access(LOCAL_SOCKET, os.R_OK | os.W_OK):
        fail(
            "engine",
            f"this user may not use {LOCAL_SOCKET}",
            "Join its group (sudo usermod -aG docker $USER, then log in again), or run make as root.",
        )
    if os.geteuid() != 0:
        start = "sudo systemctl start docker" if shutil.which("dockerd") else "sudo apt-get install docker.io"
        fail(
            "engine",
            f"no engine answers at {LOCAL_SOCKET}, and only root can start one",
            f"Debian, Ubuntu: {start}",
            "Others: https://docs.docker.com/engine/install/",
        )
    if not shutil.which("dockerd") and not can_apt_install():
        fail(
            "engine",
            "no engine is installed, and this is neither Debian nor Ubuntu",
            "Install Docker Engine: https://docs.docker.com/engine/install/",
        )


def engine_needs() -> list[str]:
    """What docker.io only recommends, and an engine here cannot do without."""
    needs = ["apparmor", "ca-certificates", "xz-utils"]
    return needs if Path("/sys/fs/cgroup").is_mount() else [*needs, "cgroupfs-mount"]


def is_running(program: bytes, pid_file: Path) -> bool:
    try:
        command = Path(f"/proc/{int(pid_file.read_text())}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return program in command  # a zombie has no command line


def start_engine() -> subprocess.Popen[bytes] | None:
    """Starts dockerd so that it outlives this process and its terminal, and holds no pipe of theirs open.

    None where somebody else starts it.
    """
    if Path("/run/systemd/system").is_dir():
        say("engine", "starting the docker service …")
        subprocess.run(["systemctl", "start", "docker"], stdin=subprocess.DEVNULL, check=False)
        return None
    if is_running(b"dockerd", PID_FILE):
        say("engine", "dockerd is there already, waiting for it …")
        return None
    # A hard stop leaves them behind: dockerd refuses to start on its own, and waits for whom the other names.
    PID_FILE.unlink(missing_ok=True)
    if not is_running(b"containerd", CONTAINERD_PID_FILE):
        CONTAINERD_PID_FILE.unlink(missing_ok=True)
    say("engine", f"starting dockerd, its output in {ENGINE_LOG} …")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    with ENGINE_LOG.open("ab") as log:
        return subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )


def await_engine(started: subprocess.Popen[bytes] | None) -> DockerClient:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return connect()
        except (DockerException, RequestException) as reason:
            ended = started is not None and started.poll() is not None
            if ended or time.monotonic() > deadline:
                what = "dockerd ended" if ended else f"no answer within {START_SECONDS} s"
                log = ENGINE_LOG.read_text(errors="replace") if ENGINE_LOG.exists() else ""
                fail("engine", f"{what}: {cause(reason)}; the end of {ENGINE_LOG}:", *log.splitlines()[-10:])
        time.sleep(POLL_SECONDS)


def engine() -> DockerClient:
    """The engine that answers, started where that is needed and possible."""
    try:
        return connect()
    except (DockerException, RequestException) as reason:
        refuse_unless_startable(cause(reason))
    if not shutil.which("dockerd"):
        apt_install("engine", "docker.io", *engine_needs())
    return await_engine(start_engine())


def main() -> None:
    client = engine()
    say("engine", f"answers ({client.version()['Version']})")
    base_image.ensure(client)


if __name__ == "__main__":
    main()
