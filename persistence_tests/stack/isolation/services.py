"""What the override says of one service."""

from __future__ import annotations

from typing import Any

from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.isolation import surroundings
from persistence_tests.stack.isolation.build import build_override
from persistence_tests.stack.isolation.mounts import mount_override
from persistence_tests.stack.isolation.plan import Bind, Config, Plan, part, service_of
from persistence_tests.stack.override import Override, Reset
from persistence_tests.stack.refusal import Refusal, service_refusals

IDLE = "it does not run in these profiles"


def service_override(plan: Plan, name: str, service: Config) -> Any:
    if why := plan.left_out.get(name):
        plan.changes.append(f"{name}: left out, because {why}")
        return Reset()
    refusals = list(service_refusals(name, service))
    if name == CONTROL_SERVICE:
        refusals.append(
            Refusal(f"services.{name}", "has the name of the run's own service", "call it otherwise")
        )
    changes: list[str] = []
    binds: list[Bind] = []
    out: dict[str, Any] = {}
    mounts = [
        mount_override(plan, name, mount, binds, refusals, changes) for mount in service.get("volumes") or ()
    ]
    if mounts:
        out["volumes"] = Override(mounts)
    ports = service.get("ports") or ()
    kept = {(port["target"], port.get("protocol", "tcp")): port for port in ports}
    looked_at = {
        (port, "tcp"): {"target": port, "protocol": "tcp"}
        for owner, port in plan.spec.reached
        if owner == name and (port, "tcp") not in kept
    }
    if kept or looked_at:
        out["ports"] = Override([_port(port) for port in {**kept, **looked_at}.values()])
    for port, _ in looked_at:
        changes.append(
            f"{name}: its port {port} is published on 127.0.0.1, at a free port, for the run to look at it"
        )
    if ports:
        said = ", ".join(f"{port.get('published') or 'any'}->{port['target']}" for port in ports)
        changes.append(f"{name}: ports {said} are published on 127.0.0.1, each at a free port")
    container_name = service.get("container_name")
    if container_name and service_of(plan.shadow, name).get("container_name") == container_name:
        out["container_name"] = Reset()
        changes.append(f"{name}: the container name {container_name} is kept as a network alias only")
        if networks := service.get("networks"):
            out["networks"] = {key: {"aliases": [container_name]} for key in networks}
    if build := service.get("build"):
        out["build"] = build_override(
            plan, build if isinstance(build, dict) else {"context": build}, name, changes
        )
    image = service.get("image")
    if image and image in built_tags(plan):
        out["image"] = plan.identity.image(image)
        if service.get("pull_policy") not in (None, "build"):
            out["pull_policy"] = Reset()
        changes.append(f"{name}: the image {image}, which the stack builds, is tagged {out['image']}")
    elif not service.get("build"):
        out |= surroundings.pull_policy(name, service, changes)
    elif surroundings.FETCHING.fullmatch(str(service.get("pull_policy") or "")):
        out["pull_policy"] = Reset()  # it is built
    if steps := service.get("pre_start"):
        out["pre_start"] = Override([_step(plan, name, step, binds, refusals, changes) for step in steps])
    if dependencies := _left_out_dependencies(plan, service):
        out["depends_on"] = {other: Reset() for other in dependencies}
    out |= surroundings.labels(plan, name, service, changes)
    out |= surroundings.logging(name, service, changes)
    out |= surroundings.extra_hosts(plan, name, service, changes)
    plan.refusals += refusals
    plan.changes += changes
    plan.binds += binds
    return out


def _step(
    plan: Plan, name: str, step: Config, binds: list[Bind], refusals: list[Refusal], changes: list[str]
) -> Config:
    """A container that runs to its end before the service: it takes what the service may take."""
    mounts = [
        mount_override(plan, name, mount, binds, refusals, changes) for mount in step.get("volumes") or ()
    ]
    image = step.get("image")
    own = {
        "labels": surroundings.own_labels(plan, step),
        "image": plan.identity.image(image) if image in built_tags(plan) else image,
        "volumes": mounts,
        "pull_policy": "missing",
    }
    kept = {key: value for key, value in step.items() if key not in {"extra_hosts", "logging", "label_file"}}
    return {key: value for key, value in {**kept, **own}.items() if value not in (None, [], {})}


def left_out(plan: Plan) -> dict[str, str]:
    """Services that the scenario leaves out, and those that do not run and cannot be isolated, or cannot do without
    one of those: why, in words."""
    out = dict.fromkeys(sorted(plan.spec.without), "the scenario says so")
    idle = {
        name: service or {}
        for name, service in part(plan.original, "services").items()
        if name not in plan.active and name not in out
    }
    for name, service in idle.items():
        refusals = list(service_refusals(name, service))
        for mount in service.get("volumes") or ():
            mount_override(plan, name, mount, [], refusals, [])
        if refusals:
            out[name] = f"{IDLE} and cannot be isolated ({refusals[0].where}: {refusals[0].what})"
    while True:
        more = {
            name: f"{IDLE} and needs {needed[0]}"
            for name, service in idle.items()
            if name not in out and (needed := sorted(_needed(service) & out.keys()))
        }
        if not more:
            return out
        out |= more


def _needed(service: Config) -> set[str]:
    """Services without which Compose cannot read this one."""
    dependencies = service.get("depends_on") or {}
    needed = {other for other, how in dependencies.items() if (how or {}).get("required", True)}
    needed |= {str(link).split(":")[0] for link in service.get("links") or ()}
    needed |= {str(source).split(":")[0] for source in service.get("volumes_from") or ()}
    for key in ("network_mode", "pid", "ipc"):
        kind, _, other = str(service.get(key) or "").partition(":")
        if kind == "service":
            needed.add(other)
    return needed


def _left_out_dependencies(plan: Plan, service: Config) -> list[str]:
    return [other for other in service.get("depends_on") or {} if other in plan.left_out]


def built_tags(plan: Plan) -> set[str]:
    """Tags that the stack builds itself and that do not follow the project."""
    return {
        str(service["image"])
        for name, service in part(plan.original, "services").items()
        if service
        and service.get("build")
        and service.get("image")
        and service_of(plan.shadow, name).get("image") == service["image"]
    }


def _port(port: Config) -> Config:
    kept = {
        key: port[key] for key in ("target", "protocol", "app_protocol", "name") if port.get(key) is not None
    }
    return {**kept, "host_ip": "127.0.0.1"}
