"""How a stack stands: its Compose files, its directory, its project's name, and what isolation makes of them.

It begins as the scenario says; `Stack.edit` and `Stack.rename_directory` put another arrangement in its place, which
goes through the same isolation and the same second net.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from persistence_tests.stack import isolation, override, preparation, workspace
from persistence_tests.stack.compose import Compose
from persistence_tests.stack.disks import placement
from persistence_tests.stack.disks.placement import Placed
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.refusal import refuse
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.verification import violations


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`project` is the name that Compose is given; `identity.project` the one by which everything is labelled.

    `original` is the user's configuration, of all profiles; `isolated` the same under `override`, `config` that of
    the services that run. `disks` are the stores that lie on crash disks.
    """

    spec: StackSpec
    identity: Identity
    project: str
    original: dict[str, Any]
    plan: isolation.Isolation
    override: dict[str, Any]
    compose: Compose
    changes: tuple[str, ...]
    isolated: dict[str, Any]
    config: dict[str, Any]
    disks: tuple[Placed, ...] = ()

    @property
    def mounted_as_is(self) -> tuple[str, ...]:
        """Paths outside the workspace that the scenario lets the stack mount read-only."""
        return tuple(bind.source for bind in self.plan.binds if bind.inside is None)


def planned(
    spec: StackSpec,
    identity: Identity,
    resolved: preparation.Resolved,
    taken_subnets: Iterable[str],
    engine: Engine,
) -> isolation.Isolation:
    """What isolation makes of the user's configuration. Raises StackRefused with everything that cannot be isolated."""
    directory = spec.project_directory
    plan = isolation.isolate(
        resolved.original,
        resolved.shadow,
        active=resolved.active,
        identity=identity,
        spec=spec,
        project_directory=str(directory),
        taken_subnets=taken_subnets,
    )
    if refusals := [*plan.refusals, *workspace.bind_refusals(plan.binds, directory, engine.socket)]:
        raise refuse(refusals, str(spec.compose[-1]))
    return plan


def arranged(
    spec: StackSpec,
    identity: Identity,
    project: str,
    original: dict[str, Any],
    plan: isolation.Isolation,
    engine: Engine,
    *,
    edition: int = 0,
    image_volumes: Mapping[str, Iterable[str]] | None = None,
    laid_on: Sequence[Placed] = (),
) -> Arrangement:
    """Write the override, resolve the whole again, verify. Raises StackRefused if the second net catches something.

    The control service of another `edition` is another one to Compose. `image_volumes` as for `labelled`, `laid_on` as
    for `on_disks`.
    """
    file = Path(identity.workspace) / (f"override-{edition}.yaml" if edition else "override.yaml")
    compose = preparation.in_workspace(spec, identity, engine.url, project, file)
    document = preparation.with_control(plan.override, identity, identity.labels, edition)
    made = Arrangement(spec, identity, project, original, plan, document, compose, plan.changes, {}, {})
    settled = _settled(made)
    return labelled(on_disks(settled, laid_on) if laid_on else settled, image_volumes or {})


def on_disks(arrangement: Arrangement, laid_on: Sequence[Placed]) -> Arrangement:
    """With these stores on their crash disks."""
    document, changes = placement.on_disks(
        arrangement.override, arrangement.config, laid_on, arrangement.identity.labels
    )
    changed = (*arrangement.changes, *changes)
    return _settled(replace(arrangement, override=document, changes=changed, disks=tuple(laid_on)))


def labelled(arrangement: Arrangement, image_volumes: Mapping[str, Iterable[str]]) -> Arrangement:
    """With a label on the anonymous volumes that images declare; `image_volumes` has their targets by service."""
    known = {
        name: targets for name, targets in image_volumes.items() if name in arrangement.config["services"]
    }
    document, changes = isolation.with_anonymous_volumes(
        arrangement.override, arrangement.config, known, arrangement.identity
    )
    if not changes:
        return arrangement
    changed = (*arrangement.changes, *changes)
    return _settled(replace(arrangement, override=document, changes=changed))


def write_override(arrangement: Arrangement) -> None:
    """The file that its Compose reads last; another arrangement of the same stack may have written its own there."""
    arrangement.compose.files[-1].write_text(override.render(arrangement.override))


def _settled(arrangement: Arrangement) -> Arrangement:
    write_override(arrangement)
    isolated, config = arrangement.compose.configs()
    identity = arrangement.identity
    devices = [disk.device for _, disk in arrangement.disks]
    found = violations(
        isolated, identity, arrangement.mounted_as_is, project=arrangement.project, devices=devices
    )
    binds, home = arrangement.plan.binds, Path(identity.project_directory)
    if found := [*found, *workspace.escapes(binds, home, Path(identity.workspace))]:
        raise refuse(found, str(arrangement.spec.compose[-1]))
    return replace(arrangement, isolated=isolated, config=config)
