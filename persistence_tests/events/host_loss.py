"""`reboot` and `host-crash`: the whole Docker host ends and starts again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from persistence_tests.events.evidence import Case
from persistence_tests.events.on_machine import Course, HostEvent, orderly_end, other_boot, other_process

if TYPE_CHECKING:
    from persistence_tests.stack.machine.container import MachineState
    from persistence_tests.stack.stack import Stack


class Reboot(HostEvent):
    name = "reboot"
    summary = (
        "the Docker host is shut down in an orderly way and started again; restart policies bring the stack back, "
        "nobody calls `up`"
    )

    def happen(self, stack: Stack) -> MachineState | None:
        machine = stack.machine
        machine.stop()
        middle = machine.state()
        machine.start()
        return middle

    def judge(self, case: Case, course: Course) -> None:
        other_boot(case, course, exit_code=0)
        other_process(case, course, "dockerd")
        orderly_end(case, course, wanted=True)


class HostCrash(HostEvent):
    """What was written is in the memory of the host under the machine and stays there: nothing unsynced is lost."""

    name = "host-crash"
    summary = (
        "every process of the Docker host ends at once, the engine and all containers, and the host starts again; "
        "restart policies bring the stack back, nobody calls `up`"
    )

    def happen(self, stack: Stack) -> MachineState | None:
        machine = stack.machine
        machine.kill()
        middle = machine.state()
        machine.start()
        return middle

    def judge(self, case: Case, course: Course) -> None:
        other_boot(case, course, exit_code=128 + signal.SIGKILL)
        other_process(case, course, "dockerd")
        orderly_end(case, course, wanted=False)
