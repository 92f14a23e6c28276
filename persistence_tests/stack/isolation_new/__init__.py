"""From the user's resolved configuration to an override under which the stack touches nothing of the user's own.

Pure. A name that differs between two resolutions under two project names follows the project, and needs no change;
one that stays is explicit, and moves under the run's prefix.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.override import Override, Reset
from persistence_tests.stack.refusal import Refusal, service_refusals
from persistence_tests.stack.spec import StackSpec

Config = dict[str, Any]

DOCKER_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock")
OWN_BRIDGE = (None, "", "bridge")


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount of a path of the host: `source` is the user's, `inside` the workspace's, relative to the project.

    `inside` is None where the path is mounted read-only as it is, because the scenario says so.
    """

    service: str
    source: str
    inside: str | None
    writable: bool
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Isolation:
    """`external_volumes` and `external_networks` are to be made by the run, under these names of the engine."""

    override: dict[str, Any]
    changes: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    binds: tuple[Bind, ...]
    files: dict[str, str]
    external_volumes: tuple[str, ...]
    external_networks: tuple[str, ...]


@dataclass(slots=True)
class _Plan:
    original: Config
    shadow: Config
    active: frozenset[str]
    identity: Identity
    project_directory: str
    spec: StackSpec
    taken_subnets: tuple[str, ...]
    changes: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    binds: list[Bind] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    external_volumes: list[str] = field(default_factory=list)
    external_networks: list[str] = field(default_factory=list)


def isolate(
    original: Config,
    shadow: Config,
    *,
    active: Iterable[str],
    identity: Identity,
    spec: StackSpec,
    project_directory: str,
    taken_subnets: Iterable[str] = (),
) -> Isolation:
    """The override for a stack, what it changes in words, and everything that cannot be isolated.

    `original` and `shadow` are the configuration, of all profiles, resolved under two project names; `active` the
    services that run. A service that does not run and cannot be isolated is left out.
    """
    plan = _Plan(original, shadow, frozenset(active), identity, project_directory, spec, tuple(taken_subnets))
    services = {
        name: _service(plan, name, service or {}) for name, service in _part(original, "services").items()
    }
    volumes = {key: _volume(plan, key, volume or {}) for key, volume in _part(original, "volumes").items()}
    networks = {
        key: _network(plan, key, network or {}) for key, network in _part(original, "networks").items()
    }
    files = {kind: _file_sources(plan, kind) for kind in ("secrets", "configs")}
    override: dict[str, Any] = {"services": services, "volumes": volumes, "networks": networks, **files}
    return Isolation(
        override={key: part for key, part in override.items() if part},
        changes=tuple(dict.fromkeys(plan.changes)),
        refusals=tuple(dict.fromkeys(plan.refusals)),
        binds=tuple(plan.binds),
        files=plan.files,
        external_volumes=tuple(plan.external_volumes),
        external_networks=tuple(plan.external_networks),
    )


def with_anonymous_volumes(
    override: dict[str, Any], config: Config, image_volumes: Mapping[str, Iterable[str]], identity: Identity
) -> tuple[dict[str, Any], list[str]]:
    """The override, with a labelled anonymous volume where an image declares a volume that nothing is mounted on.

    The engine would make the same volume, but without a label that says whose it is. `config` is the isolated
    configuration, `image_volumes` what the image of each service declares.
    """
    services = dict(override["services"])
    changes = []
    for name, declared in image_volumes.items():
        service = config["services"][name]
        mounted = {posixpath.normpath(str(mount["target"])) for mount in service.get("volumes") or ()}
        mounted |= {posixpath.normpath(str(entry).split(":")[0]) for entry in _list(service.get("tmpfs"))}
        missing = sorted(target for target in declared if posixpath.normpath(target) not in mounted)
        if missing and not service.get("volumes_from"):
            mine = [_anonymous(identity, target) for target in missing]
            theirs = service.get("volumes") or []
            before = services[name].get("volumes")
            kept = before.value if isinstance(before, Override) else theirs
            services[name] = {**services[name], "volumes": Override([*kept, *mine])}
            changes += [
                f"{name}: the anonymous volume that its image declares at {t} is labelled" for t in missing
            ]
    return {**override, "services": services}, changes


def inside_project(path: str, project_directory: str) -> str | None:
    """`path` relative to the project directory ("./data"), None where it lies outside."""
    path, project_directory = posixpath.normpath(path), posixpath.normpath(project_directory)
    if path == project_directory:
        return "."
    prefix = project_directory.rstrip("/") + "/"
    return f"./{path.removeprefix(prefix)}" if path.startswith(prefix) else None


def unescaped(text: str) -> str:
    """A value of a resolved configuration as it is meant: Compose prints every dollar twice."""
    return text.replace("$$", "$")


def escaped(text: str) -> str:
    return text.replace("$", "$$")


def _service(plan: _Plan, name: str, service: Config) -> Any:
    refusals = list(service_refusals(name, service))
    changes: list[str] = []
    binds: list[Bind] = []
    out: dict[str, Any] = {}
    mounts = [_mount(plan, name, mount, binds, refusals, changes) for mount in service.get("volumes") or ()]
    if refusals and name not in plan.active:
        plan.changes.append(
            f"{name}: left out, because it does not run in these profiles and cannot be isolated "
            f"({refusals[0].where}: {refusals[0].what})"
        )
        return Reset()
    if mounts:
        out["volumes"] = Override(mounts)
    if ports := service.get("ports"):
        kept = {(port["target"], port.get("protocol", "tcp")): port for port in ports}
        out["ports"] = Override([_port(port) for port in kept.values()])
        said = ", ".join(f"{port.get('published') or 'any'}->{port['target']}" for port in ports)
        changes.append(f"{name}: ports {said} are published on 127.0.0.1, each at a free port")
    container_name = service.get("container_name")
    if container_name and _service_of(plan.shadow, name).get("container_name") == container_name:
        out["container_name"] = Reset()
        changes.append(f"{name}: the container name {container_name} is kept as a network alias only")
        if networks := service.get("networks"):
            out["networks"] = {key: {"aliases": [container_name]} for key in networks}
    if build := service.get("build"):
        out["build"] = _build(plan, build if isinstance(build, dict) else {"context": build}, name, changes)
    image = service.get("image")
    if image and image in _built_tags(plan):
        out["image"] = plan.identity.image(image)
        if service.get("pull_policy") not in (None, "build"):
            out["pull_policy"] = Reset()
        changes.append(f"{name}: the image {image}, which the stack builds, is tagged {out['image']}")
    out["labels"] = plan.identity.labels
    plan.refusals += refusals
    plan.changes += changes
    plan.binds += binds
    return out


def _built_tags(plan: _Plan) -> set[str]:
    """Tags that the stack builds itself and that do not follow the project."""
    return {
        str(service["image"])
        for name, service in _part(plan.original, "services").items()
        if service
        and service.get("build")
        and service.get("image")
        and _service_of(plan.shadow, name).get("image") == service["image"]
    }


def _port(port: Config) -> Config:
    kept = {
        key: port[key] for key in ("target", "protocol", "app_protocol", "name") if port.get(key) is not None
    }
    return {**kept, "host_ip": "127.0.0.1"}


def _build(plan: _Plan, build: Config, name: str, changes: list[str]) -> Config:
    out: dict[str, Any] = {"labels": plan.identity.labels}
    if build.get("tags"):
        out["tags"] = Reset()
        changes.append(f"{name}: the further tags {', '.join(build['tags'])} are not set")
    if build.get("cache_to"):
        out["cache_to"] = Reset()
        changes.append(f"{name}: the build cache is not exported")
    context = unescaped(str(build.get("context", "")))
    if context.startswith("/") and inside_project(context, plan.project_directory) is None:
        out["context"] = build["context"]
        changes.append(f"{name}: is built from {context}, outside the project directory, which is only read")
    contexts = {
        key: value
        for key, value in (build.get("additional_contexts") or {}).items()
        if str(value).startswith("/")
        and inside_project(unescaped(str(value)), plan.project_directory) is None
    }
    if contexts:
        out["additional_contexts"] = contexts
    dockerfile = unescaped(str(build.get("dockerfile") or ""))
    if dockerfile and context.startswith("/"):
        absolute = posixpath.normpath(posixpath.join(context, dockerfile))
        if inside_project(absolute, plan.project_directory) is None:
            out["dockerfile"] = escaped(absolute)
    return out


def _mount(
    plan: _Plan, name: str, mount: Config, binds: list[Bind], refusals: list[Refusal], changes: list[str]
) -> Config:
    match mount.get("type"):
        case "bind":
            return _bind(plan, name, mount, binds, refusals, changes)
        case "volume" if not mount.get("source"):
            options = mount.get("volume") or {}
            labels = {**(options.get("labels") or {}), **plan.identity.labels}
            return {**mount, "volume": {**options, "labels": labels}}
        case "volume" | "tmpfs" | "image":
            return mount
        case kind:
            refusals.append(
                Refusal(
                    f"services.{name}.volumes",
                    f"a mount of type {kind} at {mount.get('target')} is the machine's",
                    "use a volume in a Compose file for tests",
                )
            )
            return mount


def _anonymous(identity: Identity, target: str) -> Config:
    return {"type": "volume", "target": escaped(target), "volume": {"labels": identity.labels}}


def _bind(
    plan: _Plan, name: str, mount: Config, binds: list[Bind], refusals: list[Refusal], changes: list[str]
) -> Config:
    source = unescaped(str(mount["source"]))
    writable = not mount.get("read_only")
    where = f"services.{name}.volumes"
    inside, replaced = _placed(plan, source)
    if inside is None and replaced and not writable:
        binds.append(Bind(name, source, None, False, True))
        changes.append(f"{name}: {source} is mounted read-only as it is, as the scenario says")
        return mount
    if inside is None:
        refusals.append(_outside(where, source, mount, replaced))
        return mount
    binds.append(Bind(name, source, inside, writable, replaced))
    changes.append(f"{name}: {source} is {inside} in the workspace")
    return {**mount, "source": escaped(inside)}


def _placed(plan: _Plan, source: str) -> tuple[str | None, bool]:
    """Where in the project a path of the host is to be, and whether the scenario replaces it."""
    own = inside_project(source, plan.project_directory)
    for named, replacement in plan.spec.binds.items():
        absolute = posixpath.normpath(posixpath.join(plan.project_directory, named))
        if posixpath.normpath(source) == absolute:
            if posixpath.isabs(replacement):
                return inside_project(replacement, plan.project_directory), True
            target = posixpath.join(plan.project_directory, replacement)
            return inside_project(target, plan.project_directory), True
    return own, False


def _outside(where: str, source: str, mount: Config, replaced: bool) -> Refusal:
    if posixpath.basename(source) in DOCKER_SOCKETS:
        return Refusal(
            where,
            f"mounts the engine's socket {source}, and with it everything on the engine",
            "leave the service out, or put a stand-in for it into a Compose file for tests",
        )
    if replaced:
        return Refusal(
            where,
            f"the replacement of {source} lies outside the project directory too",
            "name a directory below the project directory; a path may stay as it is only where it is "
            "mounted read-only",
        )
    return Refusal(
        where,
        f"mounts {source} at {mount.get('target')}, which lies outside the project directory",
        f"say what replaces it: `stack: {{ binds: {{ {source}: ./a-directory-of-the-project }} }}`",
    )


def _volume(plan: _Plan, key: str, volume: Config) -> Config:
    where = f"volumes.{key}"
    name = str(volume.get("name") or key)
    follows = name != str((_part(plan.shadow, "volumes").get(key) or {}).get("name") or key)
    if volume.get("external"):
        own = name if follows else plan.identity.prefixed(name)
        plan.external_volumes.append(unescaped(own))
        if not follows:
            plan.changes.append(f"volume {key}: the external volume {name} is {own}, which begins empty")
        return {"name": own, "external": True}
    out: dict[str, Any] = {"labels": plan.identity.labels}
    if not follows:
        out["name"] = plan.identity.prefixed(name)
        plan.changes.append(f"volume {key}: the explicit name {name} is {out['name']}")
    if volume.get("driver") not in (None, "", "local"):
        plan.refusals.append(
            Refusal(
                f"{where}.driver",
                f"the driver {volume['driver']} keeps its data where the run cannot label it",
                "use the local driver in a Compose file for tests",
            )
        )
    if options := _device_options(plan, key, volume.get("driver_opts") or {}):
        out["driver_opts"] = Override(options)
    return out


def _device_options(plan: _Plan, key: str, options: Config) -> Config | None:
    device = unescaped(str(options.get("device") or ""))
    if not device or options.get("type") == "tmpfs":
        return None
    inside, replaced = _placed(plan, device)
    if inside is None:
        plan.refusals.append(
            Refusal(
                f"volumes.{key}.driver_opts.device",
                f"keeps its data at {device}, outside the project directory",
                f"say what replaces it: `stack: {{ binds: {{ {device}: ./a-directory-of-the-project }} }}`",
            )
        )
        return None
    plan.binds.append(Bind(f"volume {key}", device, inside, True, replaced))
    plan.changes.append(f"volume {key}: its device {device} is {inside} in the workspace")
    # The engine, not Compose, reads it: it knows no project directory.
    return {
        "type": "none",
        "o": "bind",
        "device": escaped(posixpath.join(plan.identity.project_directory, inside)),
    }


def _network(plan: _Plan, key: str, network: Config) -> Config:
    where = f"networks.{key}"
    name = str(network.get("name") or key)
    follows = name != str((_part(plan.shadow, "networks").get(key) or {}).get("name") or key)
    if network.get("external"):
        if name == "host":
            plan.refusals.append(
                Refusal(
                    where,
                    "is the host's network, with the machine's own ports",
                    "use a network of the project",
                )
            )
        own = name if follows else plan.identity.prefixed(name)
        plan.external_networks.append(unescaped(own))
        if not follows:
            plan.changes.append(
                f"network {key}: the external network {name} is {own}, with nobody else on it"
            )
        return {"name": own, "external": True}
    out: dict[str, Any] = {"labels": plan.identity.labels}
    if not follows:
        out["name"] = plan.identity.prefixed(name)
        plan.changes.append(f"network {key}: the explicit name {name} is {out['name']}")
    if network.get("driver") not in OWN_BRIDGE:
        plan.refusals.append(
            Refusal(
                f"{where}.driver",
                f"the driver {network['driver']} puts the stack on a network outside the engine",
                "use the bridge driver in a Compose file for tests",
            )
        )
    if "com.docker.network.bridge.name" in (network.get("driver_opts") or {}):
        out["driver_opts"] = Reset()
        plan.changes.append(f"network {key}: the bridge's fixed name is dropped")
    if overlaps := _overlapping(network, plan.taken_subnets):
        if _has_fixed_address(plan, key):
            plan.refusals.append(
                Refusal(
                    f"{where}.ipam",
                    f"the subnet {overlaps} is in use on this engine, and services have fixed addresses in it",
                    "leave subnet and addresses out in a Compose file for tests, or stop what uses it",
                )
            )
        else:
            out["ipam"] = Reset()
            plan.changes.append(f"network {key}: its subnet {overlaps} is in use, and becomes a free one")
    return out


def _has_fixed_address(plan: _Plan, key: str) -> bool:
    attachments = [
        ((service or {}).get("networks") or {}).get(key) or {}
        for service in _part(plan.original, "services").values()
    ]
    return any(attached.get("ipv4_address") or attached.get("ipv6_address") for attached in attachments)


def _overlapping(network: Config, taken: Iterable[str]) -> str | None:
    wanted = [
        pool["subnet"] for pool in ((network.get("ipam") or {}).get("config") or ()) if pool.get("subnet")
    ]
    for subnet in wanted:
        for other in taken:
            left, right = ip_network(subnet, strict=False), ip_network(other, strict=False)
            if left.version == right.version and left.overlaps(right):
                return str(subnet)
    return None


def _file_sources(plan: _Plan, kind: str) -> dict[str, Any]:
    """Secrets and configurations from outside the project directory are copied into the workspace."""
    out: dict[str, Any] = {}
    for key, entry in _part(plan.original, kind).items():
        source = unescaped(str((entry or {}).get("file") or ""))
        if not source:
            continue
        if inside_project(source, plan.project_directory) is None:
            copied = f"{plan.identity.workspace}/files/{kind}-{key}"
            plan.files[source] = copied
            out[key] = {"file": escaped(copied)}
            plan.changes.append(f"{kind} {key}: {source} is copied")
    return out


def _part(config: Config, name: str) -> dict[str, Config]:
    return config.get(name) or {}


def _service_of(config: Config, name: str) -> Config:
    return _part(config, "services").get(name) or {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
