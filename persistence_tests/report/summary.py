"""`summary.md`: one page for a gate: what was tried, what held, what was not tried.

GitHub shows it as the summary of a job's step, and takes 1 MiB for all that a step says there. So the page is made of
parts, and ends with a sentence where not all of them fit.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from persistence_tests.model.finding import Verdict
from persistence_tests.report.failure import because, step_block
from persistence_tests.report.kept import kept_lines
from persistence_tests.report.printable import printable
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.variants import Row, label, rows
from persistence_tests.report.wording import MARKS, budget, known_status, verdict_said

BYTES = 512 * 1024
BLOCKS_SHOWN = 20
BLOCK_LINES = 300
STEPS_SHOWN = 500
NOTES_SHOWN = 100
MARKUP = re.compile(r"[\\`*_\[\]<>|&~$@#!]|(?<=:)//|(?<=www)\.", re.IGNORECASE)


def summary(result: RunResult) -> str:
    """Markdown as GitHub shows it in a step summary; at most BYTES long, ends with a newline."""
    whole, size = [], 0
    for part in _parts(result):
        size += len(part.encode("utf-8", "backslashreplace")) + 1
        if size > BYTES:
            whole += ["", "**This page is cut here**: the rest is in report.html and result.json."]
            break
        whole.append(part)
    return "\n".join(whole) + "\n"


def _parts(result: RunResult) -> Iterator[str]:
    environment = result.environment
    yield f"# Persistence: {MARKS[result.verdict]} {verdict_said(result.verdict, result.findings)}"
    yield ""
    yield f"{text(' · '.join(budget(result)))}."
    yield ""
    yield text(
        f"Run {result.run_id} of {result.started}, seed {result.seed}, engine {environment.get('engine') or '?'} "
        f"({environment.get('storage_driver') or '?'}), Compose {environment.get('compose') or '?'}, "
        f"exit code {result.exit_code}."
    )
    if not result.complete:
        yield ""
        yield f"**Not complete**: {text(result.stopped or 'nobody knows why')}."
    for scenario in result.scenarios:
        yield from _scenario(scenario)


def _scenario(scenario: ScenarioResult) -> Iterator[str]:
    paths = list(dict.fromkeys(path for step in scenario.steps for path in step.paths))
    yield ""
    findings = [finding for step in scenario.steps for finding in step.findings]
    yield (f"## {text(scenario.name)}: {MARKS[scenario.verdict]} {verdict_said(scenario.verdict, findings)}")
    yield ""
    yield (
        "| event | verdict | written | "
        + "".join(f"{text(path)} | " for path in paths)
        + "controls | seconds |"
    )
    yield "|---|---|--:|" + "--:|" * len(paths) + "---|--:|"
    # What is not kept is told first where not all can be.
    bad = [step for step in scenario.steps if step.verdict is not Verdict.KEPT or step.findings]
    told = scenario.steps if len(scenario.steps) <= STEPS_SHOWN else bad[:STEPS_SHOWN]
    for row in rows(told):
        shown = "".join(f"{_count(row, path)} | " for path in paths)
        each = f": {' · '.join(map(_variant, row.steps))}" if row.several else ""
        yield (
            f"| {text(row.title)}{each} | {MARKS[row.verdict]} {verdict_said(row.verdict, row.findings)} | "
            f"{row.written.ok} | {shown}{row.controls} | {row.seconds:.1f} |"
        )
    if len(told) < len(scenario.steps):
        yield ""
        yield (
            f"Of {len(scenario.steps)} steps, {len(told)} that are not kept or show a known loss are listed here; "
            "the others are in result.json."
        )
    yield from _claims(scenario)
    yield from _wrong(scenario)
    yield from _known(scenario)
    yield from _kept(scenario)
    yield from _not_shown(scenario)


def _claims(scenario: ScenarioResult) -> Iterator[str]:
    if not scenario.claims:
        return
    yield ""
    yield "### What the documentation promises"
    yield ""
    yield "| promise | shown by | |"
    yield "|---|---|---|"
    for claim in scenario.claims:
        said = f"{MARKS[claim.verdict]} {claim.verdict}" if claim.verdict else "- not tried"
        said += " (known)" if claim.known else ""
        yield f"| {text(claim.text)} | {text(claim.shown_by)} | {said} |"


def _wrong(scenario: ScenarioResult) -> Iterator[str]:
    steps = [step for step in scenario.steps if step.verdict in {Verdict.LOST, Verdict.UNAVAILABLE}]
    if steps:
        yield ""
        yield "### What is wrong"
    for step in steps[:BLOCKS_SHOWN]:
        yield ""
        for line in because(step):
            yield f"- **{text(line, shown=True)}**"
        yield ""
        yield _folded(f"{step.title}: evidence, cause, and the command that shows it again", step, scenario)
    if len(steps) > BLOCKS_SHOWN:
        yield ""
        yield f"{len(steps) - BLOCKS_SHOWN} more steps are in result.json."


def _folded(title: str, step: StepResult, scenario: ScenarioResult) -> str:
    """The block of a step, folded. What opens must close: it is one part."""
    lines = step_block(step, scenario.source).split("\n")
    if len(lines) > BLOCK_LINES:
        lines = [*lines[:BLOCK_LINES], "", f"{len(lines) - BLOCK_LINES} more lines are in report.html."]
    block = _fenced("\n".join(lines))
    title = html.escape(printable(title))
    return f"<details><summary>{title}</summary>\n\n{block}\n\n</details>"


def _fenced(block: str) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block) or [""]))
    return f"{fence}text\n{block}\n{fence}"


def _known(scenario: ScenarioResult) -> Iterator[str]:
    if not scenario.known:
        return
    yield ""
    yield "### Known losses"
    yield ""
    yield "| event | symptom | why | in this run |"
    yield "|---|---|---|---|"
    for loss in scenario.known:
        yield f"| {text(loss.event)} | {loss.symptom} | {text(loss.why)} | {text(known_status(loss))} |"
    for step in scenario.steps:
        if step.verdict is Verdict.KEPT and step.findings:
            yield ""
            yield _folded(f"{step.title}: what is known to be lost", step, scenario)


def _kept(scenario: ScenarioResult) -> Iterator[str]:
    if scenario.kept:
        yield ""
        yield "### Left running"
        yield ""
        yield _fenced("\n".join(kept_lines(scenario.kept)))


def _not_shown(scenario: ScenarioResult) -> Iterator[str]:
    open_steps = [s for s in scenario.steps if s.verdict in {Verdict.INCONCLUSIVE, Verdict.SKIPPED}]
    if not (open_steps or scenario.notes):
        return
    yield ""
    yield "### What this run does not show"
    yield ""
    for step in open_steps:
        why = "; ".join(because(step)) or "no reason was recorded"
        yield f"- **{text(step.title)}**, {step.verdict}: {text(why, shown=True)}"
    for note in scenario.notes[:NOTES_SHOWN]:
        yield f"- {text(note)}"
    if len(scenario.notes) > NOTES_SHOWN:
        yield f"- and {len(scenario.notes) - NOTES_SHOWN} more, in result.json"


def _count(row: Row, path: str) -> str:
    count = row.paths.get(path)
    return f"{count.ok}/{count.checked}" if count and count.checked else "not checked"


def _variant(step: StepResult) -> str:
    told = f"{MARKS[step.verdict]} {text(label(step))}"
    return told if step.verdict is Verdict.KEPT else f"**{told}**"


def text(content: str, *, shown: bool = False) -> str:
    """One line that is text and nothing else: no markup, no HTML, no link, no end of a table's cell.

    `shown` says that it is `printable` already.
    """
    line = content if shown else printable(content)
    return MARKUP.sub(lambda found: "".join(f"\\{character}" for character in found.group()), line).strip()
