"""What is made ready before a stack has a container: its configuration, and the copy of its directory."""

from __future__ import annotations

import posixpath
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from persistence_tests.model.secrets import Secrets
from persistence_tests.stack import control, isolation, links, secret_sources, workspace
from persistence_tests.stack.compose import Compose
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.spec import StackSpec

SHADOW_PROJECT = "persistence-shadow"


def resolve(
    spec: StackSpec, engine: Engine, project: str, secrets: Secrets
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The user's configuration under two project names, of all profiles, and the services that run.

    `secrets` learns what of them, and of the environment, must not be told.
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
        return original.result(), shadow.result(), active.result()


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
    (Path(identity.workspace) / "files").mkdir(exist_ok=True)
    for source, copied in plan.files.items():
        shutil.copy(source, copied)
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


def moved(path: Path, spec: StackSpec, identity: Identity) -> Path:
    """A file of the project directory in the workspace; another file stays where it is."""
    inside = isolation.inside_project(str(path.absolute()), str(spec.project_directory))
    return path.absolute() if inside is None else Path(identity.project_directory) / inside


def with_control(document: dict[str, Any], identity: Identity) -> dict[str, Any]:
    own = control.override(identity, Path(identity.workspace) / "control")
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
