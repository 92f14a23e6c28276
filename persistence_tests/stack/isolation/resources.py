"""Volumes and networks: explicit and external names move under the run's prefix."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from persistence_tests.stack.isolation.mounts import placed
from persistence_tests.stack.isolation.plan import Bind, Config, Plan, escaped, part, unescaped
from persistence_tests.stack.override import Override, Reset
from persistence_tests.stack.refusal import Refusal, is_memory

OWN_BRIDGE = (None, "", "bridge")


def volume_override(plan: Plan, key: str, volume: Config) -> Config:
    where = f"volumes.{key}"
    name = str(volume.get("name") or key)
    follows = name != str((part(plan.shadow, "volumes").get(key) or {}).get("name") or key)
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


def _device_options(plan: Plan, key: str, options: Config) -> Config | None:
    device = unescaped(str(options.get("device") or ""))
    if not device or is_memory(options):
        return None
    inside, replaced = placed(plan, device)
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


def network_override(plan: Plan, key: str, network: Config) -> Config:
    where = f"networks.{key}"
    name = str(network.get("name") or key)
    follows = name != str((part(plan.shadow, "networks").get(key) or {}).get("name") or key)
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


def _has_fixed_address(plan: Plan, key: str) -> bool:
    attachments = [
        ((service or {}).get("networks") or {}).get(key) or {}
        for service in part(plan.original, "services").values()
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
