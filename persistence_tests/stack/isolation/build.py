"""How a service is built: to tags of the run's own, from the workspace's files."""

from __future__ import annotations

import posixpath
from typing import Any

from persistence_tests.stack.isolation import surroundings
from persistence_tests.stack.isolation.plan import Config, Plan, escaped, inside_project, unescaped
from persistence_tests.stack.override import Reset

ISOLATED_NETWORKS = (None, "", "default", "none")


def build_override(plan: Plan, build: Config, name: str, changes: list[str]) -> Config:
    out: dict[str, Any] = {"labels": plan.identity.labels}
    if build.get("tags"):
        out["tags"] = Reset()
        changes.append(f"{name}: the further tags {', '.join(build['tags'])} are not set")
    if build.get("cache_to"):
        out["cache_to"] = Reset()
        changes.append(f"{name}: the build cache is not exported")
    if build.get("pull"):
        out["pull"] = Reset()
        changes.append(f"{name}: its base images are fetched only where they are missing")
    if build.get("network") not in ISOLATED_NETWORKS:
        out["network"] = Reset()
        changes.append(f"{name}: is built on a network of its own, not on {build['network']}")
    if build.get("entitlements"):
        out["entitlements"] = Reset()
        changes.append(f"{name}: is built without the entitlements {', '.join(build['entitlements'])}")
    out |= surroundings.extra_hosts(plan, f"{name}, as it is built", build, changes)
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
