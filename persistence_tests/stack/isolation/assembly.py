"""The override as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.isolation.plan import (
    Config,
    Isolation,
    Plan,
    escaped,
    inside_project,
    part,
    unescaped,
)
from persistence_tests.stack.isolation.resources import network_override, volume_override
from persistence_tests.stack.isolation.services import left_out, service_override
from persistence_tests.stack.override import Reset
from persistence_tests.stack.spec import StackSpec


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
    plan = Plan(original, shadow, frozenset(active), identity, project_directory, spec, tuple(taken_subnets))
    plan.left_out = left_out(plan)
    services = {
        name: service_override(plan, name, service or {})
        for name, service in part(original, "services").items()
    }
    volumes = {
        key: volume_override(plan, key, volume or {}) for key, volume in part(original, "volumes").items()
    }
    networks = {
        key: network_override(plan, key, network or {}) for key, network in part(original, "networks").items()
    }
    jobs = {name: Reset() for name in part(original, "jobs")}
    plan.changes += [f"job {name}: left out, because only services run" for name in jobs]
    files = {kind: copied_files(plan, kind) for kind in ("secrets", "configs")}
    override: dict[str, Any] = {
        "services": services,
        "volumes": volumes,
        "networks": networks,
        "jobs": jobs,
        **files,
    }
    return Isolation(
        override={key: part for key, part in override.items() if part},
        changes=tuple(dict.fromkeys(plan.changes)),
        refusals=tuple(dict.fromkeys(plan.refusals)),
        binds=tuple(plan.binds),
        files=plan.files,
        external_volumes=tuple(plan.external_volumes),
        external_networks=tuple(plan.external_networks),
    )


def copied_files(plan: Plan, kind: str) -> dict[str, Any]:
    """Secrets and configurations from outside the project directory are copied into the workspace."""
    out: dict[str, Any] = {}
    for key, entry in part(plan.original, kind).items():
        source = unescaped(str((entry or {}).get("file") or ""))
        if not source:
            continue
        if inside_project(source, plan.project_directory) is None:
            copied = f"{plan.identity.workspace}/files/{kind}-{key}"
            plan.files[source] = copied
            out[key] = {"file": escaped(copied)}
            plan.changes.append(f"{kind} {key}: {source} is copied")
    return out
