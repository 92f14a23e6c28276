"""The protocol of an event: what is done to the stack between writing and verifying.

To add an event: one module with its options and its class, and one line in `events.EVENTS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from persistence_tests.model.operation import PromiseClass
from persistence_tests.model.records import DataFate, Evidence
from persistence_tests.stack.state import Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Controls:
    """Two writes of our own through the same event: one that must be lost, one that must be kept."""

    must_lose: Store | None
    must_keep: Store | None


class Options(BaseModel):
    """Options that every event takes. `while: writing` keeps the writers going until the event is over."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    title: str | None = Field(None, min_length=1, description="What reports call the step.")


class During(Protocol):
    """What an event may ask of the run while it is being applied."""

    def checkpoint(self) -> None:
        """What is there now is what the event's end must bring back; then one more file is written."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """Facts of the engine that show that the event happened, and what is missing of them."""

    evidence: tuple[Evidence, ...]
    problems: tuple[str, ...]


class Event(ABC):
    """One kind of event with its options.

    `resets` says that the stack is torn down after the step, because the event was one on the project
    or on its volumes.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    controls: ClassVar[Controls]
    promise: ClassVar[PromiseClass] = PromiseClass.PROCESS_CRASH
    resets: ClassVar[bool] = False

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def title(self) -> str:
        """The scenario's title, else the event with its options: "kill api (SIGKILL) while writing"."""
        return self.options.title or self.describe()

    def describe(self) -> str:
        return self.name

    @property
    def during(self) -> Literal["writing"] | None:
        """Whether the writers go on while the event is applied."""
        return None

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

    def prepare(self, stack: Stack) -> None:  # noqa: B027  most events need nothing before they are watched
        """Bring about what the event needs, before the engine is watched."""

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
