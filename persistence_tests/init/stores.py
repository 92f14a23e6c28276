"""Where a stack keeps what it must not lose: every candidate, with what speaks for it, the likeliest first."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from persistence_tests.init.nginx import Served
from persistence_tests.init.places import is_below, is_directory
from persistence_tests.init.project import Project
from persistence_tests.init.services import Mount, Service
from persistence_tests.init.wellknown import Content, Known, known_directory

FILES = re.compile(
    r"(^|[^a-z])(media|uploads?|files?|attachments?|documents?|docs?|images?|photos?|pictures?|avatars?|assets"
    r"|storage|public|www|site|web|html|content|blobs?|artifacts?|invoices?)([^a-z]|$)"
)
DATA = re.compile(
    r"(^|[^a-z])(data|db|database|sqlite|state|store|storage|library|repos?(itories)?|git|mail|var|backups?)([^a-z]|$)"
)
PASSING = re.compile(
    r"(^|[^a-z])(cache|caches|tmp|temp|logs?|log|static|node_modules|venv|vendor|sessions?|sock(et)?s?|run|config|conf"
    r"|certs?|ssl|letsencrypt|secrets?|keys?|npm|pip|target|dist|build|src|code)([^a-z]|$)"
)
_VARIABLE = re.compile(
    r"(MEDIA|UPLOADS?|FILES|STORAGE|ATTACHMENTS?|DOCUMENTS?|IMAGES?|PHOTOS?|DATA|ASSETS|BACKUPS?|SQLITE|DATABASE|DB)"
    r"(_?(ROOT|DIR|DIRECTORY|PATH|FOLDER|HOME|LOCATION|FILE|NAME))?$"
)
_OTHER = re.compile(r"STATIC|URL|CERT|SSL|KEY|SECRET|CONFIG|LOG|CACHE|TE?MP|SOCKET|TEMPLATE|MODULE")
_SQLITE = re.compile(r"^(?:sqlite(?:\+\w+)?:///|file:)(/[^?]+)")
_NOISE = re.compile(
    r"^/(proc|sys|dev|run|tmp|var/(run|tmp|cache|log|lock|spool)|etc|root|usr|lib\w*|s?bin|boot)(/|$)"
    r"|/(__pycache__|\.cache|\.npm|\.config|\.local|node_modules)(/|$)|\.(pyc|pid|sock|log|lock)$"
    r"|^/var/lib/(dpkg|apt|nginx|systemd|pam|php|misc|dbus|ucf)(/|$)|\.(bash_history|wget-hsts|python_history)$"
)
MOST_LISTED = 4
ANYBODYS = "/var/tmp"  # noqa: S108 - a directory of the container


@dataclass(slots=True)
class Store:
    """`kind` is volume, bind, anonymous or layer; `key` names it: a volume's key, a bind's source, else a path.

    `root` is its directory in `writer`, the service through which files are written; `under` the part of it that
    is used, "" for all. `signs` say why it is believed to hold something.
    """

    kind: str
    key: str
    writer: Service
    root: str
    content: Content
    under: str = ""
    known: Known | None = None
    mounts: dict[str, Mount] = field(default_factory=dict)
    signs: list[str] = field(default_factory=list)
    served_at: list[tuple[Service, int, str]] = field(default_factory=list)
    """Service, published port and URL prefix under which `under` is answered."""
    score: int = 0

    @property
    def lasting(self) -> bool:
        return self.kind in ("volume", "bind")


def find_stores(project: Project, services: list[Service]) -> list[Store]:
    """All stores, best first. Empty only where every service runs with a read-only root and no mount."""
    stores = [*_mounted(project, services), *_unmounted(services)]
    for store in stores:
        _find_signs(store)
        _find_urls(store, services)
        store.score = _score(store)
    if not any(store.score > 0 for store in stores):
        stores += _nowhere(services)
    return sorted(stores, key=lambda store: -store.score)


def _mounted(project: Project, services: list[Service]) -> Iterator[Store]:
    """Named volumes and directories of this machine that a service may write to, each once."""
    users: dict[tuple[str, str], list[tuple[Service, Mount]]] = {}
    for service in services:
        for mount in service.mounts:
            if mount.kind in ("volume", "bind") and mount.source:
                users.setdefault((mount.kind, mount.source), []).append((service, mount))
    for (kind, source), found in users.items():
        writing = [(service, mount) for service, mount in found if not mount.read_only]
        if not writing or (kind == "bind" and not _is_directory(Path(source))):
            continue
        service, mount = min(writing, key=lambda pair: _serves_only(pair[0]))
        yield Store(
            kind,
            source,
            service,
            mount.target,
            _content(project, kind, source, service, mount),
            known=_known(service, mount.target),
            mounts={service.name: mount for service, mount in found},
        )


def _is_directory(source: Path) -> bool:
    """What is not there yet will be made, as a directory."""
    return is_directory(source) or not (
        os.path.lexists(source) or source.suffix in (".sock", ".conf", ".json", ".yml")
    )


def _serves_only(service: Service) -> bool:
    return bool(service.known and service.known.document_root and not service.known.directories)


def _known(service: Service, target: str) -> Known | None:
    known = service.known
    if known and any(
        is_below(each, target) or is_below(target, each) for each in data_directories(service, known)
    ):
        return known
    return known_directory(target)


def data_directories(service: Service, known: Known) -> list[str]:
    """Where a well-known server keeps its data: as the environment says, else as usual."""
    named = service.environment.get(known.variable, "") if known.variable else ""
    return [posixpath.normpath(named)] if named.startswith("/") else [*known.directories]


def _content(project: Project, kind: str, source: str, service: Service, mount: Mount) -> Content:
    known = _known(service, mount.target)
    if known is not None:
        return known.content
    if kind == "bind" and any(is_below(str(file), source) for file in project.files):
        return Content.CODE
    name = source if kind == "volume" else posixpath.basename(source)
    likely = FILES.search(f"{mount.target} {name}".lower()) and not _is_passing(name, mount.target)
    return Content.FILES if likely else Content.DATA


def _is_passing(name: str, target: str) -> bool:
    """Whether the names tell of a cache, a log, a configuration: by what the directory itself is called first."""
    above, last = posixpath.split(target.lower())
    if FILES.search(last):
        return False
    return PASSING.search(f"{posixpath.basename(above)}/{last} {name.lower()}") is not None


def _unmounted(services: list[Service]) -> Iterator[Store]:
    """Directories that a service says it writes to and that are on no mount, or on an anonymous one."""
    for service in services:
        wanted: dict[str, str] = {}
        if service.known and service.known.content is not Content.CODE and service.known.directories:
            around = [mount.target for mount in service.mounts if mount.kind != "tmpfs"]
            directories = data_directories(service, service.known)
            if not any(is_below(d, m) or is_below(m, d) for d in directories for m in around):
                wanted[directories[0]] = service.known.title
        for variable, path in data_variables(service):
            wanted.setdefault(path, variable)
        for path in _written(service):
            wanted.setdefault(path, "docker diff")
        for path in (*service.image_volumes, *(m.target for m in service.mounts if not m.source)):
            if not any(is_below(each, path) for each in wanted):
                wanted[path] = "anonymous volume"
        for path in [each for each in wanted if not any(each != o and is_below(each, o) for o in wanted)]:
            mount = service.mount_of(path)
            if mount is not None and (mount.source or mount.kind == "tmpfs"):
                continue
            # Images by name declare their usual directory as a volume, whether or not they are there to be asked.
            usual = service.known is not None and not service.built and wanted[path] == service.known.title
            anonymous = usual or mount is not None or any(is_below(path, v) for v in service.image_volumes)
            yield Store(
                "anonymous" if anonymous else "layer",
                path,
                service,
                path,
                service.known.content if service.known and service.known.directories else Content.FILES,
                known=service.known if service.known and service.known.directories else None,
                signs=[wanted[path]],
            )


def data_variables(service: Service) -> Iterator[tuple[str, str]]:
    """Variables whose name says that they hold a place for data, and the directory."""
    for variable, value in service.environment.items():
        name = variable.upper()
        if sqlite := _SQLITE.match(value):
            yield variable, posixpath.dirname(posixpath.normpath(sqlite[1]))
        elif _VARIABLE.search(name) and not _OTHER.search(name):
            if value.startswith("/") and len(value) > 1:
                path = posixpath.normpath(value)
            elif re.fullmatch(r"\.?/?[\w-][\w./-]*", value) and re.search(r"DIR|FOLDER|ROOT|PATH", name):
                path = posixpath.normpath(posixpath.join(service.workdir, value))
            else:
                continue
            is_file = bool(posixpath.splitext(path)[1]) or name.endswith("_FILE")
            yield variable, posixpath.dirname(path) if is_file else path


def _written(service: Service) -> list[str]:
    """Directories of the running container's writable layer that hold new files."""
    changed = [path for path in service.changed if not _NOISE.search(path)]
    leaves = [path for path in changed if not any(is_below(o, path) and o != path for o in changed)]
    found: dict[str, int] = {}
    for path in leaves:
        directory = posixpath.dirname(path)
        found[directory] = found.get(directory, 0) + 1
    return [path for path, _ in sorted(found.items(), key=lambda item: -item[1]) if path != "/"][:MOST_LISTED]


def _find_signs(store: Store) -> None:
    """What speaks for a mounted store, and which part of it is meant."""
    if not store.lasting:
        return
    if store.known and store.known.under and store.content is not Content.DATABASE:
        store.under, store.signs = store.known.under, [store.known.title]
        return
    if store.known:
        store.signs.append(store.known.title)
        return
    for variable, path in data_variables(store.writer):
        if store.writer.mount_of(path) == store.mounts.get(store.writer.name):
            store.signs.append(variable)
            if store.content is Content.CODE or not store.under:
                store.under = posixpath.relpath(path, store.root) if path != store.root else ""
            if FILES.search(variable.lower()) or store.content is Content.CODE:
                store.content = Content.FILES


def _find_urls(store: Store, services: Iterable[Service]) -> None:
    """Published URLs that are answered from the store, by configuration."""
    if store.known and store.content is not Content.FILES:
        return  # what a server keeps for itself is not what it answers with
    for service in services:
        target = (
            store.mounts[service.name].target
            if service.name in store.mounts
            else store.root
            if service is store.writer
            else None
        )
        for served in service.served if target else ():
            port = next((port for port in served.ports if port in service.ports), None)
            if not isinstance(served, Served) or served.encrypted or port is None or target is None:
                continue
            wanted = posixpath.join(target, store.under) if store.under else target
            if is_below(wanted, served.directory):
                prefix = served.prefix + wanted[len(served.directory.rstrip("/")) :]
            elif is_below(served.directory, target) and not store.under:
                store.under = posixpath.relpath(served.directory, target)
                prefix = served.prefix
            else:
                continue
            if not any(known is service for known, _, _ in store.served_at):
                store.served_at.append((service, port, prefix))
    if store.served_at and store.content is Content.DATA and not store.known:
        store.content = Content.FILES


def _score(store: Store) -> int:
    name = posixpath.basename(store.key) if store.kind == "bind" else store.key
    words = f"{name} {store.root}".lower()
    score = {"volume": 30, "bind": 28, "anonymous": 12, "layer": 10}[store.kind]
    score += 40 * bool(store.served_at) + 25 * bool(store.signs)
    score += {Content.FILES: 20, Content.DATA: 5, Content.DATABASE: -20, Content.CODE: -60}[store.content]
    score += 10 * bool(FILES.search(words)) + 5 * bool(DATA.search(words)) + 3 * (len(store.mounts) > 1)
    if _is_passing(name, store.root) and not store.signs and not store.served_at:
        score -= 60
    if store.lasting and store.known is None and store.writer.known and store.writer.known.directories:
        score -= 30  # what it is known to keep lies elsewhere
    if store.signs == ["anonymous volume"]:
        score -= 10
    return score


def _nowhere(services: list[Service]) -> Iterator[Store]:
    """No storage at all: the working directory of the likeliest service stands for what it writes."""
    writable = [service for service in services if not service.read_only]
    for service in sorted(writable, key=lambda each: (not each.ports, not each.built, _serves_only(each)))[
        :1
    ]:
        root = service.workdir if service.workdir != "/" and service.user in ("", "root", "0") else ANYBODYS
        if service.mount_of(root) is not None:
            root = ANYBODYS
        store = Store("layer", root, service, root, Content.DATA, score=1)
        _find_urls(store, services)
        yield store
