"""`summary.md`: one page for a gate: what was tried, what held, what was not tried."""

from __future__ import annotations

import re
from collections.abc import Iterator

from persistence_tests.model.finding import Verdict
from persistence_tests.report.failure import because, step_block
from persistence_tests.report.printable import printable
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.wording import MARKS, budget

BLOCKS_SHOWN = 20
MARKUP = re.compile(r"[\\`*_\[\]<>|&~$@#!]|(?<=:)//|(?<=www)\.", re.IGNORECASE)


def summary(result: RunResult) -> str:
    """Markdown as GitHub shows it in a step summary; ends with a newline."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: RunResult) -> Iterator[str]:
    environment = result.environment
    yield f"# Persistence: {MARKS[result.verdict]} {result.verdict}"
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
    yield f"## {text(scenario.name)}: {MARKS[scenario.verdict]} {scenario.verdict}"
    yield ""
    yield (
        "| event | verdict | written | "
        + "".join(f"{text(path)} | " for path in paths)
        + "controls | seconds |"
    )
    yield "|---|---|--:|" + "--:|" * len(paths) + "---|--:|"
    for step in scenario.steps:
        shown = "".join(f"{_count(step, path)} | " for path in paths)
        yield (
            f"| {text(step.title)} | {MARKS[step.verdict]} {step.verdict} | {step.written.ok} | {shown}"
            f"{_controls(step)} | {step.seconds:.1f} |"
        )
    yield from _claims(scenario)
    yield from _wrong(scenario)
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
        yield f"| {text(claim.text)} | {text(claim.shown_by)} | {said} |"


def _wrong(scenario: ScenarioResult) -> Iterator[str]:
    steps = [step for step in scenario.steps if step.verdict in {Verdict.LOST, Verdict.UNAVAILABLE}]
    if steps:
        yield ""
        yield "### What is wrong"
    for step in steps[:BLOCKS_SHOWN]:
        block = step_block(step, scenario.source)
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block) or [""]))
        yield ""
        for line in because(step):
            yield f"- **{text(line, shown=True)}**"
        yield ""
        yield f"{fence}text"
        yield block
        yield fence
    if len(steps) > BLOCKS_SHOWN:
        yield ""
        yield f"{len(steps) - BLOCKS_SHOWN} more steps are in result.json."


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
    for note in scenario.notes:
        yield f"- {text(note)}"


def _count(step: StepResult, path: str) -> str:
    count = step.paths.get(path)
    return f"{count.ok}/{count.checked}" if count and count.checked else "not checked"


def _controls(step: StepResult) -> str:
    if not step.controls:
        return "none"
    return "ok" if all(control.behaved for control in step.controls) else "misbehaved"


def text(content: str, *, shown: bool = False) -> str:
    """One line that is text and nothing else: no markup, no HTML, no link, no end of a table's cell.

    `shown` says that it is `printable` already.
    """
    line = content if shown else printable(content)
    return MARKUP.sub(lambda found: "".join(f"\\{character}" for character in found.group()), line).strip()
