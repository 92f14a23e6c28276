"""What of a service reaches programs and machines around the engine: cut off, and said.

None of it is the stack's own: a reverse proxy or a scheduler of the user's that reads labels of every container, a
log server, a machine named by its address, a registry that would move the user's tag.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

from persistence_tests.stack.isolation.plan import Config, Plan, part
from persistence_tests.stack.override import Override, Reset

LOCAL_LOGGING = (None, "", "json-file", "local", "none")
FETCHING = re.compile(r"always|daily|weekly|refresh|every_.*")
WATCHED_LABEL = re.compile(
    r"(traefik|caddy(_\d+)?|com\.centurylinklabs\.watchtower|autoheal|deunhealth|ofelia|chadburn|diun|wud|swag|"
    r"com\.github\.(nginx-proxy|jrcs)|docker-volume-backup|restic-compose-backup|homepage|glance|kuma|tsdproxy|"
    r"sablier|com\.ouroboros|dockflare|cloudflare\.tunnel)([._-].*)?",
    re.IGNORECASE,
)
"""Labels that tools read on every container of an engine: they would serve, update or restart the run's."""


def labels(plan: Plan, name: str, service: Config, changes: list[str]) -> dict[str, Any]:
    """The override's `labels`, and `label_file` where it must not bring a label back."""
    watched = sorted(key for key in service.get("labels") or {} if WATCHED_LABEL.fullmatch(key))
    if not watched:
        return {"labels": plan.identity.labels}
    changes.append(
        f"{name}: the labels {', '.join(watched)} are not set: other programs on the engine read them"
    )
    out: dict[str, Any] = {"labels": Override(own_labels(plan, service))}
    return {**out, "label_file": Reset()} if service.get("label_file") else out


def own_labels(plan: Plan, service: Config) -> dict[str, str]:
    theirs = service.get("labels") or {}
    kept = {key: value for key, value in theirs.items() if not WATCHED_LABEL.fullmatch(key)}
    return {**kept, **plan.identity.labels}


def logging(name: str, service: Config, changes: list[str]) -> dict[str, Any]:
    driver = (service.get("logging") or {}).get("driver")
    if driver in LOCAL_LOGGING:
        return {}
    changes.append(f"{name}: its log stays with the engine, and does not go to {driver}")
    return {"logging": Reset()}


def extra_hosts(plan: Plan, name: str, holder: Config, changes: list[str]) -> dict[str, Any]:
    """Of a service or a build: host names stay where they lead to the stack itself."""
    entries = [str(entry) for entry in holder.get("extra_hosts") or ()]
    kept = [entry for entry in entries if _is_own(plan, entry.partition("=")[2])]
    if kept == entries:
        return {}
    dropped = ", ".join(entry for entry in entries if entry not in kept)
    changes.append(f"{name}: the host names {dropped} are not set: they lead out of the stack")
    return {"extra_hosts": Override(kept) if kept else Reset()}


def pull_policy(name: str, service: Config, changes: list[str]) -> dict[str, Any]:
    policy = str(service.get("pull_policy") or "")
    if not FETCHING.fullmatch(policy):
        return {}
    changes.append(
        f"{name}: the image {service.get('image')} is fetched only where it is missing, not {policy}: the tag is "
        "the user's"
    )
    refresh = {"pull_refresh_after": Reset()} if service.get("pull_refresh_after") else {}
    return {"pull_policy": "missing", **refresh}


def _is_own(plan: Plan, address: str) -> bool:
    try:
        parsed = ip_address(address.strip("[]"))
    except ValueError:
        return False  # host-gateway
    subnets = [
        ip_network(pool["subnet"], strict=False)
        for network in part(plan.original, "networks").values()
        for pool in (((network or {}).get("ipam") or {}).get("config") or ())
        if pool.get("subnet") and not (network or {}).get("external")
    ]
    return parsed.is_loopback or any(parsed in subnet for subnet in subnets)
