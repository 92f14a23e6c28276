"""What cuts of the power share: the disks of the stack, cut by their station, and two files on each that show it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, model_validator

from persistence_tests.duration import Duration
from persistence_tests.events.base import Controls, Options
from persistence_tests.events.disk_event import DiskEvent, judge_cuts
from persistence_tests.events.evidence import Case
from persistence_tests.events.gate import After
from persistence_tests.model.operation import PromiseClass
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.state import Store

if TYPE_CHECKING:
    from persistence_tests.stack.disks.station import Condition, Cut
    from persistence_tests.stack.stack import Stack

LONGEST_IDLE = 20.0


def _short_enough(seconds: float) -> float:
    if seconds > LONGEST_IDLE:
        raise ValueError(
            f"the kernel writes everything out after some 30 s, so that a later cut proves nothing; "
            f"write at most {LONGEST_IDLE:g}s"
        )
    return seconds


class CutOptions(Options):
    after: After | Annotated[Duration, AfterValidator(_short_enough)] | None = Field(  # type: ignore[assignment]
        None,
        description="How long nothing is done between the writes and the cut, such as `7s`: what is half on its way "
        "to the disk then differs, as ext4 writes its journal every 5 s. With `while: writing`, what must have been "
        "observed.",
        examples=["7s", {"acknowledged": 20}],
    )
    noauto_da_alloc: bool = Field(
        False,
        description="Without ext4's habit of writing the bytes of a file before it is renamed over another: what the "
        "stack would meet on other filesystems.",
    )
    strict: bool = Field(
        False,
        description="The journal still reaches the disk, the bytes do not: names are there whose bytes are not.",
    )

    @model_validator(mode="after")
    def _waits_or_writes(self) -> CutOptions:
        if self.idle and self.while_ is not None:
            raise ValueError("`after` a time nobody goes on meanwhile; remove `while`, or the time")
        return self

    @property
    def awaited(self) -> After | None:
        return self.after if isinstance(self.after, After) else None

    @property
    def idle(self) -> float:
        """Seconds."""
        return self.after if isinstance(self.after, float) else 0.0


class PowerCut(DiskEvent):
    """Whoever applies it has the station cut the disks, and notes what it answers."""

    controls = Controls(must_lose=Store.NEVER_SYNCED, must_keep=Store.SYNCED)
    promise = PromiseClass.POWER_LOSS
    cuts = True

    Options: ClassVar[type[CutOptions]] = CutOptions
    options: CutOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._cuts: list[Cut] = []
        self._conditions: list[Condition] = []

    def media(self, declared: Media | None) -> Media | None:
        media = declared or Media()
        return replace(media, noauto_da_alloc=media.noauto_da_alloc or self.options.noauto_da_alloc)

    def before_writes(self, stack: Stack) -> None:
        # Later would be too late: a sync of ours would bring to the disk what the stack has not synced.
        self.begin(stack).write_controls(self._token)

    def prepare(self, stack: Stack) -> None:
        super().prepare(stack)
        self._cuts, self._conditions, self._held = [], [], []
        time.sleep(self.options.idle)

    def judge_disks(self, case: Case) -> None:
        """Demands that every disk was cut, and that nobody had it any more before it was mounted again."""
        how = "journal written out" if self.options.strict else "nothing written out"
        judge_cuts(case, self._stores, self._cuts, self._conditions, how)

    def spoken_cut(self) -> str:
        """What is chosen of the cut itself, to follow the event's name."""
        options = self.options
        return spoken(
            {"after": options.idle, "noauto_da_alloc": options.noauto_da_alloc, "strict": options.strict}
        )


def spoken(variant: Mapping[str, Any]) -> str:
    after = variant.get("after")
    said = [
        f" after {after:g} s idle"
        if isinstance(after, float) and after
        else f" after {after} idle"
        if after
        else "",
        ", noauto_da_alloc" if variant.get("noauto_da_alloc") else "",
        ", strict" if variant.get("strict") else "",
    ]
    return "".join(said)
