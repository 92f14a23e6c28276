"""`summary.md`: one page for a gate: what was tried, what held, what was not tried."""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.model.finding import Verdict
from persistence_tests.report.failure import finding_block, headline
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.wording import MARKS, budget

BLOCKS_SHOWN = 20


def summary(result: RunResult) -> str:
    """Markdown as GitHub shows it in a step summary; ends with a newline."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: RunResult) -> Iterator[str]:
    yield f"# Persistence: {MARKS[result.verdict]} {result.verdict}"
    yield ""
    yield f"{budget(result)}."
    yield ""
    environment = result.environment
    yield (
        f"Run `{result.run_id}` of {result.started}, seed {result.seed}, engine {environment.get('engine', '?')}, "
        f"Compose {environment.get('compose', '?')}, exit code {result.exit_code}."
    )
    if not result.complete:
        yield ""
        yield f"**Not complete**: {result.stopped}."
    for scenario in result.scenarios:
        yield from _scenario(scenario)


def _scenario(scenario: ScenarioResult) -> Iterator[str]:
    paths = list(dict.fromkeys(path for step in scenario.steps for path in step.paths))
    yield ""
    yield f"## {_cell(scenario.name)}: {MARKS[scenario.verdict]} {scenario.verdict}"
    yield ""
    yield "| event | verdict | written | " + " | ".join(paths) + " | controls | seconds |"
    yield "|---|---|--:|" + "--:|" * len(paths) + "---|--:|"
    for step in scenario.steps:
        counts = [_count(step, path) for path in paths]
        yield (
            f"| {_cell(step.title)} | {MARKS[step.verdict]} {step.verdict} | {step.written['ok']} | "
            + " | ".join(counts)
            + f" | {_controls(step)} | {step.seconds:.1f} |"
        )
    yield from _claims(scenario)
    yield from _wrong(scenario)
    yield from _not_tried(scenario)


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
        yield f"| {_cell(claim.text)} | {_cell(claim.shown_by)} | {said} |"


def _wrong(scenario: ScenarioResult) -> Iterator[str]:
    findings = [(step, finding) for step in scenario.steps for finding in step.findings]
    if findings:
        yield ""
        yield "### What is wrong"
    for step, finding in findings[:BLOCKS_SHOWN]:
        yield ""
        yield f"**{_cell(headline(finding))}**"
        yield ""
        yield "```text"
        yield finding_block(finding, step).replace("```", "'''")
        yield "```"
    if len(findings) > BLOCKS_SHOWN:
        yield ""
        yield f"{len(findings) - BLOCKS_SHOWN} more findings are in result.json."


def _not_tried(scenario: ScenarioResult) -> Iterator[str]:
    open_steps = [s for s in scenario.steps if s.verdict in {Verdict.INCONCLUSIVE, Verdict.SKIPPED}]
    if not (open_steps or scenario.notes):
        return
    yield ""
    yield "### What this run does not show"
    yield ""
    for step in open_steps:
        yield f"- {_cell(step.title)}: {step.verdict}: {_cell('; '.join(step.reasons) or 'no reason recorded')}"
    for note in scenario.notes:
        yield f"- {_cell(note)}"


def _count(step: StepResult, path: str) -> str:
    count = step.paths.get(path)
    if not count:
        return "not checked"
    return f"{count['ok']}/{count['checked']}"


def _controls(step: StepResult) -> str:
    if not step.controls:
        return "none"
    return "ok" if all(control["behaved"] for control in step.controls) else "misbehaved"


def _cell(text: str) -> str:
    """Text that cannot break a table or become markup."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
