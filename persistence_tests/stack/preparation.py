"""What is made ready before a stack has a container: its configuration, and the copy of its directory."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from persistence_tests.errors import StackError
from persistence_tests.model.secrets import Secrets
from persistence_tests.stack import control, isolation, links, secret_sources, workspace
from persistence_tests.stack.compose import Compose
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.spec import StackSpec

SHADOW_PROJECT = "persistence-shadow"


class Resolved(NamedTuple):
    """The user's configuration under two project names, of all profiles, and the services that run."""

    original: dict[str, Any]
    shadow: dict[str, Any]
    active: tuple[str, ...]


def resolve(spec: StackSpec, engine: Engine, project: str, secrets: Secrets) -> Resolved:
    """`secrets` learns what of the configuration, and of the environment, must not be told.

    Raises StackError where Compose cannot read the files.
    """

    def compose(name: str) -> Compose:
        return Compose(
            engine_url=engine.url,
            project=name,
            directory=spec.project_directory,
            files=tuple(path.absolute() for path in spec.compose),
            profiles=spec.profiles,
            env_files=spec.env_files,
            env=spec.env,
        )

    secret_sources.learn_variables(secrets, spec.env)
    with ThreadPoolExecutor(4) as pool:
        printed = pool.submit(compose(project).interpolation)
        original = pool.submit(compose(project).config, all_profiles=True)
        shadow = pool.submit(compose(SHADOW_PROJECT).config, all_profiles=True)
        active = pool.submit(compose(project).services)
        environment = secret_sources.learn_environment(secrets, printed.result())
        secret_sources.learn_configuration(secrets, original.result(), environment)
        return Resolved(original.result(), shadow.result(), active.result())


def unaided(spec: StackSpec, identity: Identity, engine: Engine) -> dict[str, Any]:
    """What Compose makes of the copy of the user's files by itself: without a project's name, without the override."""
    return in_workspace(spec, identity, engine.url, "").config(all_profiles=True)


def in_workspace(spec: StackSpec, identity: Identity, engine_url: str, project: str, *files: Path) -> Compose:
    """Compose over the copy of the user's files, and `files` after them."""
    return Compose(
        engine_url=engine_url,
        project=project,
        directory=Path(identity.project_directory),
        files=(*(moved(path, spec, identity) for path in spec.compose), *files),
        profiles=spec.profiles,
        env_files=tuple(moved(path, spec, identity) for path in spec.env_files),
        env=spec.env,
    )


def absolute_binds(unaided: dict[str, Any], project_directory: Path) -> list[str]:
    """Paths of the user's project directory that are mounted, although the files were resolved in its copy."""
    mounts = [
        str(mount.get("source") or "")
        for service in unaided["services"].values()
        for mount in (service or {}).get("volumes") or ()
        if mount.get("type") == "bind"
    ]
    devices = [
        str(((volume or {}).get("driver_opts") or {}).get("device") or "")
        for volume in (unaided.get("volumes") or {}).values()
    ]
    paths = {isolation.unescaped(path) for path in (*mounts, *devices)}
    return sorted(p for p in paths if isolation.inside_project(p, str(project_directory)) is not None)


def copy(
    spec: StackSpec, identity: Identity, plan: isolation.Isolation, original: dict[str, Any]
) -> list[str]:
    """Make the workspace's project directory; what begins empty, in words."""
    directory, target = spec.project_directory, Path(identity.project_directory)
    contexts = [
        Path(isolation.unescaped(str((service.get("build") or {}).get("context"))))
        for service in original["services"].values()
        if service and isinstance(service.get("build"), dict)
    ]
    empty = workspace.data_directories(plan.binds, directory, spec.copy, [*spec.compose, *contexts])
    kept = [
        Path(posixpath.normpath(bind.inside))
        for bind in plan.binds
        if bind.inside is not None
        and Path(posixpath.normpath(bind.inside)) not in empty
        and (not bind.writable or not (directory / bind.inside).is_dir())
    ]
    kept += [Path(posixpath.normpath(entry)) for entry in spec.copy]
    workspace.copy_project(
        directory, target, empty, kept, skip=[Path.cwd() / "reports", Path(identity.workspace)]
    )
    links.turn_inwards(directory, target)
    cut = links.cut(target, Path(identity.workspace)) if spec.follow_project else []
    for bind in plan.binds:
        if bind.replaced and bind.inside is not None:
            _stand_in(target / bind.inside, Path(bind.source))
    copy_files(plan, identity)
    return cut + [
        f"./{path} begins empty: the stack writes there (`copy: [./{path}]` brings its content)"
        for path in empty
    ]


def _stand_in(place: Path, replaced: Path) -> None:
    """What a replaced bind mounts where the project has nothing there: a file for a file, else a directory."""
    if place.exists():
        return
    if replaced.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    else:
        place.mkdir(parents=True)


def bound(binds: Iterable[isolation.Bind], spec: StackSpec, identity: Identity, source: str) -> Path:
    """The workspace's directory of a bind mount, named as in the Compose file; StackError where there is none."""
    binds = [bind for bind in binds if bind.inside is not None]
    wanted = posixpath.normpath(posixpath.join(spec.project_directory, Path(source).expanduser()))
    for bind in binds:
        inside = str(bind.inside)
        if wanted in (
            posixpath.normpath(bind.source),
            posixpath.normpath(posixpath.join(spec.project_directory, inside)),
        ):
            return Path(posixpath.normpath(posixpath.join(identity.project_directory, inside)))
    known = ", ".join(sorted({str(bind.inside) for bind in binds}))
    raise StackError(f"the stack has no bind mount {source!r}", remedy=f"it has: {known or 'none'}")


def copy_files(plan: isolation.Isolation, identity: Identity) -> None:
    """Copy the secrets and configurations that lie outside the project directory."""
    (Path(identity.workspace) / "files").mkdir(exist_ok=True)
    for source, copied in plan.files.items():
        shutil.copy(source, copied)


def make_external(
    engine: Engine,
    plan: isolation.Isolation,
    identity: Identity,
    options: Mapping[str, dict[str, str]] | None = None,
) -> None:
    """The volumes and networks that are external to the stack, the control's too, where they are not there.

    `options` are those of the local driver, by the volume's name.
    """
    from docker.errors import NotFound

    labels = identity.labels
    with engine_answers("making external volumes and networks"):
        for name in (*plan.external_volumes, control.external_volume(identity)):
            engine.client.volumes.create(name, labels=labels, driver_opts=(options or {}).get(name))
        for name in plan.external_networks:
            try:
                engine.client.api.inspect_network(name)
            except NotFound:
                engine.client.networks.create(name, labels=labels, check_duplicate=True)


def moved(path: Path, spec: StackSpec, identity: Identity) -> Path:
    """A file of the project directory in the workspace; another file stays where it is."""
    inside = isolation.inside_project(str(path.absolute()), str(spec.project_directory))
    return path.absolute() if inside is None else Path(identity.project_directory) / inside


def with_control(
    document: dict[str, Any], identity: Identity, labels: Mapping[str, str], edition: int = 0
) -> dict[str, Any]:
    own = control.override(identity, Path(identity.workspace) / "control", labels, edition)
    return {**document, **{part: {**(document.get(part) or {}), **own[part]} for part in own}}


def subnets(engine: Engine) -> list[str]:
    with engine_answers("looking up networks"):
        networks = engine.client.api.networks()
    return [
        pool["Subnet"]
        for network in networks
        for pool in ((network.get("IPAM") or {}).get("Config") or ())
        if pool.get("Subnet")
    ]
