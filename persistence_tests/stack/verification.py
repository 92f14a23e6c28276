"""The second net: the isolated configuration, as Compose resolves it, is looked at again before anything is started.

Pure, and independent of how the override was made.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.isolation import unescaped
from persistence_tests.stack.refusal import Refusal, is_memory, service_refusals

KEEPING_TAGS = (None, "", "missing", "if_not_present", "never", "build")
REMEDY = "this is a fault of the harness: please report it with the Compose file; nothing was started"


def violations(
    config: dict[str, Any],
    identity: Identity,
    read_only: Iterable[str] = (),
    *,
    project: str | None = None,
    devices: Iterable[str] = (),
) -> list[Refusal]:
    """Everything in the isolated configuration that could reach what is not the run's own.

    `read_only` are the paths outside the workspace that the scenario lets the stack mount read-only; `project` is
    its name where it is not the one that the stack began as; `devices` are those of the run's own disks.
    """
    expected = project or identity.project
    allowed = {posixpath.normpath(path) for path in read_only}
    found: list[Refusal] = []
    if config.get("name") != expected or not expected.startswith(identity.project):
        found.append(_violation("name", f"the project is {config.get('name')}, not {expected}"))
    for name, service in (config.get("services") or {}).items():
        found += service_refusals(name, service)
        found += _service(name, service, identity, allowed)
        for number, step in enumerate(service.get("pre_start") or (), 1):
            found += _service(f"{name}.pre_start {number}", step, identity, allowed)
    if jobs := config.get("jobs"):
        found.append(_violation("jobs", f"the jobs {', '.join(jobs)} are not isolated"))
    for kind in ("volumes", "networks"):
        for key, part in (config.get(kind) or {}).items():
            found += _resource(f"{kind}.{key}", part or {}, identity, set(devices))
    for kind in ("secrets", "configs"):
        for key, part in (config.get(kind) or {}).items():
            source = unescaped(str((part or {}).get("file") or ""))
            if source and not _within(source, identity.workspace):
                found.append(_violation(f"{kind}.{key}", f"is read from {source}, outside the workspace"))
    return found


def _service(name: str, service: dict[str, Any], identity: Identity, allowed: set[str]) -> Iterator[Refusal]:
    where = f"services.{name}"
    container_name = service.get("container_name")
    if container_name and identity.project not in container_name:
        yield _violation(
            f"{where}.container_name", f"the container name {container_name} is not the run's own"
        )
    for port in service.get("ports") or ():
        if port.get("published") not in (None, "", "0", 0) or port.get("host_ip") != "127.0.0.1":
            yield _violation(f"{where}.ports", f"the port {port} is not a free one on 127.0.0.1")
    yield from _labels(f"{where}.labels", service.get("labels"), identity)
    for holder, key in ((service, "extra_hosts"), (service.get("build") or {}, "build.extra_hosts")):
        if any("host-gateway" in str(entry) for entry in holder.get("extra_hosts") or ()):
            yield _violation(f"{where}.{key}", "a host name leads to the machine itself")
    if service.get("pull_policy") not in KEEPING_TAGS:
        yield _violation(f"{where}.pull_policy", f"the user's tag {service.get('image')} may be moved")
    for mount in service.get("volumes") or ():
        yield from _mount(f"{where}.volumes", mount, identity, allowed)
    if build := service.get("build"):
        yield from _labels(f"{where}.build.labels", build.get("labels"), identity)
        image = service.get("image")
        if image and identity.project not in image:
            yield _violation(f"{where}.image", f"the build would take the user's tag {image}")
        for key in ("tags", "cache_to"):
            if build.get(key):
                yield _violation(f"{where}.build.{key}", f"the build would write {build[key]}")


def _mount(where: str, mount: dict[str, Any], identity: Identity, allowed: set[str]) -> Iterator[Refusal]:
    source = unescaped(str(mount.get("source") or ""))
    match mount.get("type"):
        case "bind" if not _within(source, identity.workspace):
            if not (mount.get("read_only") and posixpath.normpath(source) in allowed):
                yield _violation(where, f"the bind mount of {source} lies outside the workspace")
        case "volume" if not source:
            yield from _labels(where, (mount.get("volume") or {}).get("labels"), identity)
        case "bind" | "volume" | "tmpfs" | "image":
            pass
        case kind:
            yield _violation(where, f"a mount of type {kind}")


def _resource(where: str, part: dict[str, Any], identity: Identity, devices: set[str]) -> Iterator[Refusal]:
    name = str(part.get("name") or "")
    if identity.project not in name:
        yield _violation(where, f"the name {name} is not the run's own")
    if not part.get("external"):
        yield from _labels(where, part.get("labels"), identity)
    options = part.get("driver_opts") or {}
    device = unescaped(str(options.get("device") or ""))
    if (
        device
        and not is_memory(options)
        and device not in devices
        and not _within(device, identity.workspace)
    ):
        yield _violation(where, f"the device {device} lies outside the workspace")


def _labels(where: str, labels: dict[str, str] | None, identity: Identity) -> Iterator[Refusal]:
    if any((labels or {}).get(key) != escaped for key, escaped in identity.labels.items()):
        yield _violation(where, "the run's labels are missing")


def _within(path: str, directory: str) -> bool:
    return posixpath.normpath(path).startswith(posixpath.normpath(directory).rstrip("/") + "/")


def _violation(where: str, what: str) -> Refusal:
    return Refusal(where, what, REMEDY)
