"""What a run shows on the terminal: a line a step as it ends, a live line for the one under way.

Off a terminal the live line is left out and no line is folded, so a log holds whole lines that can be searched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import (
    Entry,
    RunBegan,
    ScenarioBegan,
    ScenarioEnded,
    StackPrepared,
    StackReady,
)
from persistence_tests.report.failure import because, known_lines, step_block
from persistence_tests.report.kept import kept_lines
from persistence_tests.report.layout import NARROWEST, folded, joined
from persistence_tests.report.printable import printable
from persistence_tests.report.progress import Progress
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.under_way import BUILDING, UnderWay
from persistence_tests.report.variants import Row, label, rows, variants
from persistence_tests.report.wording import (
    MARKS,
    budget,
    counts,
    known_status,
    never_begun,
    verdict_said,
    volume_drivers,
)

STYLES = {
    Verdict.KEPT: "green",
    Verdict.LOST: "bold red",
    Verdict.UNAVAILABLE: "bold magenta",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.SKIPPED: "cyan",
}
KNOWN = "magenta"
TITLE_WIDTH = 34
DIGEST = len("sha256:") + 12
VERDICT_WIDTH = max(len(verdict) for verdict in Verdict)
CONTROL = "persistence-control-"


class Terminal:
    """A listener to a run. Use as a context manager, around the run. `progress` knows what is to come."""

    def __init__(self, console: Console, progress: Progress | None = None) -> None:
        self._console = console
        self._under_way = UnderWay(console, progress or Progress([], {}))
        self._title_width = TITLE_WIDTH
        self._held: list[StepResult] = []
        self._ends: set[str] = set()
        self._volumes: dict[str, str] = {}
        self._changes: tuple[str, ...] | None = None

    def __enter__(self) -> Terminal:
        self._under_way.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show_held()
        self._under_way.__exit__(kind, error, trace)

    def __call__(self, entry: Entry) -> None:
        match entry.record:
            case RunBegan() as run:
                self._lines(header(run, width(self._console)))
            case ScenarioBegan() as scenario:
                groups = variants(scenario.steps)
                self._ends = {last.step for last in {each.entry: each for each in scenario.steps}.values()}
                titles = (groups[p.step].of if p.step in groups else p.title for p in scenario.steps)
                self._heading(scenario.source, titles)
                self._changes = None
            case StackPrepared() as prepared:
                self._prepared(prepared)
            case StackReady() as ready:
                self._ready(ready)
            case ScenarioEnded():
                self._show_held()
        self._under_way(entry)

    def scenario(self, scenario: ScenarioResult) -> None:
        """A whole scenario at once, for a history that is read again."""
        told = rows(scenario.steps)
        self._heading(scenario.source, (row.title for row in told))
        for row in told:
            self._row(row)

    def judged(self, step: StepResult) -> None:
        """One line for a step that has ended, and one for each thing that is wrong with it.

        The steps of one entry are shown once its last has ended.
        """
        if self._held and self._held[-1].entry != step.entry:
            self._show_held()
        self._held.append(step)
        if step.step in self._ends or step.variant is None:
            self._show_held()

    def _show_held(self) -> None:
        if self._held:
            self._row(Row(self._held))
        self._held = []

    def _row(self, row: Row) -> None:
        verdict, rest, room = row.verdict, " " * 6, width(self._console)
        style = STYLES[verdict]
        name = printable(row.title)
        title = f"  {MARKS[verdict]} {name}{' ' * (self._title_width - cell_len(name))} "
        told = f"{verdict:<{VERDICT_WIDTH}} {row.seconds:5.1f} s "
        above: list[str] = []
        if room is not None and cell_len(title + told) > max(room, NARROWEST):
            above, title = folded(name, room, first=title[:4], rest=rest), rest
        pieces = [*counts(row.written, row.paths), *([row.tally] if row.several else [])]
        lines = joined(pieces, room, first=title + told, rest=rest, between=" · ")
        for number, line in enumerate([*above, *lines]):
            text = Text(line)
            if number == 0:
                text.stylize(style, 2, 3)
            if number == len(above):
                text.stylize(style, len(title), len(title) + len(verdict))
            self._print(text)
        if row.several:
            each = [f"{MARKS[step.verdict]} {printable(label(step))}" for step in row.steps]
            for line in joined(each, room, first=rest, rest=rest, between=" · "):
                text = Text(line)
                text.highlight_regex("[✗?]", style)
                self._print(text)
        for step in row.steps:
            of = f"{printable(label(step))}: " if row.several else ""
            for reason in because(step):
                self._lines(folded(of + reason, room, first=rest, rest=rest + "  "), STYLES[step.verdict])
            for line in known_lines(step):
                self._lines(folded(of + line, room, first=rest, rest=rest + "  "), KNOWN)

    def _prepared(self, prepared: StackPrepared) -> None:
        self._volumes = volume_drivers(prepared.original)
        told, self._changes = self._changes, prepared.changes
        if told is None:
            self._lines([f"  isolated as {printable(prepared.project)} ({printable(prepared.isolation)})"])
        for change in prepared.changes:
            if change not in (told or ()):
                self._folded(printable(change), "    ", "dim")
        if told is None and not self._console.is_terminal:
            self._lines([f"  {BUILDING}"])

    def _ready(self, ready: StackReady) -> None:
        if not ready.ready:
            why = printable((ready.why or "").split("\n", 1)[0].removesuffix(":"))
            self._folded(f"not ready: {why}", "  ", STYLES[Verdict.INCONCLUSIVE])
        elif ready.epoch == 1:
            self._lines([f"  stack up, ready after {ready.seconds:.1f} s"])
            for container, image in own_images(ready.images).items():
                self._folded(f"image of {printable(container)}: {printable(image[:DIGEST])}", "    ", "dim")
            for key, driver in self._volumes.items():
                self._folded(f"volume {printable(key)}: driver {printable(driver)}", "    ", "dim")

    def _heading(self, source: str, titles: Iterable[str]) -> None:
        self._title_width = min(max((cell_len(printable(title)) for title in titles), default=0), TITLE_WIDTH)
        self._console.print()
        self._lines([printable(source)], "bold")

    def _folded(self, text: str, indent: str, style: str) -> None:
        self._lines(folded(text, width(self._console), first=indent, rest=indent + "  "), style)

    def _lines(self, lines: Iterable[str], style: str = "") -> None:
        for line in lines:
            self._print(Text(line, style))

    def _print(self, text: Text) -> None:
        show(self._console, text)


def header(run: RunBegan, width: int | None) -> list[str]:
    """What the run is, and on what."""
    words = [f"persistence {printable(run.version)}", f"run {printable(run.run)}", f"seed {run.seed}"]
    return [*joined(words, width, rest="  ", between=" · "), *engine_lines(run.environment, width)]


def engine_lines(environment: Mapping[str, str], width: int | None) -> list[str]:
    facts = {key: printable(value) for key, value in environment.items()}
    storage = " on ".join(filter(None, (facts.get("storage_driver"), facts.get("backing_filesystem"))))
    words = [
        f"engine {facts.get('engine') or '?'}" + (f" ({storage})" if storage else ""),
        f"Compose {facts.get('compose') or '?'}",
        *filter(None, (facts.get("os"), f"kernel {facts['kernel']}" if facts.get("kernel") else None)),
    ]
    return joined(words, width, rest="  ", between=" · ")


def print_result(console: Console, result: RunResult, directory: str | None) -> None:
    """Failure blocks, then claims, budgets and where everything is."""
    for scenario in result.scenarios:
        for step in scenario.steps:
            if step.verdict not in {Verdict.KEPT, Verdict.SKIPPED} and not never_begun(step):
                console.print()
                show(console, coloured(step_block(step, scenario.source, width(console))))
        if unbegun := [printable(step.step) for step in scenario.steps if never_begun(step)]:
            console.print()
            for line in joined(unbegun, width(console), first="not run: ", rest="  ", between=", "):
                show(console, Text(line, STYLES[Verdict.INCONCLUSIVE]))
    for scenario in result.scenarios:
        _print_claims(console, scenario)
        _print_known(console, scenario)
        _print_notes(console, scenario)
    console.print()
    verdict = verdict_said(result.verdict, result.findings)
    for number, line in enumerate(
        joined(budget(result), width(console), first=f"{verdict}: ", rest="  ", between=" · ")
    ):
        text = Text(line)
        if number == 0:
            text.stylize(STYLES[result.verdict], 0, len(verdict))
        show(console, text)
    if not result.complete:
        why = printable(result.stopped or "nobody knows why")
        show(console, Text(f"the run is not complete: {why}", STYLES[Verdict.INCONCLUSIVE]))
    if directory:
        show(console, Text(f"report: {printable(directory)}/report.html"))


def print_kept(console: Console, scenarios: Sequence[ScenarioResult]) -> None:
    """How to look at the stacks that were left running, and how to be rid of them."""
    for scenario in scenarios:
        if scenario.kept:
            console.print()
            for line in kept_lines(scenario.kept):
                show(console, Text(line))


def own_images(images: Mapping[str, str]) -> dict[str, str]:
    """The images of the stack itself, without that of the control service."""
    return {container: image for container, image in images.items() if not container.startswith(CONTROL)}


def width(console: Console) -> int | None:
    """Of a terminal; None where the output goes elsewhere."""
    return console.width if console.is_terminal else None


def show(console: Console, text: Text) -> None:
    """Print as it stands: nothing in it is markup, and lines are folded already."""
    console.print(text, soft_wrap=True, highlight=False)


def coloured(block: str) -> Text:
    """A block of failure with the colours of a compiler."""
    text = Text(block)
    for pattern, style in COLOURS.items():
        text.highlight_regex(re.compile(pattern, re.MULTILINE), style)
    return text


COLOURS = {
    r"^error\[\w+\]": STYLES[Verdict.LOST],
    r"^known\[\w+\]": KNOWN,
    r"^unavailable(?=:)": STYLES[Verdict.UNAVAILABLE],
    r"^inconclusive(?=:)": STYLES[Verdict.INCONCLUSIVE],
    r"^ +-->": "bold blue",
    r"^ *\d* \|": "bold blue",
    r"(?<=\| ) *\^+": STYLES[Verdict.LOST],
    r"^ *= (note|control|known):": "bold blue",
    r"^ *= cause:": "bold magenta",
    r"^ *= help:": "bold cyan",
}


def _print_claims(console: Console, scenario: ScenarioResult) -> None:
    if not scenario.claims:
        return
    console.print()
    show(console, Text(f"What the documentation of {printable(scenario.name)} promises"))
    longest = max(len(printable(claim.text)) for claim in scenario.claims)
    for claim in scenario.claims:
        verdict = claim.verdict
        said = f"{MARKS[verdict]} {verdict}" if verdict else "- not tried"
        said += " (known)" if claim.known else ""
        line = Text(f"  {printable(claim.text):<{longest}}  ")
        line.append(f"{said:<{VERDICT_WIDTH + 2}}", STYLES[verdict or Verdict.SKIPPED])
        line.append(f"  {printable(claim.shown_by)}", "dim")
        show(console, line)


def _print_known(console: Console, scenario: ScenarioResult) -> None:
    if not scenario.known:
        return
    console.print()
    show(console, Text(f"Known losses of {printable(scenario.name)}"))
    for loss in scenario.known:
        text = printable(f"{loss.symptom} after `{loss.event}` ({loss.why}): {known_status(loss)}")
        for line in folded(text, width(console), first="  - ", rest="    "):
            show(console, Text(line, KNOWN if loss.status == "failing" else ""))


def _print_notes(console: Console, scenario: ScenarioResult) -> None:
    if not scenario.notes:
        return
    console.print()
    show(console, Text(f"What this run of {printable(scenario.name)} does not show"))
    for note in scenario.notes:
        for line in folded(printable(note), width(console), first="  - ", rest="    "):
            show(console, Text(line))
