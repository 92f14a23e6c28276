"""What can be known of each service: its image, its user, its directories, and what it serves."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.init.dockerfile import Built, read_dockerfile
from persistence_tests.init.nginx import Forwarded, Served
from persistence_tests.init.places import is_below, text_of
from persistence_tests.init.project import Project
from persistence_tests.init.serving import served_by
from persistence_tests.init.wellknown import Known, known_image, known_package
from persistence_tests.stack.isolation import unescaped

if TYPE_CHECKING:
    from persistence_tests.stack.onlooker import ImageFacts


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
    found.served = served_by(project, service, build if isinstance(build, dict) else None, built, found)
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
        text = text_of(context / unescaped(str(build.get("dockerfile") or "Dockerfile")))
    if text is None:
        return None
    arguments = {key: str(value) for key, value in (build.get("args") or {}).items() if value is not None}
    return read_dockerfile(text, arguments, str(build.get("target") or ""))
