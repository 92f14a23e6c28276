"""What can be known of each service: its image, its user, its directories, and what it serves."""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.init.dockerfile import Built, read_dockerfile
from persistence_tests.init.nginx import Forwarded, Served, read_nginx
from persistence_tests.init.project import Project
from persistence_tests.init.wellknown import Known, known_image, known_package
from persistence_tests.stack.isolation import unescaped

if TYPE_CHECKING:
    from persistence_tests.stack.onlooker import ImageFacts

MOST_BYTES = 256 * 1024  # of a configuration file
MOST_FILES = 100
NGINX = "/etc/nginx"
_SERVER_PORT = re.compile(r":(\d+)$")


@dataclass(frozen=True, slots=True)
class Mount:
    """`source` is a volume's key, a bind's absolute path on this machine, or empty for an anonymous volume."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(slots=True)
class Service:
    """`environment` is the image's with the Compose file's over it; `image` says in words what it is."""

    name: str
    image: str
    built: bool
    known: Known | None
    user: str
    workdir: str
    environment: dict[str, str]
    command: tuple[str, ...]
    mounts: tuple[Mount, ...]
    ports: tuple[int, ...]
    image_volumes: tuple[str, ...]
    restarts: bool
    health: Mapping[str, Any] | None
    read_only: bool = False
    served: list[Served | Forwarded] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def mount_of(self, path: str) -> Mount | None:
        """The mount that a path of the container lies on."""
        around = [mount for mount in self.mounts if is_below(path, mount.target)]
        return max(around, key=lambda mount: len(mount.target), default=None)


def is_below(path: str, directory: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def is_directory(path: Path) -> bool:
    """False, too, where nobody may look, and for a name that is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_services(
    project: Project,
    facts: Mapping[str, ImageFacts] | None = None,
    changed: Mapping[str, list[str]] | None = None,
) -> list[Service]:
    """`facts` of the images that an engine has, `changed` files of the running services; both by service."""
    return [
        _service(project, name, service, (facts or {}).get(name), (changed or {}).get(name, []))
        for name, service in project.services.items()
    ]


def image_name(project: Project, name: str) -> str:
    """The reference under which an engine would have the image of a service."""
    return str(project.services[name].get("image") or f"{project.name}-{name}")


def _service(
    project: Project, name: str, service: dict[str, Any], facts: ImageFacts | None, changed: list[str]
) -> Service:
    build = service.get("build")
    built = _built(build) if build else None
    image = str(service.get("image") or "")
    known = known_image(image) if image and not build else None
    if built is not None:
        known = known_image(built.base) or known_package(built.packages)
    environment = {**(facts.environment if facts else {}), **(built.environment if built else {})}
    environment |= {
        key: unescaped(str(value))
        for key, value in (service.get("environment") or {}).items()
        if value is not None
    }
    own = service.get("command") or (built.command if built else ()) or (facts.command if facts else ())
    declared = facts.volumes if facts else tuple(built.volumes) if built else ()
    found = Service(
        name=name,
        image="built" if build else image or "?",
        built=bool(build),
        known=known,
        user=str(service.get("user") or (facts.user if facts else "") or (built.user if built else "")).split(
            ":"
        )[0],
        workdir=str(
            service.get("working_dir")
            or (facts.workdir if facts else "")
            or (built.workdir if built else "")
            or "/"
        ),
        environment=environment,
        command=tuple(map(str, shlex.split(own) if isinstance(own, str) else own)),
        mounts=tuple(_mounts(service)),
        ports=tuple(
            dict.fromkeys(
                int(port["target"])
                for port in service.get("ports") or ()
                if port.get("protocol", "tcp") == "tcp"
            )
        ),
        image_volumes=tuple(posixpath.normpath(volume) for volume in declared),
        restarts=str(service.get("restart") or "no").split(":")[0]
        in ("always", "unless-stopped", "on-failure"),
        health=service.get("healthcheck"),
        read_only=bool(service.get("read_only")),
        changed=changed,
    )
    found.served = _served(project, service, build if isinstance(build, dict) else None, built, found)
    return found


def _mounts(service: dict[str, Any]) -> list[Mount]:
    mounts = [
        Mount(
            str(mount.get("type")),
            unescaped(str(mount.get("source") or "")),
            posixpath.normpath(unescaped(str(mount["target"]))),
            bool(mount.get("read_only")),
        )
        for mount in service.get("volumes") or ()
        if mount.get("target")
    ]
    tmpfs = service.get("tmpfs") or ()
    entries = [tmpfs] if isinstance(tmpfs, str) else tmpfs
    return mounts + [Mount("tmpfs", "", posixpath.normpath(str(entry).split(":")[0])) for entry in entries]


def _built(build: Any) -> Built | None:
    """What the Dockerfile says, None where it cannot be read here."""
    build = build if isinstance(build, dict) else {"context": build}
    text = build.get("dockerfile_inline")
    if text is None:
        context = Path(unescaped(str(build.get("context") or ".")))
        text = _text(context / unescaped(str(build.get("dockerfile") or "Dockerfile")))
    if text is None:
        return None
    arguments = {key: str(value) for key, value in (build.get("args") or {}).items() if value is not None}
    return read_dockerfile(text, arguments, str(build.get("target") or ""))


def _served(
    project: Project, service: dict[str, Any], build: dict[str, Any] | None, built: Built | None, own: Service
) -> list[Served | Forwarded]:
    """What the service answers with files: by its nginx configuration, its command line, or its usual root."""
    if files := _nginx_files(project, service, build, built, own):
        return read_nginx(files)
    from_command = _file_server(own.command, own.workdir)
    if from_command is not None:
        return [from_command]
    root = own.environment.get("APACHE_DOCUMENT_ROOT") or (own.known.document_root if own.known else "")
    if root and own.built and own.known and own.known.title == "nginx":
        root = "/var/www/html"  # Debian's
    if not root and built is not None and re.search(r"(^|/)php:[^/]*apache", built.base):
        root = "/var/www/html"
    return [Served((80,), "", root)] if root else []


def _nginx_files(
    project: Project, service: dict[str, Any], build: dict[str, Any] | None, built: Built | None, own: Service
) -> dict[str, str]:
    """Texts of the configuration that nginx would read, by their path in the container."""
    places = [
        (mount.target, Path(mount.source))
        for mount in own.mounts
        if mount.kind == "bind" and is_below(mount.target, NGINX)
    ]
    if build is not None and built is not None:
        context = Path(unescaped(str(build.get("context") or ".")))
        for source, target in built.copies:
            if is_below(target, NGINX) and "*" not in source:
                places.append((target, context / source.lstrip("/")))
    found: dict[str, str] = {}
    for target, place in places:
        directory = is_directory(place)
        files = [Path(top) / name for top, _, names in os.walk(place) for name in sorted(names)]
        for file in files[:MOST_FILES] if directory else [place]:
            inside = posixpath.join(target, os.path.relpath(file, place)) if directory else target
            if (text := _text(file)) is not None:
                found[inside] = _filled(text, own.environment) if inside.endswith(".template") else text
    for entry in service.get("configs") or ():
        config = (project.config.get("configs") or {}).get(entry.get("source")) or {}
        target = str(entry.get("target") or "")
        text = config.get("content") or _text(Path(unescaped(str(config.get("file") or "/nonexistent"))))
        if is_below(target, NGINX) and text:
            found[target] = unescaped(str(text))
    return found


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """As nginx' own image fills its templates: variables that are set."""
    return re.sub(r"\$\{(\w+)\}", lambda each: environment.get(each[1], each[0]), text)


def _file_server(command: tuple[str, ...], workdir: str) -> Served | None:
    """`php -S` and `python -m http.server`, as a stack for development has them, also inside `sh -c`."""
    words = [word for part in command for word in part.split()]
    if "-S" in words and any(re.search(r"(^|/)php[\d.]*$", word) for word in words):
        port = _SERVER_PORT.search(words[words.index("-S") + 1]) if words[-1] != "-S" else None
        root = words[words.index("-t") + 1] if "-t" in words[:-1] else workdir
        return Served((int(port[1]),), "", posixpath.join(workdir, root)) if port else None
    if "http.server" in words:
        after = words[words.index("http.server") + 1 :]
        ports = [int(word) for word in after if word.isdigit()]
        named = [after[at + 1] for at, word in enumerate(after[:-1]) if word in ("-d", "--directory")]
        return Served((ports[0] if ports else 8000,), "", posixpath.join(workdir, *named[:1]))
    return None


def _text(file: Path) -> str | None:
    try:
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            return None
        return file.read_text()
    except (OSError, UnicodeDecodeError, ValueError):
        return None
