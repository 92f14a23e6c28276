"""What a history says of each step: its operations, looks, event and phases, with their times.

A look is one pass over the names of a path. Only its end is in the history; all paths are looked at together, so that
each look began when the record before the first of them was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.records import (
    Checkpointed,
    Completed,
    ControlsChecked,
    Entry,
    EventBegan,
    EventEnded,
    FoundElsewhere,
    Invoked,
    PathObserved,
    Phase,
    ScenarioEnded,
    StackPrepared,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
    StepFaulted,
    StepSkipped,
)

STEP_ENDS = (StepEnded, StepSkipped)


@dataclass(slots=True)
class Write:
    """An operation and how it ended; `end` is None where no answer is in the history."""

    operation: Operation
    start: float
    end: float | None = None
    outcome: Outcome | None = None
    detail: str = ""
    status: int | None = None


@dataclass(slots=True)
class Look:
    """One pass over a path; `records` are its parts, `start` and `end` seconds since the run began."""

    path: str
    phase: Phase
    method: str
    start: float
    end: float
    records: list[PathObserved] = field(default_factory=list)

    @property
    def names(self) -> int:
        return sum(len(record.observations) for record in self.records)

    @property
    def problem(self) -> str | None:
        return next((record.problem for record in self.records if record.problem), None)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with a name, and what it is made of."""

    title: str
    start: float
    end: float
    note: str = ""
    parts: tuple[Span, ...] = ()

    @property
    def seconds(self) -> float:
        return max(self.end - self.start, 0.0)


@dataclass(slots=True)
class Recorded:
    """Everything of one step; `entries` begin after the end of the step before it."""

    step: str
    entries: list[Entry]
    writes: list[Write] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    preparing: float | None = None
    brought_up: tuple[float, StackReady] | None = None
    began: float | None = None
    event_began: float | None = None
    checkpoint: float | None = None
    event_ended: tuple[float, EventEnded] | None = None
    ready_again: tuple[float, StackReadyAgain] | None = None
    controls: float | None = None
    fault: str | None = None
    elsewhere: list[FoundElsewhere] = field(default_factory=list)

    @property
    def start(self) -> float:
        """Where the step's picture begins: with the stack where it had to be brought up for it."""
        known = [
            self.preparing,
            self.brought_up and self.brought_up[0] - self.brought_up[1].seconds,
            self.began,
        ]
        times = [time for time in known if time is not None]
        return max(min(times), 0.0) if times else (self.entries[0].at if self.entries else 0.0)

    @property
    def end(self) -> float:
        return self.entries[-1].at if self.entries else 0.0

    @property
    def event_end(self) -> float | None:
        if self.event_ended:
            return self.event_ended[0]
        return self.end if self.event_began is not None else None

    def phases(self) -> list[Span]:
        """The step from its beginning to its end, in order, nested."""
        return [span for span in self._phases() if span.end >= span.start]

    def _phases(self) -> Iterator[Span]:
        if self.brought_up:
            at, ready = self.brought_up
            start = self.preparing if self.preparing is not None else at - ready.seconds
            up = Span("ready" if ready.ready else "not ready", max(at - ready.seconds, start), at)
            built = Span("images and containers", start, up.start)
            parts = (built, up) if built.seconds > 0.05 else (up,)
            yield Span("stack brought up from nothing", start, at, parts=parts)
        before = [look for look in self.looks if look.phase is Phase.BEFORE]
        after = [look for look in self.looks if look.phase is Phase.AFTER]
        if self.began is not None and self.writes:
            done = (
                before[0].start
                if before
                else max((w.end or w.start for w in self._written_first()), default=self.began)
            )
            yield Span("write", self.began, done, parts=tuple(_by_path(self._written_first())))
        if before:
            yield _looks("check what was written", before)
        if self.event_began is not None:
            yield self._event(self.event_began)
        if self.ready_again:
            at, again = self.ready_again
            yield Span(
                "ready again" if again.ready else "not ready again",
                max(at - again.seconds, 0),
                at,
                again.why or "",
            )
        if after:
            yield _looks("verify every name on every path", after)
        if self.controls is not None:
            since = max(look.end for look in after) if after else self.controls
            yield Span("ask the controls", since, self.controls)

    def _event(self, began: float) -> Span:
        end = self.event_end
        assert end is not None
        parts = []
        if self.event_ended:
            applied = min(began + self.event_ended[1].seconds, end)
            if self.checkpoint is not None and began < self.checkpoint < applied:
                parts += [
                    Span("up to the backup", began, self.checkpoint),
                    Span("from the backup on", self.checkpoint, applied),
                ]
            else:
                parts.append(Span("applied", began, applied))
            parts.append(Span("proof gathered", applied, end))
        during = [w for w in self.writes if w.start >= began]
        note = f"{len(during)} operations went on meanwhile" if during else ""
        return Span("event", began, end, note, tuple(parts))

    def _written_first(self) -> list[Write]:
        """What was written before the names were checked; a writer that goes on through the event comes later."""
        until = next((look.end for look in self.looks if look.phase is Phase.BEFORE), self.event_began)
        return [w for w in self.writes if until is None or w.start <= until]


def recorded_steps(entries: Iterable[Entry]) -> dict[str, Recorded]:
    """The steps of one scenario by their id, in their order."""
    return {step.step: step for step in map(_recorded, _grouped(entries)) if step.step}


def _grouped(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    group: list[Entry] = []
    for entry in entries:
        if isinstance(entry.record, ScenarioEnded):
            continue
        group.append(entry)
        if isinstance(entry.record, STEP_ENDS):
            yield group
            group = []
    if group:
        yield group


def _recorded(entries: list[Entry]) -> Recorded:
    step = Recorded(_name(entries), entries)
    open_writes: dict[int, Write] = {}
    for previous, entry in pairwise([entries[0], *entries]):
        at = entry.at
        match entry.record:
            case StackPrepared():
                step.preparing = at if step.preparing is None else step.preparing
            case StackReady() as ready:
                step.brought_up = at, ready
            case StepBegan():
                step.began = at
            case Invoked(operation):
                write = open_writes[operation.identity] = Write(operation, at)
                step.writes.append(write)
            case Completed() as completed if completed.operation in open_writes:
                write = open_writes[completed.operation]
                write.end, write.outcome = at, completed.outcome
                write.detail, write.status = completed.detail, completed.status
            case PathObserved() as observed:
                _add(step.looks, observed, previous.at, at)
            case EventBegan():
                step.event_began = at
            case Checkpointed():
                step.checkpoint = at
            case EventEnded() as ended:
                step.event_ended = at, ended
            case StackReadyAgain() as again:
                step.ready_again = at, again
            case ControlsChecked():
                step.controls = at
            case FoundElsewhere() as found:
                step.elsewhere.append(found)
            case StepFaulted() as faulted:
                step.fault = faulted.what
            case _:
                pass
    return step


def _add(looks: list[Look], observed: PathObserved, since: float, at: float) -> None:
    last = looks[-1] if looks else None
    if last and last.phase is observed.phase and since == last.end:
        since = last.start
    if last and (last.path, last.phase) == (observed.path, observed.phase):
        last.end = at
        last.records.append(observed)
    else:
        looks.append(Look(observed.path, observed.phase, observed.method, since, at, [observed]))


def _name(entries: Sequence[Entry]) -> str:
    """The step that a group of entries belongs to; empty where none has begun."""
    named = (StepBegan, StepEnded, StepSkipped, StepFaulted)
    return next((entry.record.step for entry in entries if isinstance(entry.record, named)), "")


def _looks(title: str, looks: Sequence[Look]) -> Span:
    parts = tuple(
        Span(look.path, look.start, look.end, f"{look.names} names, {look.method}") for look in looks
    )
    return Span(title, looks[0].start, looks[-1].end, parts=parts)


def _by_path(writes: Iterable[Write]) -> Iterator[Span]:
    paths: dict[str, list[Write]] = {}
    for write in writes:
        paths.setdefault(write.operation.path, []).append(write)
    for path, own in paths.items():
        end = max(write.end if write.end is not None else write.start for write in own)
        yield Span(f"through {path}", own[0].start, end, f"{len(own)} operations")
