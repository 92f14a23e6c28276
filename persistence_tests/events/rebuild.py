"""`build --no-cache`, then `up -d`: other images, and other containers for whoever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.configuration import built, remade_with, restarted_with
from persistence_tests.events.evidence import Case, changed, idle
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

BUILD_SECONDS = 1800.0


class Rebuild(Event):
    """Which services are built is read from the configuration in `prepare`; the control service always is."""

    name = "rebuild"
    summary = "`docker compose build --no-cache`, then `up -d`"
    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._built: frozenset[str] = frozenset()
        self._remade: frozenset[str] = frozenset()
        self._restarted: frozenset[str] = frozenset()

    def prepare(self, stack: Stack) -> None:
        self._built = built(stack.config, stack.project) | {stack.control.service}
        self._remade = remade_with(stack.config, self._built)
        self._restarted = restarted_with(stack.config, self._remade)

    def apply(self, stack: Stack, during: During) -> None:
        stack.compose.run("build", "--no-cache", timeout=BUILD_SECONDS)
        stack.up()

    def expected(self, before: EngineState) -> Delta:
        def of(services: frozenset[str], change: Change) -> dict[str, Change]:
            return {key: change for key, state in before.containers.items() if state.service in services}

        return changed(
            before,
            containers=idle(before)
            | of(self._restarted, Change.RESTARTED)
            | of(self._remade, Change.RECREATED),
            images=of(self._built, Change.RECREATED),
        )

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if not self._built - {CONTROL_SERVICE}:
            case.problem("no service of the stack has a `build`, so that a rebuild changes nothing of it")
        expected = self.expected(before)
        case.judge(expected)
        case.images(expected)
        case.volumes(expected)
        return case.proof()
