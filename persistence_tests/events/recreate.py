"""`up --force-recreate`, and `down` with `up`: other containers, the same volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import Case, changed
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class _MadeAnew(Event):
    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RECREATED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected)
        case.volumes(expected)
        return case.proof()


class Recreate(_MadeAnew):
    name = "recreate"
    summary = "`docker compose up -d --force-recreate`"

    def apply(self, stack: Stack, during: During) -> None:
        stack.up("--force-recreate")


class DownUp(_MadeAnew):
    name = "down-up"
    summary = "`docker compose down`, then `up -d`"

    def apply(self, stack: Stack, during: During) -> None:
        stack.down()
        stack.up()
