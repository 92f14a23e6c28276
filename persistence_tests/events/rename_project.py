"""`rename-project`: the project directory gets another name, and with it, mostly, the project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.configuration import own_volumes
from persistence_tests.events.evidence import INSPECT, Case, changed
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

FOLLOWS = Controls(must_lose=Store.NAMED, must_keep=Store.EXTERNAL)
PINNED = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)


class RenameProject(Event):
    """`down` under the old name, because its containers would stay up and hold the ports; then `up` under the new one.

    A top-level `name:` or a COMPOSE_PROJECT_NAME in `.env` pins the project's name, as Compose itself resolves it:
    then all volumes stay, and the controls are those of `down-up`. Else the volumes that are named after the project
    are orphaned; those with a `name:` of their own, external ones and bind mounts are kept.
    """

    name = "rename-project"
    summary = "`docker compose down`, the project directory renamed, then `up -d` in it"
    controls = FOLLOWS
    resets = True

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._projects: tuple[str, str] | None = None
        self._orphaned: frozenset[str] = frozenset()
        self._made: frozenset[str] = frozenset()

    @property
    def _follows(self) -> bool:
        return self._projects is not None and self._projects[0] != self._projects[1]

    def duties(self) -> Controls:
        return FOLLOWS if self._follows or self._projects is None else PINNED

    def apply(self, stack: Stack, during: During) -> None:
        project, own = stack.project, _names(stack)
        stack.down()
        stack.rename_directory()
        self._projects = (project, stack.project)
        self._orphaned, self._made = own - _names(stack), _names(stack) - own
        stack.up()

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RECREATED, volumes=dict.fromkeys(self._made, Change.NEW))

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if self._projects is None:
            case.problem("the project directory was not renamed")
        elif self._follows:
            case.fact(INSPECT, f"the project was {self._projects[0]}, and is {self._projects[1]} now")
        else:
            case.fact(INSPECT, "the project's name does not follow its directory: it is pinned")
        expected = self.expected(before)
        # Under another name Compose builds again, mostly from its cache.
        case.judge(Delta(expected.containers, dict(case.delta.images), expected.volumes))
        case.volumes(expected)
        for name in sorted(self._orphaned & set(after.volumes)):
            case.fact(INSPECT, f"volume {name}: still there, and no longer the project's")
        return case.proof()


def _names(stack: Stack) -> frozenset[str]:
    """The project's own volumes, by their names on the engine."""
    return frozenset(stack.volume(key) for key in own_volumes(stack.config))
