"""Options of events that act on some services of the stack."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from persistence_tests.events.base import Event, Options
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import EngineState

Name = Annotated[str, Field(min_length=1)]


class TargetOptions(Options):
    service: Name | Annotated[list[Name], Field(min_length=1)] | None = Field(
        None,
        description="The service that the event acts on, or a list of them; left out, all services.",
        examples=["api", ["api", "worker"]],
    )


class TargetedEvent(Event):
    """Acts on the services of its options, and on the control service with them."""

    Options: ClassVar[type[TargetOptions]] = TargetOptions
    options: TargetOptions

    def services(self) -> tuple[str, ...]:
        chosen = self.options.service
        if chosen is None:
            return ()
        return (chosen,) if isinstance(chosen, str) else tuple(dict.fromkeys(chosen))

    def reached(self, before: EngineState) -> dict[str, str]:
        """Running containers that the event acts on: "service-number" to identity on the engine."""
        names = {*self.services(), CONTROL_SERVICE}
        return {
            key: state.identity
            for key, state in before.containers.items()
            if state.running and (not self.services() or state.service in names)
        }

    def missed(self, before: EngineState) -> tuple[str, ...]:
        """What of the options had no running container to act on."""
        running = {state.service for state in before.containers.values() if state.running}
        if self.services():
            return tuple(name for name in self.services() if name not in running)
        return () if running - {CONTROL_SERVICE} else ("the stack",)

    def _spoken_target(self) -> str:
        return ", ".join(self.services()) or "all services"
