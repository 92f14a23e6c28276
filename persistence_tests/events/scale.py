"""`up -d --scale`: a service to more replicas and back; each of them must show the same files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.events.evidence import CREATE, DESTROY, DIE, INSPECT, KILL, START, Case, changed, idle
from persistence_tests.stack.state import ContainerState, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class ScaleOptions(Options):
    service: str = Field(min_length=1, description="The service that gets more replicas.", examples=["api"])
    to: int = Field(
        2, ge=2, le=20, description="How many replicas it gets, before it goes back to what it had."
    )


class Scale(Event):
    """Every file is looked for while all replicas run (not so with `while: writing`), and again afterwards."""

    name = "scale"
    summary = "`docker compose up -d --scale` to more replicas of a service, and back"
    controls = Controls(must_lose=None, must_keep=Store.NAMED)

    Options: ClassVar[type[ScaleOptions]] = ScaleOptions
    options: ScaleOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._scaled: EngineState | None = None

    def describe(self) -> str:
        return f"scale {self.options.service} to {self.options.to} and back"

    def services(self) -> tuple[str, ...]:
        return (self.options.service,)

    def apply(self, stack: Stack, during: During) -> None:
        self._scaled = None
        had = len(self._replicas(stack.state()))
        if not 0 < had < self.options.to:
            return
        stack.up("--scale", f"{self.options.service}={self.options.to}")
        self._scaled = stack.state()
        during.look()
        stack.up("--scale", f"{self.options.service}={had}")

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=idle(before))

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected)
        case.volumes(expected)
        self._replicas_came_and_went(case)
        return case.proof()

    def _replicas_came_and_went(self, case: Case) -> None:
        service, wanted = self.options.service, self.options.to
        had = self._replicas(case.before)
        if len(had) >= wanted:
            case.problem(
                f"{service} had {len(had)} replicas already: write a larger number than that in `to`"
            )
            return
        scaled = self._replicas(self._scaled) if self._scaled else {}
        running = [key for key, state in scaled.items() if state.running]
        if len(running) != wanted:
            case.problem(f"{len(running)} replicas of {service} were running in the middle, not {wanted}")
            return
        case.fact(INSPECT, f"{service}: {', '.join(running)} were running in the middle")
        for key, state in scaled.items():
            if key not in had:
                case.follow(key, state.identity, (CREATE, START, KILL, DIE, DESTROY))

    def _replicas(self, state: EngineState) -> dict[str, ContainerState]:
        return {key: c for key, c in state.containers.items() if c.service == self.options.service}
