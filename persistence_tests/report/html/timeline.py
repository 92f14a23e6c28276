"""The swim lanes of a step: marks on lanes, in per cent of the step's time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import Phase
from persistence_tests.report.html.recorded import Look, Recorded, Write

FACT = re.compile(r"(?P<who>[^:]+): (?P<done>.+) \(container [0-9a-f]+\)")
ENDS = ("die", "destroy")
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
TICKS_WANTED = 7
NARROWEST = 0.05  # nothing is drawn of a width of zero
CONTROL = "persistence-control"


@dataclass(frozen=True, slots=True)
class Mark:
    """`x` and `width` in per cent of the lane; `look` is the class that gives it its colour."""

    x: float
    width: float
    look: str
    title: str
    text: str = ""


@dataclass(slots=True)
class Lane:
    label: str
    note: str
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """`windows` lie behind all lanes. `left_out` operations are not drawn."""

    seconds: float
    lanes: list[Lane]
    windows: list[Mark]
    ticks: list[Tick]
    left_out: int


class _Scale:
    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.seconds = max(end - start, 1e-3)

    def x(self, at: float) -> float:
        return round(min(max((at - self.start) / self.seconds, 0.0), 1.0) * 100, 3)

    def mark(self, start: float, end: float, look: str, title: str, text: str = "") -> Mark:
        x = min(self.x(start), 100 - NARROWEST)
        return Mark(x, round(max(self.x(end) - x, NARROWEST), 3), look, title, text)


def timeline(step: Recorded, services: Sequence[str], wrong: Mapping[str, int], most: int) -> Timeline:
    """`services` are the containers by service; `wrong` how many names of each path were wrong after the event.

    At most `most` operations are drawn: those without a good answer first.
    """
    scale = _Scale(step.start, step.end)
    drawn = _drawn(step.writes, most)
    lanes = [Lane("phases", "", list(_phases(step, scale)))]
    lanes += _writes(drawn, step, scale)
    lanes += [Lane(service, "runs", list(_container(step, service, scale))) for service in services]
    lanes.append(Lane("readiness", "", list(_readiness(step, scale))))
    lanes += _looks(step.looks, wrong, scale)
    windows = []
    if step.event_began is not None and step.event_end is not None:
        windows.append(scale.mark(step.event_began, step.event_end, "event", "the event"))
    return Timeline(
        seconds=scale.seconds,
        lanes=[lane for lane in lanes if lane.marks],
        windows=windows,
        ticks=_ticks(scale.seconds),
        left_out=len(step.writes) - len(drawn),
    )


def _drawn(writes: Sequence[Write], most: int) -> Sequence[Write]:
    if len(writes) <= most:
        return writes
    first = sorted(range(len(writes)), key=lambda n: (writes[n].outcome is Outcome.OK, n))[: max(most, 0)]
    return [writes[n] for n in sorted(first)]


def _phases(step: Recorded, scale: _Scale) -> Iterator[Mark]:
    for number, phase in enumerate(step.phases()):
        look = "phase-event" if phase.title == "event" else f"phase-{number % 2}"
        yield scale.mark(phase.start, phase.end, look, f"{phase.title}: {phase.seconds:.2f} s", phase.title)


def _writes(writes: Iterable[Write], step: Recorded, scale: _Scale) -> list[Lane]:
    lanes: dict[str, Lane] = {}
    for write in writes:
        operation = write.operation
        lane = lanes.setdefault(operation.path, Lane(operation.path, "writes"))
        ended = step.end if write.end is None else write.end
        outcome = write.outcome.value if write.outcome else "open"
        lane.marks.append(scale.mark(write.start, ended, f"op-{outcome}", _told(write)))
    for lane in lanes.values():
        # What was not acknowledged lies on top.
        lane.marks.sort(key=lambda mark: mark.look != "op-ok")
    return list(lanes.values())


def _told(write: Write) -> str:
    operation = write.operation
    size = f", {operation.payload.size} bytes" if operation.payload else ""
    answer = write.outcome.value if write.outcome else "no answer"
    took = f" after {(write.end - write.start) * 1000:.0f} ms" if write.end is not None else ""
    status = f", {write.status}" if write.status else ""
    detail = f": {write.detail}" if write.detail else ""
    return f"{operation.identity} {operation.kind} {operation.name}{size} · {answer}{took}{status}{detail}"


def _container(step: Recorded, service: str, scale: _Scale) -> Iterator[Mark]:
    """Running until it dies, away until it starts: the order is the engine's, the places within the event are not."""
    begin = step.brought_up[0] if step.brought_up else step.start
    if step.event_began is None or step.event_ended is None:
        yield scale.mark(begin, step.end, "running", f"{service}: running")
        return
    start, end = step.event_began, step.event_ended[0]
    doings = [d for fact in step.event_ended[1].proof for d in _doings(fact.fact, service)]
    running: float | None = begin
    for number, doing in enumerate(doings, start=1):
        at = start + (end - start) * number / (len(doings) + 1)
        word = doing.split(" ", 1)[0]
        if running is not None and word in ENDS:
            yield scale.mark(running, at, "running", f"{service}: running")
            running = None
        elif running is None and word == "start":
            running = at
    if running is not None:
        yield scale.mark(running, step.end, "running", f"{service}: running")
    for number, doing in enumerate(doings, start=1):
        at = start + (end - start) * number / (len(doings) + 1)
        look = "doing-end" if doing.split(" ", 1)[0] in {*ENDS, "kill", "stop"} else "doing"
        yield scale.mark(at, at, look, f"{service}: {doing}")


def _doings(fact: str, service: str) -> list[str]:
    found = FACT.fullmatch(fact)
    return found["done"].split(", ") if found and found["who"] == service else []


def _readiness(step: Recorded, scale: _Scale) -> Iterator[Mark]:
    begin = step.brought_up[0] if step.brought_up else step.start
    if step.brought_up and not step.brought_up[1].ready:
        yield scale.mark(begin - step.brought_up[1].seconds, begin, "unready", "not ready")
        return
    if step.brought_up:
        yield scale.mark(
            begin - step.brought_up[1].seconds,
            begin,
            "waiting",
            f"ready after {step.brought_up[1].seconds:.2f} s",
        )
    yield scale.mark(begin, step.event_began or step.end, "ready", "ready")
    if not step.ready_again:
        return
    at, again = step.ready_again
    if again.ready:
        yield scale.mark(at - again.seconds, at, "waiting", f"ready again after {again.seconds:.2f} s")
        yield scale.mark(at, step.end, "ready", "ready again")
    else:
        yield scale.mark(at - again.seconds, step.end, "unready", f"not ready within {again.seconds:.1f} s")


def _looks(looks: Iterable[Look], wrong: Mapping[str, int], scale: _Scale) -> list[Lane]:
    lanes: dict[str, Lane] = {}
    for look in looks:
        lane = lanes.setdefault(look.path, Lane(look.path, "checks"))
        bad = wrong.get(look.path, 0) if look.phase is Phase.AFTER else 0
        kind = "look-problem" if look.problem else "look-wrong" if bad else "look"
        said = f", {bad} wrong" if bad else f": {look.problem}" if look.problem else ""
        title = (
            f"{look.path}, {look.phase} the event: {look.names} names in {look.end - look.start:.2f} s{said}"
        )
        lane.marks.append(scale.mark(look.start, look.end, kind, title))
    return list(lanes.values())


def _ticks(seconds: float) -> list[Tick]:
    step = next((size for size in TICKS if seconds / size <= TICKS_WANTED), TICKS[-1])
    count = int(seconds / step)
    return [Tick(round(n * step / seconds * 100, 3), _time(n * step)) for n in range(count + 1)]


def _time(seconds: float) -> str:
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:g} min"
    return f"{round(seconds, 1):g} s"
