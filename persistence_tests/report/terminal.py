"""What a run shows on the terminal: a line a step as it ends, a live line for the one under way.

Off a terminal the live line is left out, so a log holds whole lines only.
"""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import (
    BaselineListed,
    Completed,
    ControlsChecked,
    Entry,
    EventBegan,
    EventEnded,
    PathObserved,
    Phase,
    RunBegan,
    ScenarioBegan,
    StackPrepared,
    StackReady,
    StackReadyAgain,
    StepBegan,
)
from persistence_tests.report.failure import finding_block, headline, reason_block
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.wording import MARKS, budget

STYLES = {
    Verdict.KEPT: "green",
    Verdict.LOST: "bold red",
    Verdict.UNAVAILABLE: "bold magenta",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.SKIPPED: "cyan",
}
TITLE_WIDTH = 26


class Terminal:
    """A listener to a run. Use as a context manager, around the run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._step = ""
        self._acknowledged = 0

    def __enter__(self) -> Terminal:
        if self._console.is_terminal:
            self._status = self._console.status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __call__(self, entry: Entry) -> None:
        record = entry.record
        match record:
            case RunBegan():
                environment = record.environment
                engine, compose = environment.get("engine", "?"), environment.get("compose", "?")
                self._print(
                    f"persistence {record.version} · run {record.run} · seed {record.seed} · "
                    f"engine {engine} · compose {compose}"
                )
            case ScenarioBegan():
                self._print(f"\n[bold]{escape(record.source)}[/bold]")
                self._live("preparing the stack")
            case StackPrepared():
                self._print(f"  isolated as {record.project} ({record.isolation}):")
                for change in record.changes:
                    self._print(f"    {escape(change)}", style="dim")
                self._live("building images and starting the stack")
            case StackReady():
                state = f"ready after {record.seconds:.1f} s" if record.ready else f"not ready: {record.why}"
                self._print(f"  stack up, {escape(state)}", style=None if record.ready else "bold yellow")
                self._live("looking at what is there")
            case StepBegan():
                self._step, self._acknowledged = record.title, 0
                self._live("writing")
            case Completed():
                self._acknowledged += 1
                if self._acknowledged % 20 == 0:
                    self._live(f"writing, {self._acknowledged} answered")
            case PathObserved(phase=Phase.BEFORE) | BaselineListed():
                self._live("checking what was written")
            case EventBegan():
                self._live("applying the event")
            case EventEnded():
                self._live("waiting until it is ready again")
            case StackReadyAgain():
                self._live("verifying every name on every path")
            case ControlsChecked():
                self._live("judging")

    def scenario(self, scenario: ScenarioResult) -> None:
        """A whole scenario at once, for a history that is read again."""
        self._print(f"\n[bold]{escape(scenario.source)}[/bold]")
        for step in scenario.steps:
            self.judged(step)

    def judged(self, step: StepResult) -> None:
        """One line for a step that has ended."""
        style, mark = STYLES[step.verdict], MARKS[step.verdict]
        title = escape(f"{step.title:<{TITLE_WIDTH}}")
        self._print(
            f"  [{style}]{mark}[/{style}] {title} [{style}]{step.verdict:<12}[/{style}] "
            f"{escape(_counts(step))} [dim]{step.seconds:6.1f} s[/dim]"
        )
        for line in _because(step):
            self._print(f"      {escape(line)}", style=style)

    def _live(self, phase: str) -> None:
        if self._status is not None:
            self._status.update(f"{escape(self._step)}: {escape(phase)}" if self._step else escape(phase))

    def _print(self, text: str, *, style: str | None = None) -> None:
        self._console.print(text, style=style, highlight=False, soft_wrap=True)


def print_result(console: Console, result: RunResult, directory: str | None) -> None:
    """Failure blocks, then budgets, claims and where everything is."""
    for scenario in result.scenarios:
        for step in scenario.steps:
            for finding in step.findings:
                console.print()
                console.print(escape(finding_block(finding, step)), highlight=False, soft_wrap=True)
            if not step.findings and step.verdict not in {Verdict.KEPT, Verdict.SKIPPED}:
                console.print()
                console.print(escape(reason_block(step, scenario.source)), highlight=False, soft_wrap=True)
    for scenario in result.scenarios:
        _print_claims(console, scenario)
    console.print()
    style = STYLES[result.verdict]
    console.print(
        f"[{style}]{result.verdict}[/{style}]: {escape(budget(result))}", highlight=False, soft_wrap=True
    )
    if not result.complete:
        console.print(f"the run is not complete: {escape(result.stopped or '')}", style="bold yellow")
    if directory:
        console.print(
            f"report: {escape(directory)}/ (summary.md, result.json, history.jsonl)",
            highlight=False,
            soft_wrap=True,
        )


def _counts(step: StepResult) -> str:
    paths = [
        f"{name} {count['checked']}"
        if count["ok"] == count["checked"]
        else f"{name} {count['ok']}/{count['checked']}"
        for name, count in step.paths.items()
    ]
    unknown = f" (+{step.written['info']} unanswered)" if step.written["info"] else ""
    return f"{step.written['ok']:>4} written{unknown} · {' · '.join(paths) or 'nothing checked'}"


def _because(step: StepResult) -> list[str]:
    if step.findings:
        return [headline(finding) for finding in step.findings]
    return [] if step.verdict is Verdict.KEPT else list(step.reasons)


def _print_claims(console: Console, scenario: ScenarioResult) -> None:
    if not scenario.claims:
        return
    console.print(f"\nWhat the documentation of {escape(scenario.name)} promises:", highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 1))
    for claim in scenario.claims:
        verdict = claim.verdict
        said = f"[{STYLES[verdict]}]{MARKS[verdict]} {verdict}" if verdict else "[cyan]- not tried"
        table.add_row("", escape(claim.text), said, f"[dim]{escape(claim.shown_by)}")
    console.print(table)
