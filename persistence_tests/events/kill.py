"""`kill`: a signal through the engine, so that no restart policy acts, then `up -d`."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from persistence_tests.events.base import Controls, During, Proof
from persistence_tests.events.evidence import START, Case, Wanted, changed, idle, signal_number
from persistence_tests.events.target import TargetedEvent, TargetOptions
from persistence_tests.events.waiting import Incarnation, incarnations, wait_until
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

SLACK_SECONDS = 2.0
MOST_SECONDS = 600.0


class KillOptions(TargetOptions):
    signal: str = Field(
        "SIGKILL",
        description="The signal: a name with or without SIG, or a number. A main process that outlives it "
        "was not killed: the step is then inconclusive.",
        examples=["SIGKILL", "SIGTERM"],
    )

    @field_validator("signal", mode="before")
    @classmethod
    def _known_signal(cls, value: Any) -> str:
        number = signal_number(str(value))
        if isinstance(value, bool) or number not in {member.value for member in signal.Signals}:
            raise ValueError(f"{value} is no signal")
        return signal.Signals(number).name


class Kill(TargetedEvent):
    name = "kill"
    summary = "`docker compose kill` of one service or of all, then `up -d`"
    controls = Controls(must_lose=Store.TMPFS, must_keep=Store.LAYER)

    Options: ClassVar[type[KillOptions]] = KillOptions
    options: KillOptions

    def describe(self) -> str:
        return f"kill {self._spoken_target()} ({self.options.signal})"

    def apply(self, stack: Stack, during: During) -> None:
        services = (*self.services(), stack.control.service) if self.services() else ()
        victims = incarnations(stack, services or (*stack.services(), stack.control.service))
        stack.compose.run("kill", "-s", self.options.signal, *services)
        # Compose does not wait for a process that is slow to end, and `up` would take it for running.
        began = time.monotonic()

        def over(victim: Incarnation) -> bool:
            return victim.ended() or time.monotonic() - began > self._patience(victim)

        for victim in victims:
            wait_until(partial(over, victim), MOST_SECONDS)
        stack.up()

    def _patience(self, victim: Incarnation) -> float:
        return SLACK_SECONDS + (0.0 if self.options.signal == "SIGKILL" else victim.grace)

    def expected(self, before: EngineState) -> Delta:
        return changed(
            before, containers={**idle(before), **dict.fromkeys(self.reached(before), Change.RESTARTED)}
        )

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        number = signal.Signals[self.options.signal].value
        died = Wanted("die", exit_code=128 + number if number == signal.SIGKILL else None)
        case = Case(before, after, seen, came_up)
        for name in self.missed(before):
            case.problem(f"no container of {name} was running, so that there was nothing to kill")
        expected = self.expected(before)
        case.judge(expected, ends=(Wanted("kill", signal=number), died), begins=(START,))
        case.volumes(expected)
        for key, identity in self.reached(before).items():
            self._only_this_signal(case, case.who(key), identity, number)
        return case.proof()

    def _only_this_signal(self, case: Case, who: str, identity: str, number: int) -> None:
        sent = False
        for event in case.container_events(identity):
            if event.action == "die":
                return
            if event.action == "kill":
                sent = True
                if signal_number(event.attributes.get("signal", "")) != number:
                    case.problem(f"{who} was sent another signal than {self.options.signal} before it died")
        if sent:
            case.problem(f"{who} outlived {self.options.signal}: its main process did not end")
