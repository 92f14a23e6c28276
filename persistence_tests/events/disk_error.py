"""`disk-error`: the disks answer errors while the stack runs, for good or for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from persistence_tests.events.base import Controls, During, Options, Played, Proof
from persistence_tests.events.disk_event import DiskEvent, judge_cuts, station_of, tell, unmet
from persistence_tests.events.evidence import INSPECT, Case, changed
from persistence_tests.events.standstill import ended
from persistence_tests.model.operation import PromiseClass
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.disks.station import Condition, Cut, Station
    from persistence_tests.stack.stack import Stack

WRITTEN = "written"
FAILING = "while the disks answered errors"
RECOVERED = "the disks took writes again"


class DiskErrorOptions(Options):
    passes: bool = Field(
        False,
        description="Only writes fail, and only for a while: then the stack must go on by itself, and what it "
        "acknowledges from then on must survive a power loss, be it that it tried to bring out once more what had "
        "failed before: the kernel reports a write that failed once, and forgets it. Without it both, in two steps.",
    )


class DiskError(DiskEvent):
    """FS_IOC_SHUTDOWN stops the disks while the stack runs: every call is answered with an error, and the write rules
    are played. What is acknowledged now is lost. Then everything is killed and started again on disks freshly mounted.

    One that `passes` has the disks in memory (as much of them as is used), so that the kernel's own writes to them can
    be made to fail: the rules are played, the disks take writes again, the rules are played until each has an
    acknowledged write, and the power goes.
    """

    name = "disk-error"
    summary = "the disks answer errors while files are written; then the stack starts again, or goes on"
    controls = Controls(must_lose=Store.NEVER_SYNCED, must_keep=Store.SYNCED)
    promise = PromiseClass.POWER_LOSS

    Options: ClassVar[type[DiskErrorOptions]] = DiskErrorOptions
    options: DiskErrorOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._ended: frozenset[str] = frozenset()
        self._cuts: list[Cut] = []
        self._conditions: list[Condition] = []
        self._probes: list[Sequence[str]] = []
        self._failed: Sequence[Played] = ()
        self._recovered: Sequence[Played] = ()

    @classmethod
    def spread(cls, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        if "passes" in options:
            return [options]
        title = options.get("title")
        return [
            {**options, "passes": False},
            {**options, "passes": True, **({"title": f"{title}, passing"} if title else {})},
        ]

    def describe(self) -> str:
        return "disk-error that passes, then power-loss" if self.options.passes else "disk-error"

    def media(self, declared: Media | None) -> Media | None:
        return replace(declared or Media(), thin=self.options.passes)

    def before_writes(self, stack: Stack) -> None:
        # Later would be too late: a sync of ours would bring to the disk what the stack has not synced.
        station = self.begin(stack)
        if self.options.passes:
            station.write_synced(self._token)
        else:
            station.write_controls(self._token)

    def prepare(self, stack: Stack) -> None:
        self._cuts, self._conditions, self._held = [], [], []
        self._probes, self._ended = [], frozenset()

    def apply(self, stack: Stack, during: During) -> None:
        station = station_of(stack)
        if self.options.passes:
            self._fail_for_a_while(station, during)
            station.write_never_synced(self._token)
            self._ended = ended(stack)  # as for a power loss: nothing is acknowledged after the cut
            self._cuts = station.cut()
        else:
            self._cuts = station.cut()
            self._failed = during.write_rules()
            self._ended = ended(stack)
        self._conditions, self._held = station.look_anew(self._token)
        stack.up()

    def _fail_for_a_while(self, station: Station, during: During) -> None:
        with station.failing():
            self._probes.append(station.probe_device())
            self._failed = during.write_rules()
        self._probes.append(station.probe_device())
        self._recovered = during.write_again(RECOVERED)

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RESTARTED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        case.ended_and_started(self._ended)
        case.volumes(self.expected(before))
        if self.options.passes:
            self._judge_probes(case)
        judge_cuts(case, self._stores, self._cuts, self._conditions, "nothing written out")
        tell(case, self._failed, FAILING)
        tell(case, self._recovered, f"once {RECOVERED}")
        return case.proof(unmet(self._failed, FAILING))

    def _judge_probes(self, case: Case) -> None:
        if len(self._probes) != 2:
            case.problem("the disks did not fail for a while")
            return
        for store, failing, afterwards in zip(self._stores, *self._probes, strict=True):
            case.fact(
                INSPECT,
                f"disk of {store}: a write past the page cache was answered: {failing}, then: {afterwards}",
            )
            if failing == WRITTEN:
                case.problem(f"the disk of {store} took writes all along")
            if afterwards != WRITTEN:
                case.problem(f"the disk of {store} did not take writes again: {afterwards}")
