"""What the stack's own commands may ask of the engine: everything on what bears the run's labels, nothing else."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from persistence_tests.stack.identity import RUN_LABEL, Identity

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

_VERSION = re.compile(r"/v\d+\.\d+(?=/)")
_OBJECT = re.compile(r"/(containers|volumes|networks|exec)/([^/]+)(?:/.+)?")
_IMAGE = re.compile(r"/images/(.+?)(?:/(tag|push))?")
_ON_IMAGES = {("DELETE", None), ("POST", "tag")}
_CREATING = re.compile(r"/(containers|volumes|networks)/create")
_ACTING = re.compile(r"/networks/[^/]+/(?:connect|disconnect)|/containers/[^/]+/exec")
_LISTING = re.compile(r"/(containers|images)/json|/(volumes|networks)")
_PRUNING = re.compile(r"/(containers|volumes|networks|images)/prune")
_BUILDING = re.compile(r"/(build|session|grpc)")  # a build with BuildKit says its tags inside its stream
_HARMLESS = re.compile(r"/(_ping|version|info|events|auth|system/df|distribution/.+|images/(search|get))")
OWN_MODES = frozenset({"", "default", "none", "bridge", "private", "shareable"})


class Denied(Exception):
    def __init__(self, what: str, status: int = 403) -> None:
        super().__init__(what)
        self.status = status


@dataclass(slots=True)
class Request:
    """`path` has no version and no escapes; `body` is there only where the request is judged by it."""

    method: str
    version: str
    path: str
    query: dict[str, list[str]]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str) -> Request:
        parts = urlsplit(target)
        version = match[0] if (match := _VERSION.match(parts.path)) else ""
        path = unquote(parts.path.removeprefix(version))
        if path != posixpath.normpath(path):
            raise Denied(f"not a call of the engine: {path}", 400)
        return cls(method, version, path, parse_qs(parts.query, keep_blank_values=True))

    @property
    def is_judged_by_its_body(self) -> bool:
        return self.method == "POST" and bool(_CREATING.fullmatch(self.path) or _ACTING.fullmatch(self.path))

    @property
    def target(self) -> str:
        query = urlencode(self.query, doseq=True)
        return self.version + quote(self.path) + (f"?{query}" if query else "")


class GuardRules:
    """Judges requests; asks the engine whose an object is. Thread-safe as the engine's client is."""

    def __init__(
        self, engine: Engine, identity: Identity, project: str, read_only: Iterable[str] = ()
    ) -> None:
        """`project` is what the stack's project is called by now; `read_only` are the paths outside the workspace
        that the scenario lets the stack mount read-only."""
        self._api: Any = engine.client.api
        self._identity = identity
        self._projects = {identity.project, project}
        self._read_only = {posixpath.normpath(path) for path in read_only}

    def allow(self, request: Request) -> Request:
        """The request as the engine may have it; Denied, with the reason, for one that reaches other things."""
        path, reads = request.path, request.method in {"GET", "HEAD"}
        if _HARMLESS.fullmatch(path) and (reads or path == "/auth"):
            return request
        if (reads and _LISTING.fullmatch(path)) or (request.method == "POST" and _PRUNING.fullmatch(path)):
            return self._only_own(request)
        if _BUILDING.fullmatch(path) and request.method == "POST":
            return self._build(request)
        if path == "/images/create" and request.method == "POST":
            return self._pull(request)
        if request.method == "POST" and (creating := _CREATING.fullmatch(path)):
            return self._create(request, creating[1])
        if match := _OBJECT.fullmatch(path):
            self._own(match[1], match[2])
            if request.is_judged_by_its_body:
                body = json.loads(request.body or b"{}")
                if match[1] == "networks":
                    self._own("containers", str(body.get("Container")))
                if body.get("Privileged"):
                    raise Denied("a command with the machine's devices")
            return request
        if reads and path.startswith("/images/"):
            return request
        if (match := _IMAGE.fullmatch(path)) and (request.method, match[2]) in _ON_IMAGES:
            return self._image(request, match[1])
        raise Denied(f"{request.method} {path} reaches more than the run's own")

    def _only_own(self, request: Request) -> Request:
        given = request.query.get("filters", ["{}"])[0] or "{}"
        filters = json.loads(given)
        own = f"{RUN_LABEL}={self._identity.run}"
        labels = filters.get("label") or []
        if request.path == "/images/json":
            return (
                request  # a name of an image is no secret, and Compose looks for those that it did not build
            )
        wanted: Any = {**labels, own: True} if isinstance(labels, dict) else [*labels, own]
        if any(isinstance(value, dict) for value in filters.values()) and isinstance(wanted, list):
            wanted = dict.fromkeys(wanted, True)
        query = {**request.query, "filters": [json.dumps({**filters, "label": wanted})]}
        return replace(request, query=query)

    def _build(self, request: Request) -> Request:
        for tag in request.query.get("t", []):
            if not self._is_own_tag(tag):
                raise Denied(f"the build would take the tag {tag}")
        if request.query.get("networkmode", ["default"])[0] not in OWN_MODES:
            raise Denied("the build would run on a network that is not its own")
        if request.path != "/build":
            return request
        labels = {**json.loads(request.query.get("labels", ["{}"])[0] or "{}"), **self._identity.labels}
        return replace(request, query={**request.query, "labels": [json.dumps(labels)]})

    def _pull(self, request: Request) -> Request:
        image, tag = (request.query.get(key, [""])[0] for key in ("fromImage", "tag"))
        name = f"{image}@{tag}" if ":" in tag else f"{image}:{tag or 'latest'}" if image else ""
        if not name:
            raise Denied("an import would make an image that is not the run's")
        if self._found(lambda: self._api.inspect_image(name)) is not None:
            raise Denied(f"the image {name} is here, and a pull may move the tag")
        return request

    def _image(self, request: Request, name: str) -> Request:
        self._own("images", name)
        repository = request.query.get("repo")
        if repository and not self._is_own_tag(repository[0]):
            raise Denied(f"{repository[0]} is no tag of the run's own")
        return request

    def _create(self, request: Request, kind: str) -> Request:
        body = json.loads(request.body or b"{}")
        if kind == "containers":
            self._container(body)
        name = str(body.get("Name") or "")
        if kind == "volumes" and name:
            self._own("volumes", name)
        body["Labels"] = {**(body.get("Labels") or {}), **self._identity.labels}
        return replace(request, body=json.dumps(body).encode())

    def _container(self, body: dict[str, Any]) -> None:
        host = body.get("HostConfig") or {}
        if host.get("Privileged") or host.get("Devices") or host.get("DeviceCgroupRules"):
            raise Denied("a container with the machine's devices")
        for key in ("NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode"):
            self._mode(key, str(host.get(key) or ""))
        for network in (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}:
            self._mode("NetworkMode", network)
        for source in host.get("VolumesFrom") or ():
            self._own("containers", str(source).split(":")[0])
        for bind in host.get("Binds") or ():
            source, *rest = str(bind).split(":")
            options = rest[1].split(",") if len(rest) > 1 else []
            self._mount(
                "bind" if source.startswith("/") else "volume", source if rest else "", "ro" in options
            )
        for mount in host.get("Mounts") or ():
            self._mount(str(mount.get("Type")), str(mount.get("Source") or ""), bool(mount.get("ReadOnly")))

    def _mode(self, key: str, mode: str) -> None:
        kind, _, other = mode.partition(":")
        if mode in OWN_MODES:
            return
        if kind == "container":
            self._own("containers", other)
        elif key == "NetworkMode" and mode != "host":
            self._own("networks", mode)
        else:
            raise Denied(f"a container with the {key} {mode}")

    def _mount(self, kind: str, source: str, read_only: bool) -> None:
        inside = Path(source).resolve().is_relative_to(self._identity.workspace)
        as_it_is = read_only and posixpath.normpath(source) in self._read_only
        if kind == "bind" and not inside and not as_it_is:
            raise Denied(f"a container with {source} mounted, which lies outside the workspace")
        if kind == "volume" and source:
            self._own("volumes", source)
            self._api.create_volume(source, labels=self._identity.labels)  # as the engine would, but labelled
        if kind not in {"bind", "volume", "tmpfs", "image"}:
            raise Denied(f"a container with a mount of type {kind}")

    def _is_own_tag(self, tag: str) -> bool:
        return any(project in tag for project in self._projects)

    def _own(self, kind: str, name: str) -> None:
        """Denied where something of that name is there, and is not the run's."""
        labels = self._labels(kind, name)
        if labels is not None and labels.get(RUN_LABEL) != self._identity.run:
            raise Denied(f"{kind.removesuffix('s')} {name} is not the stack's under test: use no fixed names")

    def _labels(self, kind: str, name: str) -> dict[str, str] | None:
        """None where there is nothing of that name."""
        api = self._api
        if kind == "exec":
            found = self._found(lambda: api.exec_inspect(name))
            return None if found is None else self._labels("containers", str(found["ContainerID"]))
        inspect: dict[str, Callable[[str], Any]] = {
            "containers": api.inspect_container,
            "volumes": api.inspect_volume,
            "networks": api.inspect_network,
            "images": api.inspect_image,
        }
        found = self._found(lambda: inspect[kind](name))
        if found is None:
            return None
        return dict((found.get("Config") or found).get("Labels") or {})

    @staticmethod
    def _found(inspect: Callable[[], Any]) -> Any:
        from docker.errors import NotFound

        try:
            return inspect()
        except NotFound:
            return None
