"""What events on the stack's crash disks have in common."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Event, Played
from persistence_tests.events.evidence import INSPECT, Case
from persistence_tests.model.records import ControlCheck, Duty
from persistence_tests.stack.state import Store

if TYPE_CHECKING:
    from persistence_tests.stack.disks.station import Condition, Cut, Station
    from persistence_tests.stack.stack import Stack


class DiskEvent(Event):
    """`begin` before anything else of it; `_held` is what the controls held, a pair a store, once they were read."""

    on_disks = True
    isolations = ("override",)  # a machine has one disk, for all that it has

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._token = ""
        self._stores: tuple[str, ...] = ()
        self._held: list[tuple[str, str]] = []

    def begin(self, stack: Stack) -> Station:
        """A token for the controls of this step, and the station that has the disks."""
        station, self._token, self._held = station_of(stack), secrets.token_hex(8), []
        self._stores = tuple(stored.name for stored, _ in stack.laid.pairs) if stack.laid else ()
        return station

    def control_checks(self) -> Sequence[ControlCheck]:
        checks = []
        for store, (kept, lost) in zip(self._stores, self._held, strict=False):
            if self.controls.must_keep is Store.SYNCED:
                checks.append(_check(store, Store.SYNCED, Duty.MUST_KEEP, kept == "intact", kept))
            if self.controls.must_lose is Store.NEVER_SYNCED:
                # After the journal was written the name may be there; its bytes may not.
                behaved = lost in ("absent", "empty")
                checks.append(_check(store, Store.NEVER_SYNCED, Duty.MUST_LOSE, behaved, lost))
        return checks


def station_of(stack: Stack) -> Station:
    if stack.laid is None:
        raise ValueError("the stack does not lie on crash disks")
    return stack.laid.station


def _check(store: str, control: Store, duty: Duty, behaved: bool, held: str) -> ControlCheck:
    why = ""
    if not behaved and duty is Duty.MUST_LOSE and held == "intact":
        why = "; something on this machine wrote every filesystem out, or the cut came 30 s after the writes"
    return ControlCheck(control.value, duty, behaved, f"on the disk of {store}: {held}{why}")


def judge_cuts(
    case: Case, stores: Sequence[str], cuts: Sequence[Cut], conditions: Sequence[Condition], how: str
) -> None:
    """Demands that every disk was cut, then mounted by nobody, and not unmounted as if nothing was."""
    if not stores or len(cuts) != len(stores):
        case.problem("not every disk was cut")
    for store, cut in zip(stores, cuts, strict=False):
        case.fact(INSPECT, f"disk of {store}: FS_IOC_SHUTDOWN, {how}; a write was then answered: {cut.said}")
        if cut.said == "still writable":
            case.problem(f"the disk of {store} could still be written to after the cut")
    for store, condition in zip(stores, conditions, strict=False):
        case.fact(INSPECT, f"disk of {store}: mounted by nobody after the cut{_spoken_condition(condition)}")
        if condition.needs_recovery is False:
            case.problem(f"the disk of {store} was unmounted in an orderly way")
    if len(conditions) != len(cuts):
        case.problem("nobody saw that the disks were let go of before they were mounted again")


def _spoken_condition(condition: Condition) -> str:
    replay = ", its journal to be replayed" if condition.needs_recovery else ""
    return f"{replay} (mounted {condition.mounts} times before)" if condition.mounts is not None else replay


def tell(case: Case, played: Sequence[Played], when: str) -> None:
    """What came of the writes then, as a fact for each rule."""
    for each in played:
        said = f"; the last other answer: {each.said}" if each.said else ""
        case.fact(
            "meanwhile", f"{each.rule}: {each.acknowledged} of {each.tried} writes acknowledged {when}{said}"
        )


def unmet(played: Sequence[Played], when: str) -> tuple[str, ...]:
    """Why those writes show nothing, if each of them was acknowledged."""
    if any(each.acknowledged < each.tried for each in played):
        return ()
    return (f"no write of at least one byte was refused or left unanswered {when}: none has met it",)
