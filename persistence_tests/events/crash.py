"""`crash`: the main process dies by itself, as the engine sees it; the restart policy must act."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Proof
from persistence_tests.events.evidence import INSPECT, START, Case, Wanted, changed
from persistence_tests.events.target import TargetedEvent
from persistence_tests.events.waiting import Incarnation, incarnations, wait_until
from persistence_tests.stack.state import Change, ContainerState, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

DEATH_SECONDS = 5.0
RESTART_SECONDS = 70.0  # the engine's delay doubles from 100 ms up to a minute
EXIT_CODE = 128 + signal.SIGKILL


class Crash(TargetedEvent):
    name = "crash"
    summary = "the main process dies, and the restart policy brings it back"
    controls = Controls(must_lose=Store.TMPFS, must_keep=Store.LAYER)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._without_policy: frozenset[str] = frozenset()

    def describe(self) -> str:
        return f"crash {self._spoken_target()}"

    def prepare(self, stack: Stack) -> None:
        victims = self._victims(stack)
        self._without_policy = frozenset(v.container.id or "" for v in victims if not v.policy)

    def apply(self, stack: Stack, during: During) -> None:
        victims = self._victims(stack)
        for victim in victims:
            stack.signal_main_process(victim.container, "SIGKILL")
        if not wait_until(lambda: all(victim.ended() for victim in victims), DEATH_SECONDS):
            return
        wait_until(lambda: all(v.begun_again() or v.given_up() for v in victims), RESTART_SECONDS)
        if not all(victim.begun_again() for victim in victims):
            stack.up()

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=dict.fromkeys(self.reached(before), Change.RESTARTED))

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        for name in self.missed(before):
            case.problem(f"no container of {name} was running, so that there was nothing to crash")
        expected = self.expected(before)
        case.judge(expected, ends=(Wanted("die", exit_code=EXIT_CODE),), begins=(START,), own_death=True)
        case.volumes(expected)
        for key in self.reached(before):
            self._policy_acted(case, before.containers[key], after.containers.get(key))
        return case.proof()

    def _policy_acted(self, case: Case, old: ContainerState, new: ContainerState | None) -> None:
        who = case.who(f"{old.service}-{old.number}")
        if old.identity in self._without_policy:
            case.problem(
                f"{who} has no restart policy, so that nothing brings it back when its main process dies "
                f"(give it `restart: always` or `unless-stopped`, or use `kill`)"
            )
            return
        if new is None or new.identity != old.identity:
            return
        deaths = sum(event.action == "die" for event in case.container_events(old.identity))
        if new.restart_count == old.restart_count or new.restart_count != old.restart_count + deaths:
            case.problem(
                f"the restart policy of {who} did not bring it back: it ended {deaths} times, "
                f"and RestartCount went from {old.restart_count} to {new.restart_count}"
            )
        else:
            case.fact(INSPECT, f"{who}: RestartCount {old.restart_count}, now {new.restart_count}")

    def _victims(self, stack: Stack) -> list[Incarnation]:
        chosen = self.services() or stack.services()
        return incarnations(stack, (*chosen, stack.control.service))
