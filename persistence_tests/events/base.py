"""The protocol of an event: what is done to the stack between writing and verifying.

To add an event: one module with its options and its class, and one line in `events.EVENTS`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from persistence_tests.events.gate import After, Gate, While
from persistence_tests.model.operation import PromiseClass
from persistence_tests.model.records import ControlCheck, DataFate, Evidence
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.state import Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from None
    return value


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


@dataclass(frozen=True, slots=True)
class Controls:
    """Two writes of our own through the same event: one that must be lost, one that must be kept."""

    must_lose: Store | None
    must_keep: Store | None


class Options(BaseModel):
    """Options that every event takes."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    title: str | None = Field(None, min_length=1, description="What reports call the step.")
    while_: While | None = Field(
        None,
        alias="while",
        description="`writing` keeps the writers going until the event is over: it meets unfinished writes. `reading` "
        "has the files read all along, through every path but `volume`: what is cut off is no finding, a whole answer "
        "of success with other bytes is one.",
    )
    after: After | None = Field(
        None,
        description="What must have been observed before the event begins: with `while: writing` either "
        "`acknowledged`, a number of writes (5 by default), or `sent`, bytes of one upload, which then stands still "
        "until the event is over; with `while: reading` either `read`, a number of files (20 by default), or "
        "`received`, bytes.",
        examples=[{"sent": 65536}],
    )

    @model_validator(mode="after")
    def _gate_of_while(self) -> Options:
        if self.awaited is not None:
            gate = Gate.of("writing", self.awaited)
            if self.while_ is None:
                raise ValueError(f"`after` without `while`; add `while: {gate.belongs_to}`")
            if self.while_ != gate.belongs_to:
                raise ValueError(
                    f"`{gate.observed}` is observed of {gate.belongs_to}, not of {self.while_}; "
                    f"write `while: {gate.belongs_to}`, or another key in `after`"
                )
        return self

    @property
    def awaited(self) -> After | None:
        """What must have been observed, where the scenario says so."""
        return self.after

    @property
    def gate(self) -> Gate | None:
        """What the event waits for; None where nobody goes on meanwhile."""
        return Gate.of(self.while_, self.awaited) if self.while_ else None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a write rule that was played: how many writes of at least one byte were tried and acknowledged, and
    what was said of the last one that was not."""

    rule: str
    tried: int
    acknowledged: int
    said: str = ""


class During(Protocol):
    """What an event may ask of the run while it is being applied."""

    def checkpoint(self) -> None:
        """What is there now is what the event's end must bring back; then one more file is written."""
        ...

    def look(self) -> None:
        """Verify every name now, in the middle of the event, once the stack is ready.

        Does nothing while writers go on, who would change what is looked at. Raises StackError where the stack does
        not become ready.
        """
        ...

    def look_if_ready(self) -> str | None:
        """The same without waiting for it; why nothing was looked at, if so."""
        ...

    def write_rules(self) -> Sequence[Played]:
        """Play all write rules of the scenario once more, now."""
        ...

    def write_again(self, after: str) -> Sequence[Played]:
        """The same, until each rule has an acknowledged write. Where one has none in the time that the stack has to
        become ready, it counts as not ready again after the event; `after` says since when, "the disks were freed"."""
        ...

    def write(self, write: Callable[[str, bytes], None]) -> None:
        """Have one file written, acknowledged if `write` returns; it is given the file's name and its content."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """Facts of the engine that show that the event happened, and what is missing of them.

    `unmet` says why nobody met what happened, so that it shows nothing if everything is there.
    """

    evidence: tuple[Evidence, ...]
    problems: tuple[str, ...]
    unmet: tuple[str, ...] = ()


class Event(ABC):
    """One kind of event with its options.

    `resets` says that the stack is torn down after the step, because the event was one on the project
    or on its volumes. One `on_disks` is one on crash disks, and reaches nothing else. Of one that `cuts` the
    power, what is answered from its beginning on counts as never answered. `isolations` are those in which it can be
    had: some befall a whole Docker host. `own_commands` are the options that are commands of the stack's own.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    controls: ClassVar[Controls]
    promise: ClassVar[PromiseClass] = PromiseClass.PROCESS_CRASH
    resets: ClassVar[bool] = False
    on_disks: ClassVar[bool] = False
    cuts: ClassVar[bool] = False
    isolations: ClassVar[tuple[str, ...]] = ("override", "machine")
    own_commands: ClassVar[tuple[str, ...]] = ()

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def spread(cls, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The options of the steps that one entry of the scenario stands for, as the file has them: mostly one."""
        return [options]

    @property
    def gate(self) -> Gate | None:
        """What those who go on while it is applied must have come to before it begins."""
        gate: Gate | None = self.options.gate
        return gate

    @property
    def title(self) -> str:
        """The scenario's title, else the event with its options: "kill api (SIGKILL) while writing"."""
        return self.options.title or f"{self.describe()}{self._spoken_while()}"

    def describe(self) -> str:
        """The event with its own options, without what goes on meanwhile."""
        return self.name

    def _spoken_while(self) -> str:
        if not self.options.while_:
            return ""
        given = f", after {self.options.gate}" if self.options.awaited else ""
        return f" while {self.options.while_}{given}"

    def duties(self) -> Controls:
        """Its controls; of an event that can do several things, those of what it has done."""
        return self.controls

    def fate(self) -> DataFate:
        return DataFate.KEPT

    def removes(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        """Keys of the volumes that it removes; `config` is the resolved Compose configuration."""
        return ()

    def services(self) -> tuple[str, ...]:
        """Names of services that the options refer to, for the scenario's validation."""
        return ()

    def volumes(self) -> tuple[str, ...]:
        """Keys of volumes that the options refer to, for the scenario's validation."""
        return ()

    def media(self, declared: Media | None) -> Media | None:
        """The crash disks that the stack must lie on in its step, None for ordinary volumes.

        `declared` is what the scenario says of them. A volume that is removed leaves its disk as it is, which no
        ordinary volume does.
        """
        if self.on_disks:
            return declared or Media()
        return None if self.resets else declared

    def before_writes(self, stack: Stack) -> None:  # noqa: B027  most events need nothing then
        """Bring about what must be there before anything of the step is written."""

    def learn(self, stack: Stack) -> None:  # noqa: B027  most fates are known beforehand
        """Ask the stack, which is up, for what the event's fate and its controls depend on."""

    def prepare(self, stack: Stack) -> None:  # noqa: B027  most events need nothing before they are watched
        """Bring about what the event needs, before the engine is watched."""

    def control_checks(self) -> Sequence[ControlCheck]:
        """Of an event that has controls of its own, how they fared, once it is over."""
        return ()

    @abstractmethod
    def apply(self, stack: Stack, during: During) -> None:
        """Do it, and bring the stack's containers up again. Raises StackError where Compose fails."""

    @abstractmethod
    def expected(self, before: EngineState) -> Delta:
        """How the engine's state must have changed."""

    @abstractmethod
    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        """The evidence in the engine's event stream, and what should be there and is not.

        `came_up` is False where Compose said that a service did not start on which others depend: the event
        is then proven by what it ended; that it was not all started again is the stack's own doing.
        """
