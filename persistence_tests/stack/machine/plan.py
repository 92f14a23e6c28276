"""What a stack needs of its machine: ports to reach it by, paths outside its project, services that are left out.

Pure. The stack's own files say it, as Compose resolves them twice: where the user has them (`original`), and in the
workspace, which is mounted in the machine (`resolved`). A path that is the same in both is absolute, and the machine's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.isolation import DOCKER_SOCKETS, Bind, Isolation, inside_project, unescaped
from persistence_tests.stack.override import Reset
from persistence_tests.stack.refusal import Refusal
from persistence_tests.stack.spec import StackSpec

Config = Mapping[str, Any]

SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/run",
)
"""What every host has: of these the stack gets the machine's own."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports that the stack publishes under fixed numbers: all of them, and those on a loopback address."""

    fixed: tuple[int, ...]
    loopback: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HostPath:
    """A path that the stack mounts from its host: where it is in the machine, where the user has it, and what it is
    there for ("services.api.volumes"). `given` says that the stack cannot do without its content, as of a secret."""

    path: str
    users: str
    where: str
    given: bool = False

    @property
    def is_system(self) -> bool:
        path = posixpath.normpath(self.path)
        return path == "/" or any(path == root or path.startswith(f"{root}/") for root in SYSTEM)

    @property
    def is_engine(self) -> bool:
        return posixpath.basename(posixpath.normpath(self.path)) in DOCKER_SOCKETS


def plan(original: Config, spec: StackSpec) -> Isolation:
    """What the run makes for the stack beside the machine itself: the copy of its directory, external volumes."""
    directory = str(spec.project_directory)
    refusals = []
    if CONTROL_SERVICE in _part(original, "services"):
        refusals.append(
            Refusal(
                f"services.{CONTROL_SERVICE}", "has the name of the run's own service", "call it otherwise"
            )
        )
    binds = [
        Bind(name, source, inside, not mount.get("read_only"))
        for name, service in _part(original, "services").items()
        for mount in service.get("volumes") or ()
        if mount.get("type") == "bind"
        and (inside := inside_project(source := unescaped(str(mount["source"])), directory)) is not None
    ]
    external = {kind: tuple(_external(original, kind)) for kind in ("volumes", "networks")}
    changes = [f"{name}: left out, because the scenario says so" for name in sorted(spec.without)]
    changes += [
        f"{kind.removesuffix('s')} {name}: external, made in the machine, empty"
        for kind, names in external.items()
        for name in names
    ]
    return Isolation(
        override=_without(original, spec.without),
        changes=tuple(changes),
        refusals=tuple(refusals),
        binds=tuple(dict.fromkeys(binds)),
        files={},
        external_volumes=external["volumes"],
        external_networks=external["networks"],
    )


def trees(original: Config, project_directory: str) -> tuple[str, ...]:
    """Directories outside the project that the stack is built from."""
    found: dict[str, None] = {}
    for service in _part(original, "services").values():
        build = service.get("build") or {}
        contexts = build.get("additional_contexts") or {}
        for context in (build.get("context"), *contexts.values()):
            path = unescaped(str(context or ""))
            if posixpath.isabs(path) and inside_project(path, project_directory) is None:
                found[posixpath.normpath(path)] = None
    return tuple(found)


def ports(config: Config) -> Ports:
    fixed: set[int] = set()
    elsewhere: set[int] = set()
    for service in _part(config, "services").values():
        for port in service.get("ports") or ():
            published = str(port.get("published") or "")
            if port.get("protocol", "tcp") != "tcp" or not published.isdigit() or published == "0":
                continue
            fixed.add(int(published))
            if not _is_loopback(str(port.get("host_ip") or "")):
                elsewhere.add(int(published))
    return Ports(tuple(sorted(fixed)), tuple(sorted(fixed - elsewhere)))


def host_paths(original: Config, resolved: Config, workspace: str) -> list[HostPath]:
    """Paths of the host that the stack mounts, outside the workspace; each once."""
    found: dict[str, HostPath] = {}
    theirs = dict(_sources(original))
    for place, (source, where, given) in _sources(resolved):
        if source and inside_project(source, workspace) is None:
            users = theirs.get(place, (source, where, given))[0]
            found.setdefault(
                posixpath.normpath(source), HostPath(posixpath.normpath(source), users, where, given)
            )
    return sorted(found.values(), key=lambda path: path.path)


def content(path: HostPath, spec: StackSpec) -> tuple[str | None, bool]:
    """Where the first content of such a path is, absolute on the user's host, and whether that may be taken.

    None where it begins as the machine has it. What the scenario does not name is taken only where the stack cannot
    do without it.
    """
    directory = str(spec.project_directory)
    for named, replacement in spec.binds.items():
        if posixpath.normpath(path.users) == posixpath.normpath(posixpath.join(directory, named)):
            source = posixpath.normpath(posixpath.join(directory, replacement))
            own = source == posixpath.normpath(path.users)
            return source, own or inside_project(source, directory) is not None
    return (path.users, True) if path.given else (None, True)


def _sources(config: Config) -> Iterator[tuple[tuple[Any, ...], tuple[str, str, bool]]]:
    """Every path of the host that a configuration mounts, by its place in it; what it is there for."""
    for name, service in _part(config, "services").items():
        for number, mount in enumerate(service.get("volumes") or ()):
            if mount.get("type") == "bind":
                source = unescaped(str(mount.get("source") or ""))
                yield ("services", name, number), (source, f"services.{name}.volumes", False)
    for name, volume in _part(config, "volumes").items():
        options = volume.get("driver_opts") or {}
        if "bind" in str(options.get("o") or "").split(","):
            source = unescaped(str(options.get("device") or ""))
            yield ("volumes", name), (source, f"volumes.{name}.driver_opts.device", False)
    for kind in ("secrets", "configs"):
        for name, entry in _part(config, kind).items():
            yield (kind, name), (unescaped(str(entry.get("file") or "")), f"{kind}.{name}", True)


def _external(config: Config, kind: str) -> Iterator[str]:
    for key, entry in _part(config, kind).items():
        if entry.get("external") and not (
            kind == "networks" and entry.get("name") in ("host", "bridge", "none")
        ):
            yield unescaped(str(entry.get("name") or key))


def _without(config: Config, without: frozenset[str]) -> dict[str, Any]:
    """The part of the override that leaves services out."""
    services: dict[str, Any] = {}
    for name, service in _part(config, "services").items():
        if name in without:
            services[name] = Reset()
        elif needless := [other for other in service.get("depends_on") or {} if other in without]:
            services[name] = {"depends_on": {other: Reset() for other in needless}}
    return {"services": services} if services else {}


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _part(config: Config, kind: str) -> dict[str, Any]:
    return {key: entry or {} for key, entry in (config.get(kind) or {}).items()}
