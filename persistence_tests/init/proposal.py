"""What a first scenario says: one store, the ways to it, and the events that fit it."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path

from persistence_tests.init.nginx import Forwarded
from persistence_tests.init.places import is_below, is_directory
from persistence_tests.init.project import Project
from persistence_tests.init.services import Service
from persistence_tests.init.stores import FILES, Store
from persistence_tests.init.wellknown import Content
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.isolation import DOCKER_SOCKETS, Isolation, inside_project, isolate
from persistence_tests.stack.refusal import Refusal
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.workspace import bind_refusals

OWN_DIRECTORY = "persistence-tests"
READY_SECONDS = 60  # what a run waits where the scenario says nothing
MOST_COPIED = 64 * 1024 * 1024
MOST_LOOKED_AT = 5000  # files, to know how big a directory is
_URL = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d+))?(/[^\s\"';|&]*)?")
_DURATION = re.compile(r"([\d.]+)(h|ms|us|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}
_DATA_DIRECTORY = re.compile(
    r"(^|[^a-z])(data|db|database|\w*sql|pgdata|mongo|redis|uploads?|media|storage|files|backups?|volumes?)([^a-z]|$)"
)


@dataclass(frozen=True, slots=True)
class Url:
    """An HTTP path: `kind` is "api" or "proxy", `url` ends with "{name}"."""

    kind: str
    service: str
    port: int
    url: str


@dataclass(slots=True)
class Proposal:
    """Everything that the scenario is written from. `guess` is an HTTP path that only the user can confirm."""

    project: Project
    store: Store
    others: list[Store]
    services: list[Service]
    under: str = ""
    root: str = ""
    user: str = ""
    urls: list[Url] = field(default_factory=list)
    guess: Url | None = None
    ready: tuple[str, str] | None = None
    within: int = READY_SECONDS
    setup: str = ""
    binds: dict[str, str] = field(default_factory=dict)
    copied: list[str] = field(default_factory=list)
    without: dict[str, Refusal] = field(default_factory=dict)
    """Services that are left out, each with a reason."""
    refusals: list[Refusal] = field(default_factory=list)
    events: list[str | tuple[str, dict[str, str]]] = field(default_factory=list)


def propose(project: Project, services: list[Service], stores: list[Store], chosen: Store) -> Proposal:
    """The proposal for one of the stores."""
    proposal = Proposal(project, chosen, [s for s in stores if s is not chosen and s.score > 0], services)
    _place(proposal)
    _urls(proposal)
    _readiness(proposal)
    _isolation(proposal)
    proposal.events = _events(proposal)
    return proposal


def _place(proposal: Proposal) -> None:
    """Where the files go: in a directory of their own, unless the store is one for such files."""
    store = proposal.store
    proposal.root, proposal.under = store.root, store.under
    if store.content is not Content.FILES:
        proposal.under = posixpath.join(proposal.under, OWN_DIRECTORY)
    elif store.kind == "layer":
        # Nobody may have made the directory yet.
        base = store.writer.workdir if is_below(store.root, store.writer.workdir) else "/"
        proposal.root = base
        proposal.under = "" if store.root == base else posixpath.relpath(store.root, base)
    if not store.writer.user and store.known:
        proposal.user = store.known.user


def _urls(proposal: Proposal) -> None:
    store = proposal.store
    inner = "" if store.content is Content.FILES else f"/{OWN_DIRECTORY}"
    for service, port, prefix in store.served_at:
        kind = "api" if service is store.writer else "proxy"
        if not any(url.kind == kind for url in proposal.urls):
            proposal.urls.append(Url(kind, service.name, port, f"{prefix}{inner}/{{name}}"))
    unlikely = store.content is Content.DATABASE or (store.kind == "layer" and not store.signs)
    if unlikely or any(url.kind == "api" for url in proposal.urls):
        return
    place = proposal.under or proposal.root
    url = f"/{posixpath.basename(place)}/{{name}}"
    if store.writer.ports:
        proposal.guess = Url("api", store.writer.name, store.writer.ports[0], url)
    elif not proposal.urls:
        for service, port in _in_front_of(store.writer, proposal.services):
            proposal.guess = Url("proxy", service.name, port, url)


def _in_front_of(writer: Service, services: list[Service]) -> list[tuple[Service, int]]:
    """Published ports from which requests are handed to a service."""
    return [
        (service, port)
        for service in services
        for entry in service.served
        if isinstance(entry, Forwarded) and _leads_to(service, entry, writer)
        for port in entry.ports
        if port in service.ports
    ][:1]


def _leads_to(service: Service, entry: Forwarded, writer: Service) -> bool:
    return (
        service is not writer
        and re.search(rf"(^|[/@ ]){re.escape(writer.name)}(:|/| |$)", entry.upstream) is not None
    )


def _readiness(proposal: Proposal) -> None:
    store = proposal.store
    longest = max((_patience(service) for service in proposal.services), default=0.0)
    if longest > READY_SECONDS or store.content is Content.DATABASE:
        proposal.within = max(2 * READY_SECONDS, -int(-longest // 60) * 60)
    for url in proposal.urls:
        for service in proposal.services:
            if (found := _health_url(service)) is None:
                continue
            port, path = found
            asked = service.name == url.service and port == url.port
            if asked or any(
                front.name == url.service for front, _ in _in_front_of(service, proposal.services)
            ):
                proposal.ready = proposal.ready or (url.kind, path)
    if store.known and store.known.initialises and store.known.probe and not _has_health(store.writer):
        # A file in the data directory before the server has made it would keep it from starting at all.
        waiting = f"until {store.known.probe}; do sleep 1; done"
        proposal.setup = f"timeout 120 docker-compose exec -T {store.writer.name} sh -c '{waiting}'"


def _has_health(service: Service) -> bool:
    health = service.health or {}
    return bool(health.get("test")) and not health.get("disable") and health["test"] != ["NONE"]


def _patience(service: Service) -> float:
    """Seconds after which its health check would give a service up; 0 without one."""
    if not _has_health(service):
        return 0.0
    health = service.health or {}
    retries = int(health.get("retries") or 3)
    return _duration(health.get("start_period")) + retries * (_duration(health.get("interval")) or 30.0)


def _duration(text: object) -> float:
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(str(text or "")))


def _health_url(service: Service) -> tuple[int, str] | None:
    """Port and path of a URL that a health check asks for with GET."""
    if not _has_health(service):
        return None
    test = (service.health or {})["test"]
    found = _URL.search(" ".join(map(str, test)) if isinstance(test, list) else str(test))
    return (int(found[1] or 80), found[2] or "/") if found else None


def _isolation(proposal: Proposal) -> None:
    """What replaces binds of the machine, what is copied, and what a run would still refuse."""
    project = proposal.project
    home = str(project.directory)
    config = project.config
    for mount in [mount for service in proposal.services for mount in service.mounts if mount.kind == "bind"]:
        outside = inside_project(mount.source, home) is None
        if outside and posixpath.basename(mount.source) not in DOCKER_SOCKETS:
            proposal.binds[mount.source] = mount.source if mount.read_only else _stand_in(mount.source)
    for volume in (config.get("volumes") or {}).values():
        device = str(((volume or {}).get("driver_opts") or {}).get("device") or "").replace("$$", "$")
        if device.startswith("/") and inside_project(device, home) is None:
            proposal.binds.setdefault(device, _stand_in(device))
    plan = _plan(proposal)
    needed = {proposal.store.writer.name, *(url.service for url in proposal.urls)}
    for name in proposal.project.active:
        reasons = [each for each in plan.refusals if each.where.startswith(f"services.{name}.")]
        if reasons and name not in needed and not _is_shared(project, name):
            proposal.without[name] = reasons[0]
    plan = _plan(proposal) if proposal.without else plan
    proposal.refusals = [*plan.refusals, *bind_refusals(plan.binds, project.directory)]
    chosen = proposal.store.key if proposal.store.kind == "bind" else ""
    for bind in plan.binds:
        source = Path(os.path.normpath(project.directory / (bind.inside or ".")))
        if bind.inside is None or bind.replaced or not bind.writable or not is_directory(source):
            continue
        if any(is_below(str(needed), str(source)) for needed in project.files):
            continue  # comes along anyway
        name = f"./{source.relative_to(project.directory)}"
        if name not in proposal.copied and _comes_along(source, str(source) == chosen, proposal):
            proposal.copied.append(name)


def _plan(proposal: Proposal) -> Isolation:
    """What a run would make of the stack."""
    project = proposal.project
    return isolate(
        project.config,
        project.config,
        active=project.active,
        identity=Identity("init", "persistence-init", "/nonexistent", "/nonexistent/stack"),
        spec=StackSpec(project.files, binds=proposal.binds, without=frozenset(proposal.without)),
        project_directory=str(project.directory),
    )


def _is_shared(project: Project, name: str) -> bool:
    """Whether another service lives in this one's network or uses its volumes."""
    for service in project.services.values():
        uses = [
            *(service.get("volumes_from") or ()),
            *(str(service.get(key) or "") for key in ("network_mode", "pid", "ipc")),
        ]
        if any(use == f"service:{name}" or use.partition(":")[0] == name for use in uses):
            return True
    return False


def _stand_in(source: str) -> str:
    return f"./{OWN_DIRECTORY}/{source.strip('/').replace('/', '-') or 'root'}"


def _comes_along(source: Path, chosen: bool, proposal: Proposal) -> bool:
    """Whether a directory that services may write to is part of the project, such as configuration or a site."""
    if chosen and proposal.store.content is not Content.FILES:
        return False
    name = source.name.lower()
    if _DATA_DIRECTORY.search(name) or (FILES.search(name) and not chosen and "www" not in name):
        return False
    size = files = 0
    try:
        for file in source.rglob("*"):
            files += 1
            size += file.lstat().st_size
            if files > MOST_LOOKED_AT or size > MOST_COPIED:
                return False
    except OSError:
        return False
    return files > 0


def _events(proposal: Proposal) -> list[str | tuple[str, dict[str, str]]]:
    store, writer = proposal.store, proposal.store.writer
    events: list[str | tuple[str, dict[str, str]]] = [
        "restart",
        ("kill", {"service": writer.name, "while": "writing"}),
    ]
    if writer.restarts:
        events.append(("crash", {"service": writer.name}))
    events += ["recreate", "down-up"]
    if any(service.built for service in proposal.services):
        events.append("rebuild")
    volume = (proposal.project.config.get("volumes") or {}).get(store.key) or {}
    if store.kind == "volume" and not volume.get("external") and not volume.get("driver_opts"):
        events.append("down-volumes")
    return events
