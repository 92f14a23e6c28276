"""`up -d` on a running stack: nothing of the stack may change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import Case, changed, idle
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

CONTROL = f"{CONTROL_SERVICE}-1"


class Up(Event):
    """The control container is taken away beforehand: that `up` makes it again proves that it ran."""

    name = "up"
    summary = "`docker compose up -d` on the running stack"
    controls = Controls(must_lose=None, must_keep=Store.NAMED)

    def prepare(self, stack: Stack) -> None:
        with engine_answers("removing the control container"):
            for container in stack.containers(stack.control.service):
                container.remove(force=True)

    def apply(self, stack: Stack, during: During) -> None:
        stack.up()

    def expected(self, before: EngineState) -> Delta:
        control = Change.RECREATED if CONTROL in before.containers else Change.NEW
        return changed(before, containers={**idle(before), CONTROL: control})

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected)
        case.volumes(expected)
        return case.proof()
