"""What a run is doing at the moment, on the live line: a listener to it."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console

from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import (
    BaselineListed,
    Completed,
    ControlsChecked,
    Entry,
    EventBegan,
    EventEnded,
    PathObserved,
    Phase,
    ScenarioBegan,
    ScenarioEnded,
    StackPrepared,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
)
from persistence_tests.report.live import LiveLine
from persistence_tests.report.printable import printable
from persistence_tests.report.progress import UP, Progress, time_left

BUILDING = "building images; the first time this can take minutes"


class UnderWay:
    """Use as a context manager, around the run. `progress` knows what is to come.

    Where `within` is given, it stands in the place of the step's number.
    """

    def __init__(self, console: Console, progress: Progress) -> None:
        self.within = ""
        self._progress = progress
        self._live = LiveLine(console, self._time_left)
        self._scenario = -1
        self._prepared = False
        self._of = ""
        self._step = ""
        self._answered = 0

    def __enter__(self) -> UnderWay:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, entry: Entry) -> None:
        match entry.record:
            case ScenarioBegan():
                self._scenario += 1
                self._prepared = False
                self._begin(UP)
                self._phase("preparing the stack", anew=True)
            case StackPrepared() if not self._prepared:
                self._prepared = True
                self._phase(BUILDING, anew=True)
            case StackReady():
                self._phase("looking at what is there")
            case StepBegan() as step:
                self._step, self._answered = step.title, 0
                if step.step != UP:
                    self._begin(step.step)
                self._phase("writing", anew=True)
            case Completed() as completed:
                self._answered += completed.outcome is Outcome.OK
                self._phase(f"writing, {self._answered} acknowledged")
            case PathObserved(phase=Phase.BEFORE) | BaselineListed():
                self._phase(f"checking what was written, {self._answered} names")
            case EventBegan():
                self._phase("applying the event")
            case EventEnded():
                self._phase("waiting until the stack is ready again")
            case StackReadyAgain():
                self._phase("verifying every name on every path")
            case ControlsChecked():
                self._phase("judging")
            case StepEnded() as ended:
                self._progress.end((self._scenario, ended.step), time.monotonic())
            case ScenarioEnded():
                self._step = self._of = ""
                self._phase("removing what the run made", anew=True)

    def _begin(self, step: str) -> None:
        self._progress.begin((self._scenario, step), time.monotonic())
        place, of = self._progress.place
        self._of = f"{place}/{of} " if place else ""

    def _time_left(self) -> str:
        seconds = self._progress.remaining(time.monotonic())
        return "" if seconds is None or not self._of else time_left(seconds)

    def _phase(self, phase: str, *, anew: bool = False) -> None:
        doing = f"{printable(self._step)}: {phase}" if self._step else phase
        text = (self.within or self._of) + doing
        self._live.say(text, since=time.monotonic() if anew else None)
