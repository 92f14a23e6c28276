"""What befalls a whole Docker host, and of which only the restart policies bring the stack back: nobody calls `up`.

The engine's event stream breaks off with the engine, so that the proof rests on what the outer engine says of the
machine, on the engine's own processes, and on when each container was started.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import INSPECT, Case, changed
from persistence_tests.events.waiting import Incarnation, wait_until
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.machine.container import MachineState
    from persistence_tests.stack.stack import Stack

RESTART_SECONDS = 70.0  # the engine's delay doubles from 100 ms up to a minute
AUTOMATIC = ("always", "unless-stopped")


@dataclass(frozen=True, slots=True)
class Course:
    """A machine before the event, in its middle (where it is down then), and after it; and what its engine logged."""

    before: MachineState
    middle: MachineState | None
    after: MachineState
    log: str


class HostEvent(Event):
    """`happen` does it; the engine answers again when it returns."""

    controls = Controls(must_lose=Store.TMPFS, must_keep=Store.LAYER)
    isolations = ("machine",)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._course: Course | None = None
        self._policies: dict[str, str] = {}

    @abstractmethod
    def happen(self, stack: Stack) -> MachineState | None:
        """Do it; the machine's state in the middle, if it was down then."""

    @abstractmethod
    def judge(self, case: Case, course: Course) -> None:
        """Find the evidence that it happened to the machine."""

    def prepare(self, stack: Stack) -> None:
        super().prepare(stack)
        self._course = None

    def apply(self, stack: Stack, during: During) -> None:
        machine = stack.machine
        incarnations = [Incarnation(container) for container in stack.containers()]
        self._policies = {i.container.id or "": i.policy for i in incarnations}
        running = [i for i in incarnations if i.running and i.policy in AUTOMATIC]
        before = machine.state()
        middle = self.happen(stack)
        log = machine.log(before.said)
        self._course = Course(before, middle, machine.state(), log)
        wait_until(lambda: all(i.begun_again() or i.given_up() for i in running), RESTART_SECONDS)

    def expected(self, before: EngineState) -> Delta:
        running = {key: Change.RESTARTED for key, state in before.containers.items() if state.running}
        return changed(before, containers=running)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if self._course is None:
            case.problem(f"{self.name} did not come to its end")
            return case.proof()
        self.judge(case, self._course)
        expected = self.expected(before)
        # Of what did not come back the stack itself is to blame, if it had ended at all.
        stayed_down = {
            key: change
            for key, change in case.delta.containers.items()
            if change is Change.STOPPED and before.containers[key].service != CONTROL_SERVICE
        }
        case.compare(Delta(expected.containers | stayed_down, expected.images, expected.volumes))
        case.volumes(expected)
        for key, old in before.containers.items():
            self._tell(case, key, old.identity)
        case.out_of_memory()
        return case.proof()

    def _tell(self, case: Case, key: str, identity: str) -> None:
        who, old, new = case.who(key), case.before.containers[key], case.after.containers.get(key)
        if not old.running or new is None:
            return
        if new.running and new.started_at != old.started_at:
            case.fact(
                INSPECT,
                f"{who}: started {old.started_at}, again {new.started_at} (container {identity[:12]})",
            )
        elif not new.running:
            policy = self._policies.get(identity) or "none"
            case.fact(INSPECT, f"{who}: does not run any more (restart policy: {policy})")


def other_process(case: Case, course: Course, name: str) -> None:
    """Demands that a process of the engine is another one than before."""
    old = course.before.engine if name == "dockerd" else course.before.containerd
    new = course.after.engine if name == "dockerd" else course.after.containerd
    if old is None or new is None:
        case.problem(f"{name} did not run {'before' if old is None else 'after'} the event")
    elif old == new:
        case.problem(f"{name} is the process that it was before (number {old.number})")
    else:
        case.fact(INSPECT, f"{name}: process {old.number}, now {new.number}")


def same_boot(case: Case, course: Course) -> None:
    if course.before.boot != course.after.boot:
        case.problem("the machine itself was started again")


def other_boot(case: Case, course: Course, exit_code: int) -> None:
    """Demands that the machine ended with an exit code, and was started again after that."""
    middle = course.middle
    if middle is None or middle.running or middle.ended == course.before.ended:
        case.problem("the machine did not end")
    elif middle.exit_code != exit_code:
        case.problem(f"the machine ended with exit code {middle.exit_code}, not {exit_code}")
    else:
        case.fact(INSPECT, f"the machine ended with exit code {exit_code} at {middle.ended}")
    if course.after.boot == course.before.boot:
        case.problem("the machine was not started again")
    else:
        case.fact(INSPECT, f"the machine: started {course.before.boot}, again {course.after.boot}")


ORDERLY = "Processing signal 'terminated'"


def orderly_end(case: Case, course: Course, *, wanted: bool) -> None:
    """Demands that the engine was, or was not, asked to end."""
    if (ORDERLY in course.log) is not wanted:
        case.problem(
            "the engine was not asked to end" if wanted else "the engine was asked to end, and not killed"
        )
    elif wanted:
        case.fact(INSPECT, "the engine's log: it was asked to end, and stopped its containers")
