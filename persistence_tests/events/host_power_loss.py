"""`host-power-loss`: the power of a whole Docker host goes, its engine's data included, and comes back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from persistence_tests.events.cut import PowerCut
from persistence_tests.events.disk_event import station_of
from persistence_tests.events.evidence import Case
from persistence_tests.events.on_machine import Course, HostEvent, orderly_end, other_boot, other_process
from persistence_tests.events.waiting import wait_until

if TYPE_CHECKING:
    from persistence_tests.stack.machine.container import MachineState
    from persistence_tests.stack.stack import Stack

END_SECONDS = 30.0


class HostPowerLoss(HostEvent, PowerCut):
    """Everything that the engine has lies on one disk, which is written out once before the writes and then cut:
    volumes, writable layers, images, the engine's own records. What is in the workspace is not on it, and shows
    nothing. What is answered between the cut and the end of the machine counts as never answered, as everything does
    from the event's beginning on.
    """

    name = "host-power-loss"
    summary = (
        "the power of the whole Docker host goes: what had not reached its disk is lost, the engine's own records too; "
        "then it starts again, and restart policies bring the stack back"
    )
    controls = PowerCut.controls

    def describe(self) -> str:
        return f"{self.name}{self.spoken_cut()}"

    def before_writes(self, stack: Stack) -> None:
        stack.machine.sync()
        super().before_writes(stack)

    def happen(self, stack: Stack) -> MachineState | None:
        machine, station = stack.machine, station_of(stack)
        self._cuts = station.cut(journal=self.options.strict)
        machine.kill()
        wait_until(lambda: not machine.state().running, END_SECONDS)
        middle = machine.state()
        self._conditions, self._held = station.look_anew(self._token)
        machine.start()
        return middle

    def judge(self, case: Case, course: Course) -> None:
        self.judge_disks(case)
        other_boot(case, course, exit_code=128 + signal.SIGKILL)
        other_process(case, course, "dockerd")
        orderly_end(case, course, wanted=False)
