"""From what a scenario says of a stack to how it stands at first: resolved, isolated, copied, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.model.secrets import Secrets
from persistence_tests.stack import control, preparation, workspace
from persistence_tests.stack.arrangement import Arrangement
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.host import Host
from persistence_tests.stack.identity import Identity, project_name
from persistence_tests.stack.machine.host import MachineHost
from persistence_tests.stack.references import common_ancestor, outside_references
from persistence_tests.stack.shared import SharedHost
from persistence_tests.stack.spec import StackSpec

HOSTS: dict[str, type[SharedHost | MachineHost]] = {
    SharedHost.isolation: SharedHost,
    MachineHost.isolation: MachineHost,
}


def begin(
    spec: StackSpec, engine: Engine, run: str, scenario: str, secrets: Secrets
) -> tuple[Host, Arrangement]:
    """See `Stack.prepare`. No container is made."""
    if spec.isolation not in HOSTS:
        raise StackRefused(
            f"the isolation {spec.isolation!r} is not known", remedy="use `isolation: override`, or `machine`"
        )
    project = project_name(run, scenario)
    host = HOSTS[spec.isolation](engine, run, project)
    directory = spec.project_directory
    resolved = preparation.resolve(spec, engine, host.project(project), secrets)
    references = outside_references(spec.compose, directory)
    trees = host.trees(spec, resolved)
    below = directory.relative_to(common_ancestor(directory, (*references, *trees)))
    root = workspace.create(run)
    identity = Identity(run, project, str(root), str(root / "stack" / below))
    try:
        return host, _arranged(host, spec, identity, resolved, references, trees)
    except BaseException:
        workspace.remove(root, None, {})
        raise


def _arranged(
    host: Host,
    spec: StackSpec,
    identity: Identity,
    resolved: preparation.Resolved,
    references: Sequence[Path],
    trees: Sequence[Path],
) -> Arrangement:
    plan = host.planned(spec, identity, resolved)
    changes = preparation.copy(spec, identity, plan, resolved.original)
    workspace.copy_trees(trees, spec.project_directory, Path(identity.project_directory))
    workspace.copy_references(references, spec.project_directory, Path(identity.project_directory))
    control.write_context(Path(identity.workspace) / "control", host.outer.helper_image)
    try:
        made = host.arranged(spec, identity, host.project(identity.project), resolved.original, plan)
    except StackError as error:
        raise StackRefused(
            f"the copy of the project directory cannot be used: {error.what}",
            where=str(spec.compose[0]),
            remedy="keep every file that the Compose files name below the project directory",
        ) from error
    return replace(made, changes=(*made.changes, *changes))
