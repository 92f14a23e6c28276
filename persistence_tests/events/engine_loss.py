"""`engine-restart` and `engine-kill`: the Docker engine ends and starts again, the host under it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence_tests.events.evidence import Case
from persistence_tests.events.on_machine import Course, HostEvent, orderly_end, other_process, same_boot
from persistence_tests.events.waiting import wait_until

if TYPE_CHECKING:
    from persistence_tests.stack.machine.container import Machine, MachineState
    from persistence_tests.stack.stack import Stack

END_SECONDS = 60.0


class _EngineEnds(HostEvent):
    """The machine's first process starts the engine again as soon as it has ended, as systemd does."""

    def _signal(self, machine: Machine, signal: str, *names: str) -> None:
        before = machine.state().engine
        machine.signal_engine(signal, *names)
        wait_until(lambda: (now := machine.state().engine) is not None and now != before, END_SECONDS)
        machine.wait_engine()


class EngineRestart(_EngineEnds):
    name = "engine-restart"
    summary = (
        "the Docker engine is stopped, with all containers, and started, as by `systemctl restart docker`; "
        "restart policies bring the stack back"
    )

    def happen(self, stack: Stack) -> MachineState | None:
        self._signal(stack.machine, "TERM", "dockerd")
        return None

    def judge(self, case: Case, course: Course) -> None:
        same_boot(case, course)
        other_process(case, course, "dockerd")
        orderly_end(case, course, wanted=True)


class EngineKill(_EngineEnds):
    name = "engine-kill"
    summary = (
        "dockerd and containerd get SIGKILL, and are started again; containers live on without them, until the engine "
        "ends what it finds and restart policies bring the stack back"
    )

    def happen(self, stack: Stack) -> MachineState | None:
        self._signal(stack.machine, "KILL", "dockerd", "containerd")
        return None

    def judge(self, case: Case, course: Course) -> None:
        same_boot(case, course)
        other_process(case, course, "dockerd")
        other_process(case, course, "containerd")
        orderly_end(case, course, wanted=False)
