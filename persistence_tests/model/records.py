"""The records of a history, in the order in which a run writes them.

    RunBegan
      ScenarioBegan
        StackPrepared
        StackReady(epoch=1) AbsenceProbed… BaselineListed…
        StepBegan("up")
          Invoked/Completed…  PathObserved(before)…  StepEnded
        StepBegan("restart")
          Invoked/Completed…  PathObserved(before)…
          EventBegan  Checkpointed?  ReadMeanwhile…  EventEnded  StackChanged?  StackReadyAgain  ControlsChecked
          PathObserved(after)…  FoundElsewhere…
        StepEnded
        (after a step that was not kept, or an event on the volumes: StackReady(epoch=2) …, all names begin anew)
      ScenarioEnded
    RunEnded

What belongs to a step stands between its StepBegan and its StepEnded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from persistence_tests.model.finding import KnownLoss
from persistence_tests.model.observation import Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Also,
    Operation,
    OperationKind,
    Outcome,
    PromiseClass,
)


class Phase(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class DataFate(StrEnum):
    """What an event does to the names written before it: the promise that is judged."""

    KEPT = "kept"
    DESTROYED = "destroyed"  # the names are gone, the expected directories are back
    RESTORED = "restored"  # the names are as at the last checkpoint


class Duty(StrEnum):
    MUST_LOSE = "must-lose"
    MUST_KEEP = "must-keep"


@dataclass(frozen=True, slots=True)
class RunBegan:
    run: str
    seed: int
    version: str
    started: str  # ISO 8601, UTC
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class PathDeclared:
    """`stored`: the path reads the bytes where they are kept (volume, direct), not through a server.

    `lists`: an observation holds every name there is, so that an unexpected one is seen. `while_down`: the
    path can be read while no container runs (volume). `refers`: it shows no files, but rows that refer to them.
    """

    name: str
    kind: str
    stored: bool
    lists: bool
    while_down: bool
    root: str
    detail: dict[str, str] = field(default_factory=dict)
    refers: bool = False


@dataclass(frozen=True, slots=True)
class RuleDeclared:
    """A write rule of the scenario; `index` is its place in the list.

    Of each of its `operations` one must be seen right in each step; where none is named, one of any kind. `also`
    is what it writes besides files with bytes. `rows`: whatever it writes has a row that refers to it.
    """

    index: int
    through: str
    acknowledgement: Acknowledgement
    title: str
    operations: tuple[OperationKind, ...] = ()
    also: tuple[Also, ...] = ()
    rows: bool = False


@dataclass(frozen=True, slots=True)
class StepPlanned:
    """A step to come, with the line of the scenario file that asks for it (0 where none does).

    `entry` is the place in the file's list of the event that it comes from, from 0: several steps may come from one.
    """

    step: str
    event: str
    title: str
    line: int = 0
    column: int = 0
    text: str = ""
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the stack's documentation and the part of the scenario that shows it.

    `shown_by` is a step ("kill"), a path ("proxy"), "writes", "directories" or "mode".
    """

    text: str
    shown_by: str


@dataclass(frozen=True, slots=True)
class ScenarioBegan:
    """`left_out`, in words, is what of the scenario this run was not asked for."""

    name: str
    source: str
    sha256: str
    paths: tuple[PathDeclared, ...]
    rules: tuple[RuleDeclared, ...]
    promised: tuple[PromiseClass, ...]
    directories: tuple[str, ...]
    directory_mode: str | None
    ignore: tuple[str, ...]
    steps: tuple[StepPlanned, ...]
    claims: tuple[Claim, ...] = ()
    left_out: tuple[str, ...] = ()
    known: tuple[KnownLoss, ...] = ()


@dataclass(frozen=True, slots=True)
class StackPrepared:
    """`original` and `isolated` are the resolved Compose configurations, secrets redacted.

    Recorded again after the build where the images changed it: they declare volumes of their own.
    """

    project: str
    isolation: str
    engine: dict[str, str]
    original: dict[str, Any]
    isolated: dict[str, Any]
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StackReady:
    """The stack was brought up from nothing; every name of an earlier epoch is forgotten."""

    epoch: int
    ready: bool
    seconds: float
    why: str | None = None
    images: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, list[dict[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AbsenceProbed:
    """A name never written was asked for; `shows_absence` is false where the answer was a 2xx."""

    path: str
    shows_absence: bool
    detail: str


@dataclass(frozen=True, slots=True)
class BaselineListed:
    """What was there when the stack became ready, before anything was written; of rows, those without their file."""

    path: str
    names: tuple[str, ...]
    directories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepBegan:
    step: str
    event: str
    title: str
    promise: PromiseClass
    fate: DataFate
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invoked:
    operation: Operation


@dataclass(frozen=True, slots=True)
class Completed:
    """`name` is where the stack keeps the file of a provisional operation, if its answer says so."""

    operation: int
    outcome: Outcome
    detail: str = ""
    status: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class EventBegan:
    """`cuts` says that whatever is answered from now on counts as never answered: the power is about to go."""

    step: str
    cuts: bool = False


@dataclass(frozen=True, slots=True)
class ReadMeanwhile:
    """What those were answered who read the files of one path while an event was applied.

    `right` counts whole files with the bytes that they must have, `absent` answers that there is none, `failed` all
    that says nothing: refused, cut off, an error. `others` has, for each name that was answered so, the first answer
    of success that surely was whole and had other bytes.
    """

    step: str
    path: str
    right: int
    absent: int
    failed: int
    others: dict[str, Observation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """The state of every name here is what a `RESTORED` event must bring back."""

    step: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact of the engine: from its event stream (`stream`) or by inspection (`inspect`)."""

    source: str
    fact: str


@dataclass(frozen=True, slots=True)
class EventEnded:
    """`landed` only if the engine itself proves it; `problems` says what was missing or not expected.

    `remade` are the stack's services that have another container than before, None where that is not known;
    `destroyed` the volumes, by their keys in the Compose file, that the engine destroyed, be they made again. `unmet`
    says why nobody met what happened, so that it shows nothing if everything is there.
    """

    step: str
    landed: bool
    seconds: float
    proof: tuple[Evidence, ...]
    problems: tuple[str, ...] = ()
    remade: tuple[str, ...] | None = None
    destroyed: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StackChanged:
    """The event made the Compose files or the project others; they stay so until the next StackReady.

    `original` as in StackPrepared, `mounts` as in StackReady.
    """

    step: str
    project: str
    original: dict[str, Any]
    changes: tuple[str, ...]
    mounts: dict[str, list[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class StackReadyAgain:
    step: str
    ready: bool
    seconds: float
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ControlCheck:
    store: str
    duty: Duty
    behaved: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ControlsChecked:
    step: str
    expected: tuple[Duty, ...]
    checks: tuple[ControlCheck, ...]


@dataclass(frozen=True, slots=True)
class PathObserved:
    """One pass, or a part of one, over the names of a path.

    `asked` are the names that the pass was asked for; `observations` holds each of them, and every
    other name that it saw where the path lists; of rows, those of which no stored path has the file. `directories`
    likewise.
    """

    step: str
    phase: Phase
    path: str
    method: str
    observations: dict[str, Observation]
    directories: dict[str, Observation] = field(default_factory=dict)
    problem: str | None = None  # why the pass as a whole could not be made


@dataclass(frozen=True, slots=True)
class FoundElsewhere:
    """The bytes of a name that is gone from its place were seen on another volume."""

    step: str
    name: str
    volume: str


@dataclass(frozen=True, slots=True)
class StepSkipped:
    step: str
    event: str
    reason: str
    enable: str


@dataclass(frozen=True, slots=True)
class StepFaulted:
    """The harness itself, or the engine under it, failed in this step."""

    step: str
    what: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    step: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StackKept:
    """A stack that was left running for somebody to look at; `engine` is its URL, None for the usual one.

    `workspace` is the copy of the project that it runs in, `volumes` are names on the engine, `compose` is the
    command that is Compose on this machine.
    """

    project: str
    engine: str | None
    workspace: str
    services: tuple[str, ...]
    volumes: tuple[str, ...]
    compose: tuple[str, ...] = ("docker", "compose")


@dataclass(frozen=True, slots=True)
class ScenarioEnded:
    name: str
    kept: StackKept | None = None


@dataclass(frozen=True, slots=True)
class RunEnded:
    complete: bool
    why: str | None = None


RECORD_TYPES: tuple[type, ...] = (
    RunBegan, ScenarioBegan, StackPrepared, StackReady, AbsenceProbed, BaselineListed, StepBegan, Invoked,
    Completed, EventBegan, Checkpointed, EventEnded, StackChanged, StackReadyAgain, ControlsChecked, PathObserved,
    FoundElsewhere, ReadMeanwhile, StepSkipped, StepFaulted, StepEnded, ScenarioEnded, RunEnded,
)  # fmt: skip

Record = (
    RunBegan | ScenarioBegan | StackPrepared | StackReady | AbsenceProbed | BaselineListed | StepBegan
    | Invoked | Completed | EventBegan | Checkpointed | EventEnded | StackChanged | StackReadyAgain | ControlsChecked
    | PathObserved | FoundElsewhere | ReadMeanwhile | StepSkipped | StepFaulted | StepEnded | ScenarioEnded | RunEnded
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with its place: `at` is in seconds since the run began; `scenario` is None for the run's own."""

    at: float
    scenario: str | None
    record: Record
