"""`disk-full`: writes meet disks on which not one block, or not one inode, is left; then there is room again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from persistence_tests.events.base import Controls, During, Options, Played, Proof
from persistence_tests.events.disk_event import DiskEvent, tell, unmet
from persistence_tests.events.evidence import INSPECT, Case, unchanged
from persistence_tests.stack.state import Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.disks.station import Room
    from persistence_tests.stack.stack import Stack

FULL = "No space left on device"
KINDS: tuple[Literal["blocks", "inodes"], ...] = ("blocks", "inodes")
# What filesystems but ext4 keep back for their own records, so that nobody gets it. Of such a block xfs would make
# eight inodes.
OUT_OF_REACH = {"blocks": 64, "inodes": 8 * 64}


class DiskFullOptions(Options):
    of: Literal["blocks", "inodes"] = Field(
        "blocks",
        description="What there is no more of: room for bytes, or for files. Without it both, in two steps.",
    )


class DiskFull(DiskEvent):
    """The harness fills the disks beside the running stack with files that have no name, so that the stack does not
    see them. The write rules are played while nothing is left and once more when there is room again, which the stack
    must make use of without being started anew.
    """

    name = "disk-full"
    summary = (
        "the disks are full to the last block, or the last inode, while files are written; then they are not"
    )
    controls = Controls(must_lose=None, must_keep=Store.SYNCED)

    Options: ClassVar[type[DiskFullOptions]] = DiskFullOptions
    options: DiskFullOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._rooms: list[Sequence[Room]] = []
        self._probes: list[Sequence[str]] = []
        self._full: Sequence[Played] = ()
        self._freed: Sequence[Played] = ()
        self._not_looked_at: str | None = None

    @classmethod
    def spread(cls, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        if "of" in options:
            return [options]
        title = options.get("title")
        return [{**options, "of": kind, **({"title": f"{title}, {kind}"} if title else {})} for kind in KINDS]

    def describe(self) -> str:
        return f"{self.name}: {self.options.of}"

    def apply(self, stack: Stack, during: During) -> None:
        station = self.begin(stack)
        self._rooms, self._probes = [], []
        with station.beside(self._token):
            self._rooms.append(station.room())
            with station.filled(self.options.of):
                self._rooms.append(station.room())
                self._probes.append(station.probe())
                self._full = during.write_rules()
                self._not_looked_at = during.look_if_ready()
            self._rooms.append(station.room())
            self._probes.append(station.probe())
        self._freed = during.write_again("the disks had room again")
        self._held = station.read_controls(self._token)

    def expected(self, before: EngineState) -> Delta:
        return unchanged(before)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        case.left_alone()
        case.volumes(self.expected(before))
        self._judge_room(case)
        full = f"while the disks had no {self.options.of} left"
        tell(case, self._full, full)
        if self._not_looked_at:
            case.fact(INSPECT, f"nothing was read {full}: {self._not_looked_at}")
        tell(case, self._freed, "after that")
        return case.proof(unmet(self._full, full))

    def _judge_room(self, case: Case) -> None:
        kind = self.options.of
        if len(self._rooms) != 3 or len(self._probes) != 2:
            case.problem("the disks were not filled and freed")
            return
        for place, store in enumerate(self._stores):
            free, left, again = (getattr(rooms[place], kind) for rooms in self._rooms)
            said, afterwards = (probes[place] for probes in self._probes)
            case.fact(
                INSPECT,
                f"disk of {store}: {free} {kind} free, {left} when it was full, {again} afterwards; a write of ours "
                f"was answered: {said}, afterwards: {afterwards}",
            )
            if left > OUT_OF_REACH[kind] or said != FULL:
                case.problem(
                    f"the disk of {store} was not full: it had {left} {kind} left, and a write was answered: {said}"
                )
            if afterwards != "written":
                case.problem(f"the disk of {store} had no room again: a write was answered: {afterwards}")
