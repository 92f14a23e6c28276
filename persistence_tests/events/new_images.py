"""What `rebuild` and `image-upgrade` share: other images, and other containers for whoever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, Event, Proof
from persistence_tests.events.configuration import remade_with, restarted_with, running_images_of
from persistence_tests.events.evidence import Case, changed, idle
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

BUILD_SECONDS = 1800.0


class NewImages(Event):
    """Which services run a new image is read from the configuration in `prepare`; the control service always does."""

    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._built: frozenset[str] = frozenset()
        self._remade: frozenset[str] = frozenset()
        self._restarted: frozenset[str] = frozenset()

    def _builds(self, stack: Stack, services: Sequence[str]) -> None:
        """Notes that the images of these services will be others."""
        self._built = running_images_of(stack.config, stack.project, (*services, stack.control.service))
        self._remade = remade_with(stack.config, self._built)
        self._restarted = restarted_with(stack.config, self._remade)

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
            case.problem(f"no service of the stack has a `build`, so that {self.name} changes nothing of it")
        expected = self.expected(before)
        case.judge(expected)
        case.images(expected)
        case.volumes(expected)
        return case.proof()
