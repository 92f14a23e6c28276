"""`disk-read-only`: the disks can be read but not written to for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Played, Proof
from persistence_tests.events.disk_event import DiskEvent, tell, unmet
from persistence_tests.events.evidence import INSPECT, Case, changed, unchanged
from persistence_tests.events.standstill import ended
from persistence_tests.events.waiting import wait_until
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.disks.station import Station
    from persistence_tests.stack.stack import Stack

REFUSED = "Read-only file system"
BUSY_SECONDS = 2.0
READ_ONLY = "while the disks were read-only"


class DiskReadOnly(DiskEvent):
    """The disks are remounted read-only, the write rules are played and every file is read, then they are remounted for
    writing, and the stack must go on without being started anew. Where the stack holds files open to write in them, as
    databases do, the kernel allows no remount: everything is written out, and the filesystem is made to give up
    writing, as ext4 does by itself where it meets an error. Only a fresh mount mends that, so that the containers are
    then killed and started again.
    """

    name = "disk-read-only"
    summary = "the disks become read-only while files are written and read; then they can be written to again"
    controls = Controls(must_lose=None, must_keep=Store.SYNCED)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._busy: str | None = None
        self._ended: frozenset[str] = frozenset()
        self._probes: list[Sequence[str]] = []
        self._refused: Sequence[Played] = ()
        self._afterwards: Sequence[Played] = ()
        self._not_looked_at: str | None = None

    def apply(self, stack: Stack, during: During) -> None:
        station = self.begin(stack)
        self._probes, self._ended = [], frozenset()
        with station.beside(self._token):
            self._make_read_only(stack, station)
            self._probes.append(station.probe())
            self._refused = during.write_rules()
            self._not_looked_at = during.look_if_ready()
            if self._busy is None:
                station.make_writable()
                self._probes.append(station.probe())
            else:
                self._ended = ended(stack)
                station.wait_free()
        self._held = station.read_controls(self._token)
        if self._busy is not None:
            stack.up()
        self._afterwards = during.write_again("the disks could be written to again")

    def _make_read_only(self, stack: Stack, station: Station) -> None:
        def remounted() -> bool:
            self._busy = station.make_read_only()
            return self._busy is None

        if not wait_until(remounted, BUSY_SECONDS):
            station.abort()

    def expected(self, before: EngineState) -> Delta:
        if self._busy is None:
            return unchanged(before)
        return changed(before, containers=Change.RESTARTED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if self._busy is None:
            case.left_alone()
        else:
            case.ended_and_started(self._ended)
        case.volumes(self.expected(before))
        self._judge_disks(case)
        tell(case, self._refused, READ_ONLY)
        if self._not_looked_at:
            case.fact(INSPECT, f"nothing was read {READ_ONLY}: {self._not_looked_at}")
        tell(case, self._afterwards, "after that")
        return case.proof(unmet(self._refused, READ_ONLY))

    def _judge_disks(self, case: Case) -> None:
        if len(self._probes) != (2 if self._busy is None else 1):
            case.problem("the disks were not made read-only and writable again")
            return
        if self._busy is not None and self.options.while_ == "writing":
            case.problem(
                "files were open, so that the disks were made to give up writing: what was acknowledged in that very "
                "moment may never have reached them; leave out `while: writing`"
            )
        how = "remounted read-only" if self._busy is None else "made to give up writing, as files were open"
        for place, store in enumerate(self._stores):
            said, *afterwards = (probes[place] for probes in self._probes)
            then = f", afterwards: {afterwards[0]}" if afterwards else "; mounted afresh afterwards"
            case.fact(INSPECT, f"disk of {store}: {how}; a write of ours was answered: {said}{then}")
            if said != REFUSED:
                case.problem(f"the disk of {store} was not read-only: a write was answered: {said}")
            if afterwards and afterwards[0] != "written":
                case.problem(f"the disk of {store} stayed as it was: a write was answered: {afterwards[0]}")
