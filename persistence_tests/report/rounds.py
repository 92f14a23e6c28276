"""What a replay shows on the terminal: what is run again, a line a round, and how many of the rounds lost."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.text import Text

from persistence_tests.model.finding import Verdict, worst
from persistence_tests.model.records import Entry, RunBegan
from persistence_tests.report.failure import because
from persistence_tests.report.layout import folded, joined
from persistence_tests.report.printable import lines, plural, printable
from persistence_tests.report.progress import Progress
from persistence_tests.report.replay import (
    UP,
    Asked,
    ReplayedScenario,
    ReplayedStep,
    ReplayResult,
    Round,
    tally,
)
from persistence_tests.report.terminal import STYLES, VERDICT_WIDTH, engine_lines, show, width
from persistence_tests.report.under_way import UnderWay
from persistence_tests.report.wording import MARKS


class Rounds:
    """A listener to every round. Use as a context manager, around all of them."""

    def __init__(
        self, console: Console, replay: str, run: str, asked: Sequence[Asked], rounds: int, progress: Progress
    ) -> None:
        """`run` is the recorded run."""
        self._console = console
        self._replay = replay
        self._run = run
        self._asked = asked
        self._rounds = rounds
        self._under_way = UnderWay(console, progress)
        self._begun = 0

    def __enter__(self) -> Rounds:
        self._under_way.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._under_way.__exit__(kind, error, trace)

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry.record, RunBegan):
            self._begun += 1
            self._under_way.within = f"round {self._begun}/{self._rounds} "
        self._under_way(entry)

    def heading(self, began: RunBegan, scenarios: Sequence[ReplayedScenario]) -> None:
        """What is run again, and what of it is not as it was. `began` is of the first round."""
        room = width(self._console)
        words = [f"persistence {printable(began.version)}", f"replay {self._replay}", f"seed {began.seed}"]
        for line in [*joined(words, room, rest="  ", between=" · "), *engine_lines(began.environment, room)]:
            self._line(line)
        for scenario in scenarios:
            own = [each for each in self._asked if each.scenario == scenario.name]
            then = ", ".join(f"{', '.join(each.recorded) or 'asked for'} after {each.step}" for each in own)
            self._console.print()
            self._line(printable(scenario.source), "bold")
            self._folded(f"recorded in run {printable(self._run)}: {then}")
            for change in scenario.changed:
                self._folded(f"changed since: {printable(change)}")
            steps = ", ".join(dict.fromkeys([UP, *(printable(each.step) for each in own)]))
            self._folded(f"{plural(self._rounds, 'round')} of {steps}, each on a fresh stack")

    def changed(self, change: str) -> None:
        """What else is not as it was, once the stack is known."""
        self._folded(f"changed since: {printable(change)}")

    def round(self, done: Round) -> None:
        """One line: the worst verdict of the round, and what is wrong in it."""
        if done.number == 1:
            self._console.print()
        verdict = worst([done.told(each.scenario, each.step)[0] for each in self._with_starts(done)])
        digits = len(str(self._rounds))
        first = f"  {MARKS[verdict]} round {done.number:>{digits}}  {verdict:<{VERDICT_WIDTH}} {done.seconds:5.1f} s"
        why = [line for each in self._with_starts(done) for line in self._why(done, each)]
        said = folded(" · ".join(why), width(self._console), first=f"{first}  ", rest=" " * 6)
        for number, line in enumerate(said if why else [first]):
            text = Text(line)
            if number == 0:
                text.stylize(STYLES[verdict], 2, 3)
                text.stylize(STYLES[verdict], first.index(verdict), first.index(verdict) + len(verdict))
            show(self._console, text)

    def end(self, result: ReplayResult, directory: str) -> None:
        """How many rounds lost, of each step."""
        self._console.print()
        for step in result.steps:
            style = STYLES[_worst(step)]
            what = f"{' or '.join(step.recorded)} after {step.step}" if step.recorded else step.step
            line = ", ".join(tally(step))
            for text in folded(f"{printable(what)}: {line}", width(self._console), rest="  "):
                self._line(text, style)
        if not result.complete:
            self._line(f"the replay is not complete: {printable(result.stopped or 'nobody knows why')}")
        self._line(f"reports: {printable(directory)}/round-*/report.html")

    def _with_starts(self, done: Round) -> list[Asked]:
        """The steps that are run again, each scenario's first start before them where it did not end well."""
        starts = [
            Asked(name, UP, UP, UP, ()) for name in dict.fromkeys(each.scenario for each in self._asked)
        ]
        asked = {(each.scenario, each.step) for each in self._asked}
        odd = [
            each
            for each in starts
            if (each.scenario, UP) not in asked and done.told(each.scenario, UP)[0] is not Verdict.KEPT
        ]
        return [*odd, *self._asked]

    def _why(self, done: Round, asked: Asked) -> list[str]:
        verdict, reasons = done.told(asked.scenario, asked.step)
        if verdict is Verdict.KEPT:
            return []
        judged = done.step(asked.scenario, asked.step)
        if judged is not None and judged.findings:
            return because(judged)
        said = list(dict.fromkeys(lines(reason)[0].removesuffix(":") for reason in reasons))
        return [f"{printable(asked.step)}: {'; '.join(said) or 'no reason was recorded'}"]

    def _folded(self, text: str) -> None:
        for line in folded(text, width(self._console), first="  ", rest="    "):
            self._line(line)

    def _line(self, text: str, style: str = "") -> None:
        show(self._console, Text(text, style))


def _worst(step: ReplayedStep) -> Verdict:
    return worst([each.verdict for each in step.rounds])
