"""Mounts of a service: binds land in the workspace, anonymous volumes bear the run's labels."""

from __future__ import annotations

import posixpath

from persistence_tests.stack.isolation.plan import Bind, Config, Plan, escaped, inside_project, unescaped
from persistence_tests.stack.refusal import Refusal

DOCKER_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock")


def is_socket(source: str) -> bool:
    """An engine's socket is no less of a socket where it is mounted read-only."""
    return posixpath.basename(posixpath.normpath(source)) in DOCKER_SOCKETS


def mount_override(
    plan: Plan, name: str, mount: Config, binds: list[Bind], refusals: list[Refusal], changes: list[str]
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


def _bind(
    plan: Plan, name: str, mount: Config, binds: list[Bind], refusals: list[Refusal], changes: list[str]
) -> Config:
    source = unescaped(str(mount["source"]))
    writable = not mount.get("read_only")
    where = f"services.{name}.volumes"
    inside, replaced = placed(plan, source)
    if inside is None and replaced and not writable and not is_socket(source):
        binds.append(Bind(name, source, None, False, True))
        changes.append(f"{name}: {source} is mounted read-only as it is, as the scenario says")
        return mount
    if inside is None:
        refusals.append(_outside(where, source, mount, replaced))
        return mount
    binds.append(Bind(name, source, inside, writable, replaced))
    changes.append(f"{name}: {source} is {inside} in the workspace")
    return {**mount, "source": escaped(inside)}


def placed(plan: Plan, source: str) -> tuple[str | None, bool]:
    """Where in the project a path of the host is to be, and whether the scenario replaces it."""
    own = inside_project(source, plan.project_directory)
    for named, replacement in plan.spec.binds.items():
        absolute = posixpath.normpath(posixpath.join(plan.project_directory, named))
        if posixpath.normpath(source) == absolute:
            if posixpath.isabs(replacement):
                inside = inside_project(replacement, plan.project_directory)
                # Another absolute path replaces nothing: it would be mounted where the stack said.
                return inside, inside is not None or posixpath.normpath(replacement) == absolute
            target = posixpath.join(plan.project_directory, replacement)
            return inside_project(target, plan.project_directory), True
    return own, False


def _outside(where: str, source: str, mount: Config, replaced: bool) -> Refusal:
    if is_socket(source):
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
