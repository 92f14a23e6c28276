"""`restart`, and `stop` with `start`: the same containers, another start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import DIE, KILL, RESTART, START, STOP, Case, Wanted, changed
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class _StartedAgain(Event):
    controls = Controls(must_lose=Store.TMPFS, must_keep=Store.LAYER)
    ends: ClassVar[tuple[Wanted, ...]]
    begins: ClassVar[tuple[Wanted, ...]]

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RESTARTED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected, ends=self.ends, begins=self.begins)
        case.volumes(expected)
        return case.proof()


class Restart(_StartedAgain):
    name = "restart"
    summary = "`docker compose restart` of every service"
    ends = (KILL, DIE)
    begins = (START, RESTART)

    def apply(self, stack: Stack, during: During) -> None:
        stack.compose.run("restart")


class StopStart(_StartedAgain):
    name = "stop-start"
    summary = "`docker compose stop`, then `docker compose start`"
    ends = (KILL, DIE, STOP)
    begins = (START,)

    def apply(self, stack: Stack, during: During) -> None:
        stack.compose.run("stop")
        stack.compose.run("start")
