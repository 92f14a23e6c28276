"""Puts together what the page shows. All that is capped is capped here, and the page says so.

operations drawn    10,000 a page; of more, those without a good answer and those of steps that are not kept
names               200 a finding
byte comparisons    3 a finding, 60 a page
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import (
    Entry,
    ScenarioBegan,
    StackPrepared,
    StackReady,
)
from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.html.allowance import Allowance
from persistence_tests.report.html.compared import Bytes
from persistence_tests.report.html.configuration import DiffLine, difference
from persistence_tests.report.html.hexdump import Comparison
from persistence_tests.report.html.matrix import RowView, matrix
from persistence_tests.report.html.recorded import Look, Recorded, Span, Write, recorded_steps
from persistence_tests.report.html.servicelogs import Excerpt, ServiceLogs
from persistence_tests.report.html.timeline import CONTROL, Timeline, timeline
from persistence_tests.report.kept import looking
from persistence_tests.report.printable import printable
from persistence_tests.report.result import FindingResult, RunResult, ScenarioResult, StepResult
from persistence_tests.report.wording import command, known_losses, known_status, verdict_said, wrong_names

NAMES_SHOWN = 200
EVIDENCE_SHOWN = 10
ANSWERS_SHOWN = 100
FAULT_LINES = 60

BAD = frozenset({Verdict.LOST, Verdict.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class FindingView:
    id: str
    result: FindingResult
    headline: str
    names: list[str]
    names_left_out: int
    evidence: list[str]
    evidence_left_out: int
    comparisons: list[Comparison]


@dataclass(frozen=True, slots=True)
class StepView:
    """`paths` are those that the filter finds the step by: where something is wrong, those concerned."""

    id: str
    result: StepResult
    open: bool
    known: bool
    verdict: str
    paths: list[str]
    codes: list[str]
    findings: list[FindingView]
    reasons: list[list[str]]
    timeline: Timeline | None
    phases: list[Span]
    looks: list[Look]
    answers: list[Write]
    answers_left_out: int
    logs: list[Excerpt]
    fault: list[str]
    reproduce: list[str]


@dataclass(frozen=True, slots=True)
class ScenarioView:
    id: str
    result: ScenarioResult
    verdict: str
    known: list[str]
    looking: list[tuple[str, str]]
    paths: list[str]
    links: dict[str, str]
    rows: list[RowView]
    steps: list[StepView]
    difference: list[DiffLine]
    difference_left_out: int
    logs: list[Excerpt]
    reproduce: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What was wrong of what was acknowledged; `recovery` is the longest time until the stack was ready again."""

    wrong: int
    known: int
    acknowledged: int
    unanswered: int
    checks: int
    recovery: float | None
    steps: list[tuple[Verdict, int]]


@dataclass(frozen=True, slots=True)
class Page:
    result: RunResult
    verdict: str
    known: int
    sentence: str
    budget: Budget
    scenarios: list[ScenarioView]
    limits: list[str]


def make_page(result: RunResult, entries: Sequence[Entry], logs: Mapping[str, str]) -> Page:
    """Pure. `logs` are the files beside the history by name ("media-api.log", "media-kill-fault.txt")."""
    allowance = Allowance()
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.scenario is not None:
            own.setdefault(entry.scenario, []).append(entry)
    files = _by_scenario(logs, [scenario.name for scenario in result.scenarios])
    several = len(result.scenarios) > 1
    scenarios = [
        _Scenario(result, scenario, own.get(scenario.name, []), files[scenario.name], allowance).view(several)
        for scenario in result.scenarios
    ]
    return Page(
        result=result,
        verdict=verdict_said(result.verdict, result.findings),
        known=sum(known_losses(step.findings) > 0 for step in result.steps),
        sentence=_sentence(result),
        budget=budget(result),
        scenarios=scenarios,
        limits=allowance.said(NAMES_SHOWN),
    )


def budget(result: RunResult) -> Budget:
    counts = Counter(step.verdict for step in result.steps)
    ready = [step.ready_seconds for step in result.steps if step.ready_seconds is not None]
    return Budget(
        wrong=sum(map(wrong_names, result.steps)),
        known=sum(wrong_names(step, known=True) for step in result.steps),
        acknowledged=sum(step.written.ok for step in result.steps),
        unanswered=sum(step.written.info for step in result.steps),
        checks=sum(path.checked for step in result.steps for path in step.paths.values()),
        recovery=max(ready, default=None),
        steps=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
    )


def _sentence(result: RunResult) -> str:
    bad = [step for step in result.steps if step.verdict in BAD]
    steps = len(result.steps)
    if result.verdict is Verdict.KEPT and (known := known_losses(result.findings)):
        return f"Nothing was lost but what the team knows of ({_many(known, 'finding')}), after {_many(steps, 'step')}."
    if result.verdict is Verdict.KEPT:
        return (
            f"Everything that was acknowledged is still there, byte for byte, after {_many(steps, 'step')}."
        )
    if bad:
        names = ", ".join(dict.fromkeys(printable(step.title) for step in bad[:4]))
        more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
        return f"{len(bad)} of {_many(steps, 'step')} did not keep what was acknowledged: {names}{more}."
    if result.verdict is Verdict.SKIPPED:
        return "What was tried was kept; some steps were not tried."
    return "Nothing was lost as far as this run can tell, and it cannot tell everything: see the steps marked “?”."


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def _by_scenario(logs: Mapping[str, str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The files of each scenario without its name; of two names that fit, the longer one."""
    out: dict[str, dict[str, str]] = {name: {} for name in names}
    for file, text in logs.items():
        fitting = [name for name in names if file.startswith(f"{name}-")]
        if fitting:
            name = max(fitting, key=len)
            out[name][file.removeprefix(f"{name}-")] = text
    return out


class _Scenario:
    def __init__(
        self,
        run: RunResult,
        result: ScenarioResult,
        entries: Sequence[Entry],
        files: Mapping[str, str],
        allowance: Allowance,
    ) -> None:
        self._result = result
        self._entries = entries
        self._recorded = recorded_steps(entries)
        self._allowance = allowance
        self._faults = {
            f.removesuffix("-fault.txt"): text for f, text in files.items() if f.endswith("-fault.txt")
        }
        services = {f.removesuffix(".log"): text for f, text in files.items() if not f.endswith("-fault.txt")}
        self._logs = ServiceLogs(services, run.started)
        self._seed = run.seed
        self._services = _services(entries)
        self._began = next((e.record for e in entries if isinstance(e.record, ScenarioBegan)), None)
        declared = [path.name for path in self._began.paths] if self._began else []
        shown = [path for step in result.steps for path in step.paths]
        self._paths = list(dict.fromkeys([*declared, *shown]))
        self._bytes = Bytes(result, entries, allowance)

    def view(self, several: bool) -> ScenarioView:
        result = self._result
        told = [e.record for e in self._entries if isinstance(e.record, StackPrepared)]
        prepared = told[-1] if told else None
        lines, left_out = difference(prepared.original, prepared.isolated) if prepared else ([], 0)
        prefix = f"{result.name}-" if several else ""
        ids = {step.step: self._allowance.id(f"step-{prefix}{step.step}") for step in result.steps}
        # Steps that are not kept are drawn whole before the others.
        order = sorted(result.steps, key=lambda step: step.verdict is Verdict.KEPT)
        views = {step.step: self._step(step, ids[step.step]) for step in order}
        return ScenarioView(
            id=self._allowance.id(f"scenario-{result.name}"),
            result=result,
            verdict=verdict_said(result.verdict, [f for step in result.steps for f in step.findings]),
            known=[
                f"{loss.symptom} after {loss.event} ({loss.why}): {known_status(loss)}"
                for loss in result.known
            ],
            looking=looking(result.kept) if result.kept else [],
            paths=self._paths,
            links=ids,
            rows=matrix(result.steps, ids, self._paths),
            steps=[views[step.step] for step in result.steps],
            difference=lines,
            difference_left_out=left_out,
            logs=self._logs.tails(),
            reproduce=command("persistence", "run", result.source, "--seed", str(self._seed)),
        )

    def _step(self, step: StepResult, anchor: str) -> StepView:
        recorded = self._recorded.get(step.step)
        findings = [self._finding(finding, anchor) for finding in step.findings]
        wrong_paths = list(dict.fromkeys(path for finding in step.findings for path in finding.paths))
        odd = (
            [write for write in recorded.writes if write.outcome is None or write.outcome != "ok"]
            if recorded
            else []
        )
        return StepView(
            id=anchor,
            result=step,
            open=step.verdict is not Verdict.KEPT or bool(step.findings),
            known=known_losses(step.findings) > 0,
            verdict=verdict_said(step.verdict, step.findings),
            paths=wrong_paths or [name for name, count in step.paths.items() if count.checked],
            codes=list(dict.fromkeys(finding.code for finding in step.findings)),
            findings=findings,
            reasons=[_text(reason) for reason in dict.fromkeys(step.reasons)]
            if not findings or step.reasons
            else [],
            timeline=self._timeline(step, recorded) if recorded else None,
            phases=recorded.phases() if recorded else [],
            looks=recorded.looks if recorded else [],
            answers=odd[:ANSWERS_SHOWN],
            answers_left_out=max(len(odd) - ANSWERS_SHOWN, 0),
            logs=self._around(recorded) if recorded else [],
            fault=_text(self._faults[step.step])[-FAULT_LINES:] if step.step in self._faults else [],
            reproduce=list(dict.fromkeys(finding.reproduce for finding in step.findings)),
        )

    def _timeline(self, step: StepResult, recorded: Recorded) -> Timeline:
        wrong = {path: max(count.checked - count.ok, 0) for path, count in step.paths.items()}
        for finding in step.findings:
            for path in finding.paths:
                wrong[path] = max(wrong.get(path, 0), 1)
        drawn = timeline(recorded, self._services, wrong, self._allowance.drawn)
        self._allowance.drawn -= len(recorded.writes) - drawn.left_out
        self._allowance.operations_left_out += drawn.left_out
        return drawn

    def _around(self, recorded: Recorded) -> list[Excerpt]:
        if recorded.event_began is None:
            return []
        end = recorded.ready_again[0] if recorded.ready_again else recorded.event_end or recorded.end
        return self._logs.around(recorded.event_began, end)

    def _finding(self, finding: FindingResult, step: str) -> FindingView:
        names = finding.names[:NAMES_SHOWN]
        self._allowance.names_left_out += finding.count - len(names)
        evidence = finding.evidence[:EVIDENCE_SHOWN]
        names_word = "1 name" if finding.count == 1 else f"{finding.count:,} names"
        after = "before any event" if finding.step == "up" else f"after {finding.step}"
        return FindingView(
            id=self._allowance.id(f"{step}-{finding.code}"),
            result=finding,
            headline=f"{names_word} {finding.symptom} {after} on {', '.join(finding.paths)}",
            names=names,
            names_left_out=finding.count - len(names),
            evidence=[printable(line) for line in evidence],
            evidence_left_out=finding.count - len(evidence),
            comparisons=self._bytes.comparisons(finding),
        )


def _text(text: str) -> list[str]:
    return [printable(line) for line in without_secrets(text).rstrip("\n").split("\n")]


def _services(entries: Iterable[Entry]) -> list[str]:
    """The containers of the stack by service, as the proofs call them: with a number where a service has several."""
    ready = [e.record for e in entries if isinstance(e.record, StackReady)]
    keys = sorted({key for record in ready for key in record.images})
    services = Counter(key.rpartition("-")[0] for key in keys)
    names = (key if services[key.rpartition("-")[0]] > 1 else key.rpartition("-")[0] for key in keys)
    return [name for name in names if name and not name.startswith(CONTROL)]
