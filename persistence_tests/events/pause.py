"""`pause` and `unpause`: the processes stand still and go on, and nothing may have happened to the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.events.base import Controls, During, Proof
from persistence_tests.events.evidence import Case, Wanted, unchanged
from persistence_tests.events.target import TargetedEvent
from persistence_tests.stack.compose import ComposeFailed
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.state import Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

FREEZE_SECONDS = 60.0
POLL_SECONDS = 0.2
STANDSTILL = (Wanted("pause"), Wanted("unpause"))


class Pause(TargetedEvent):
    name = "pause"
    summary = "`docker compose pause` of one service or of all, then `unpause`"
    controls = Controls(must_lose=None, must_keep=Store.NAMED)

    def describe(self) -> str:
        return f"pause {self._spoken_target()}"

    def apply(self, stack: Stack, during: During) -> None:
        services = (*self.services(), stack.control.service) if self.services() else ()
        try:
            self._pause(stack, services)
        except StackError:
            thaw(stack)
            raise
        stack.compose.run("unpause", *services)

    def _pause(self, stack: Stack, services: Sequence[str]) -> None:
        """A busy machine does not always manage to freeze a container's processes: then once more."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

        Retrying(
            stop=stop_after_delay(FREEZE_SECONDS),
            wait=wait_fixed(POLL_SECONDS),
            retry=retry_if_exception(_not_frozen),
            before_sleep=lambda _: thaw(stack),
            reraise=True,
        )(stack.compose.run, "pause", *services)

    def expected(self, before: EngineState) -> Delta:
        return unchanged(before)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        for name in self.missed(before):
            case.problem(f"no container of {name} was running, so that there was nothing to pause")
        expected = self.expected(before)
        case.compare(expected)
        case.volumes(expected)
        reached = self.reached(before)
        for key, state in before.containers.items():
            if key in reached:
                case.follow(case.who(key), state.identity, STANDSTILL)
                case.untouched(case.who(key), state, but=[wanted.action for wanted in STANDSTILL])
            else:
                case.untouched(case.who(key), state)
        case.out_of_memory()
        return case.proof()


def _not_frozen(error: BaseException) -> bool:
    return isinstance(error, ComposeFailed) and "freeze" in error.what


def thaw(stack: Stack) -> None:
    """Let go on what a pause that failed has paused; Compose's own `unpause` ends at the first that it has not."""
    with engine_answers("unpausing containers"):
        for container in stack.containers():
            if container.status == "paused":
                container.unpause()
