"""The Docker engine: which one, whether it answers, what it is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from persistence_tests.errors import EngineUnavailable, PersistenceError, UsageError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

    from persistence_tests.stack.helper import Source

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
DEFAULT_HELPER_IMAGE = "debian:bookworm-slim"
TIMEOUT = 120.0
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def helper_image() -> str:
    """The image of helper containers and of the control service; any with a shell and coreutils will do."""
    return os.environ.get("PERSISTENCE_HELPER_IMAGE") or DEFAULT_HELPER_IMAGE


class Engine:
    """A connection to one Docker engine."""

    def __init__(self, client: DockerClient, url: str) -> None:
        self.client = client
        self.url = url

    @classmethod
    def connect(cls, url: str | None = None) -> Engine:
        """Connect to `url`, else to what DOCKER_HOST or the current Docker context names, else the default socket.

        Raises UsageError for a remote engine that was not asked for by `url`, EngineUnavailable where none answers.
        """
        chosen = url or configured_url(os.environ)
        if url is None and is_remote(chosen):
            raise UsageError(
                f"the engine {chosen} is not on this machine",
                remedy=f"name it to use it all the same: --engine {chosen}",
            )
        # No Ryuk: what a run makes is found by its labels, and the image of Ryuk is not everywhere.
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        import docker
        from docker.errors import DockerException

        _mend_connecting()
        try:
            _knock(chosen)
            client = docker.from_env(
                environment={**os.environ, "DOCKER_HOST": chosen},
                timeout=int(TIMEOUT),
                use_ssh_client=chosen.startswith("ssh://"),
            )
            client.ping()
        except (DockerException, OSError) as error:
            raise EngineUnavailable(
                f"no Docker engine answers at {chosen} ({_reason(error)})",
                remedy="start Docker, or name another engine with --engine or DOCKER_HOST",
            ) from error
        return cls(client, chosen)

    def answers(self) -> bool:
        """Whether it does at this moment."""
        import requests
        from docker.errors import DockerException

        try:
            return bool(self.client.ping())
        except (DockerException, requests.RequestException, OSError):
            return False

    def close(self) -> None:
        self.client.close()

    def now(self) -> str:
        """The engine's clock, RFC 3339 with nanoseconds, UTC or with an offset."""
        return str(self.client.info()["SystemTime"])

    @property
    def host(self) -> str:
        """The host on which published ports are reached."""
        parts = urlsplit(self.url)
        return parts.hostname if parts.hostname and is_remote(self.url) else "127.0.0.1"

    @property
    def socket(self) -> Path | None:
        """The engine's unix socket on this machine, None where it is reached otherwise."""
        scheme, _, path = self.url.partition("://")
        return Path(path) if scheme == "unix" and path else None

    def describe(self) -> dict[str, str]:
        """Facts for the report: versions, storage driver, cgroup, kernel, architecture, memory…"""
        info, version = self.client.info(), self.client.version()
        return {
            "engine": str(version.get("Version", "")),
            "api": str(version.get("ApiVersion", "")),
            "storage_driver": str(info.get("Driver", "")),
            "backing_filesystem": dict(info.get("DriverStatus") or []).get("Backing Filesystem", ""),
            "cgroup": f"v{info.get('CgroupVersion', '1')} {info.get('CgroupDriver', '')}".strip(),
            "os": str(info.get("OperatingSystem", "")),
            "kernel": str(info.get("KernelVersion", "")),
            "architecture": str(info.get("Architecture", "")),
            "cpus": str(info.get("NCPU", "")),
            "memory_bytes": str(info.get("MemTotal", "")),
            "compose": self._compose_version,
        }

    @cached_property
    def _compose_version(self) -> str:
        from persistence_tests.stack.compose import compose_version

        return compose_version()

    @cached_property
    def helper_image(self) -> str:
        """The helper image's reference, once it is sure to be on the engine.

        Raises PersistenceError where it is neither there nor to be pulled.
        """
        from docker.errors import DockerException, ImageNotFound

        reference = helper_image()
        try:
            self.client.images.get(reference)
        except ImageNotFound:
            repository, _, tag = reference.partition(":")
            try:
                self.client.images.pull(repository, tag=tag or "latest")
            except DockerException as error:
                raise PersistenceError(
                    f"the image {reference} is not on the engine and cannot be pulled ({_reason(error)})",
                    remedy="load it (docker load, docker import), or name one that is there, "
                    "with a shell and coreutils: PERSISTENCE_HELPER_IMAGE=…",
                ) from error
        return reference

    def helper(
        self,
        mounts: Mapping[str, Source],
        *,
        labels: Mapping[str, str],
        command: Sequence[str] = (),
        **options: Any,
    ) -> AbstractContextManager[Container]:
        """A created, not started container with `mounts` (target: source); see `helper.helper`."""
        from persistence_tests.stack.helper import helper

        return helper(self, mounts, labels=labels, command=command, **options)


def configured_url(environment: Mapping[str, str]) -> str:
    """What Docker's own command line would connect to: DOCKER_HOST, else the current context's, else the socket."""
    if host := environment.get("DOCKER_HOST"):
        return host
    directory = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker")
    context = environment.get("DOCKER_CONTEXT") or _read(directory / "config.json").get("currentContext")
    if not context or context == "default":
        return DEFAULT_SOCKET
    meta = _read(directory / "contexts" / "meta" / sha256(context.encode()).hexdigest() / "meta.json")
    try:
        return str(meta["Endpoints"]["docker"]["Host"])
    except (KeyError, TypeError):
        raise UsageError(
            f"the Docker context {context!r} is not there",
            where=str(directory),
            remedy="choose one that `docker context ls` shows, or set DOCKER_HOST",
        ) from None


def is_remote(url: str) -> bool:
    """Whether the engine may be on another machine: ssh, or tcp to anything but the loopback."""
    parts = urlsplit(url)
    return parts.scheme == "ssh" or (
        parts.scheme in {"tcp", "http", "https"} and (parts.hostname or "localhost") not in LOOPBACK
    )


@contextmanager
def engine_answers(doing: str) -> Iterator[None]:
    """Turns an engine that went away into EngineUnavailable, and an error of its API into StackError."""
    import requests
    from docker.errors import DockerException

    from persistence_tests.errors import StackError

    try:
        yield
    except requests.exceptions.ConnectionError as error:
        raise EngineUnavailable(
            f"the engine went away while {doing} ({_reason(error)})", remedy="start Docker, then run again"
        ) from error
    except DockerException as error:
        raise StackError(f"the engine refused while {doing}: {_reason(error)}") from error


@cache
def _mend_connecting() -> None:
    """The SDK leaves a socket open that could not be connected; an engine that is away for a while is asked often."""
    from docker.transport import unixconn

    class Connection(unixconn.UnixHTTPConnection):
        def connect(self) -> None:
            reaching = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                reaching.settimeout(self.timeout)
                reaching.connect(self.unix_socket)
            except BaseException:
                reaching.close()
                raise
            self.sock = reaching

    unixconn.UnixHTTPConnection = Connection  # type: ignore[misc]


def _knock(url: str) -> None:
    """OSError where nobody listens at a socket of this machine; the SDK leaves its own one open then."""
    if url.startswith("unix://") and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(TIMEOUT)
            knocking.connect(url.removeprefix("unix://"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "explanation", None) or error)
    return " ".join(text.split())[:300]
