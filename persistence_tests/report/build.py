"""Judges a history and puts together what the reports need. Pure: the same result for the same entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from persistence_tests.audit.configuration import Configuration
from persistence_tests.audit.diagnosis import Case, diagnose
from persistence_tests.model.finding import Finding, StepJudgement, Verdict, worst
from persistence_tests.model.observation import NodeKind
from persistence_tests.model.operation import Outcome
from persistence_tests.model.oracle import judge
from persistence_tests.model.records import (
    AbsenceProbed,
    Claim,
    Completed,
    ControlsChecked,
    DataFate,
    Entry,
    EventBegan,
    EventEnded,
    FoundElsewhere,
    Invoked,
    PathDeclared,
    PathObserved,
    Phase,
    Record,
    RunBegan,
    RunEnded,
    ScenarioBegan,
    StackPrepared,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
    StepPlanned,
)
from persistence_tests.report.result import (
    SCHEMA_VERSION,
    ClaimResult,
    FindingResult,
    Location,
    RunResult,
    ScenarioResult,
    StepResult,
)

NAMES_SHOWN = 100
SHOWN_BY_WRITES = "writes"
SHOWN_BY_DIRECTORIES = ("directories", "mode")

R = TypeVar("R", bound=Record)


def build(entries: Sequence[Entry], *, allow_skip: bool = False) -> RunResult:
    """The result of a run, complete or not."""
    began = _first(entries, RunBegan)
    ended = _first(entries, RunEnded)
    scenarios = [
        _Scenario([entry for entry in entries if entry.scenario == judgement.scenario], began).result(
            judgement.verdict, judgement.steps
        )
        for judgement in judge(entries)
    ]
    complete = ended is not None and ended.complete
    return RunResult(
        schema_version=SCHEMA_VERSION,
        run_id=began.run if began else "",
        version=began.version if began else "",
        started=began.started if began else "",
        seconds=entries[-1].at if entries else 0.0,
        verdict=worst([scenario.verdict for scenario in scenarios]),
        exit_code=_exit_code(scenarios, ended, allow_skip=allow_skip),
        complete=complete,
        stopped=ended.why if ended else "the history ends before the run does",
        seed=began.seed if began else 0,
        environment=dict(began.environment) if began else {},
        scenarios=scenarios,
    )


def step_result(entries: Sequence[Entry], scenario: str, judged: StepJudgement) -> StepResult:
    """The result of one step of a run that may still be under way."""
    own = [entry for entry in entries if entry.scenario == scenario]
    return _Scenario(own, _first(entries, RunBegan)).step(judged)


def _exit_code(scenarios: Iterable[ScenarioResult], ended: RunEnded | None, *, allow_skip: bool) -> int:
    if ended is not None and ended.why == "interrupted":
        return 130
    verdicts = {verdict for scenario in scenarios for verdict in _verdicts(scenario)}
    if verdicts & {Verdict.LOST, Verdict.UNAVAILABLE}:
        return 1
    harmless = {Verdict.KEPT, Verdict.SKIPPED} if allow_skip else {Verdict.KEPT}
    return 0 if ended is not None and ended.complete and verdicts and verdicts <= harmless else 2


def _verdicts(scenario: ScenarioResult) -> Iterator[Verdict]:
    yield scenario.verdict
    for step in scenario.steps:
        yield step.verdict


class _Scenario:
    """The records of one scenario, sorted for the reports."""

    def __init__(self, entries: Sequence[Entry], run: RunBegan | None) -> None:
        self._entries = entries
        self._seed = run.seed if run else 0
        began = _first(entries, ScenarioBegan)
        if began is None:
            raise ValueError("a scenario was judged that never began")
        self._began = began
        self._prepared = _first(entries, StackPrepared)
        self._planned = {planned.step: planned for planned in began.steps}
        self._absence = {r.path: r.shows_absence for r in _all(entries, AbsenceProbed)}

    def result(self, verdict: Verdict, judged: Sequence[StepJudgement]) -> ScenarioResult:
        prepared = self._prepared
        ready = _first(self._entries, StackReady)
        steps = [self.step(step) for step in judged]
        return ScenarioResult(
            name=self._began.name,
            source=self._began.source,
            verdict=verdict,
            project=prepared.project if prepared else "",
            isolation=prepared.isolation if prepared else "",
            changes=list(prepared.changes) if prepared else [],
            images=dict(ready.images) if ready else {},
            claims=[self._claim(claim, steps) for claim in self._began.claims],
            notes=[
                f"{path} answers 2xx for a name never written: it cannot show that a file is gone"
                for path, shows in self._absence.items()
                if not shows
            ],
            steps=steps,
        )

    def step(self, judged: StepJudgement) -> StepResult:
        entries = list(_between(self._entries, judged.step))
        ended = _first(entries, EventEnded)
        again = _first(entries, StackReadyAgain)
        controls = _first(entries, ControlsChecked)
        finish = _first(entries, StepEnded)
        outcomes = Counter(completed.outcome for completed in _all(entries, Completed))
        invoked = sum(1 for _ in _all(entries, Invoked))
        planned = self._planned.get(judged.step) or StepPlanned(judged.step, judged.event, judged.event)
        return StepResult(
            step=judged.step,
            event=judged.event,
            title=planned.title,
            verdict=judged.verdict,
            reasons=list(judged.reasons),
            seconds=finish.seconds if finish else 0.0,
            event_at=next((e.at for e in entries if isinstance(e.record, EventBegan)), None),
            event_seconds=ended.seconds if ended else None,
            ready_seconds=again.seconds if again and again.ready else None,
            written={
                "ok": outcomes[Outcome.OK],
                "fail": outcomes[Outcome.FAIL],
                "info": invoked - outcomes[Outcome.OK] - outcomes[Outcome.FAIL],
            },
            proof=[{"source": e.source, "fact": e.fact} for e in (ended.proof if ended else ())],
            controls=[
                {"store": c.store, "duty": c.duty.value, "behaved": c.behaved, "detail": c.detail}
                for c in (controls.checks if controls else ())
            ],
            paths={name: {"checked": c.checked, "ok": c.ok} for name, c in judged.paths.items()},
            findings=[self._finding(finding, planned, entries) for finding in judged.findings],
        )

    def _finding(self, finding: Finding, planned: StepPlanned, entries: Sequence[Entry]) -> FindingResult:
        diagnosis = diagnose(self._case(finding, entries))
        return FindingResult(
            code=finding.code,
            symptom=finding.symptom.value,
            event=finding.event,
            step=finding.step,
            paths=list(finding.paths),
            names=list(finding.names[:NAMES_SHOWN]),
            count=len(finding.names),
            evidence=list(finding.evidence),
            diagnosis=(
                {"rule": diagnosis.rule, "cause": diagnosis.cause, "fix": diagnosis.fix}
                if diagnosis
                else None
            ),
            reproduce=f"persistence run {self._began.source} --event {finding.event} --seed {self._seed}",
            location=Location(self._began.source, planned.line, planned.column, planned.text),
        )

    def _case(self, finding: Finding, entries: Sequence[Entry]) -> Case:
        began = _first(entries, StepBegan)
        direct = self._declared("direct")
        volume = self._declared("volume")
        ready = [record for record in _all(self._entries, StackReady) if record.ready]
        prepared = self._prepared
        return Case(
            finding=finding,
            configuration=Configuration(
                prepared.original if prepared else {}, ready[-1].mounts if ready else {}
            ),
            fate=began.fate if began else DataFate.KEPT,
            service=direct.detail.get("service") if direct else None,
            root=direct.root if direct else None,
            volume=volume.detail.get("volume") if volume else None,
            stored=frozenset(path.name for path in self._began.paths if path.stored),
            served=frozenset(path.name for path in self._began.paths if not path.stored),
            intact=frozenset(_intact_directories(finding, self._entries)),
            shows_absence=self._absence,
            found_on=tuple(
                sorted(
                    {
                        found.volume
                        for found in _all(entries, FoundElsewhere)
                        if found.name in set(finding.names)
                    }
                )
            ),
        )

    def _declared(self, kind: str) -> PathDeclared | None:
        return next((path for path in self._began.paths if path.kind == kind), None)

    def _claim(self, claim: Claim, steps: Sequence[StepResult]) -> ClaimResult:
        return ClaimResult(claim.text, claim.shown_by, self._shown(claim.shown_by, steps))

    def _shown(self, by: str, steps: Sequence[StepResult]) -> Verdict | None:
        """What the run says of the part that shows a claim; None where that part was not run."""
        own = [step for step in steps if step.step == by]
        if own:
            return own[0].verdict
        if not steps:
            return None
        if by in {path.name for path in self._began.paths}:
            return _path_verdict(by, steps)
        if by in SHOWN_BY_DIRECTORIES:
            broken = any(name.endswith("/") for step in steps for f in step.findings for name in f.names)
            return Verdict.LOST if broken else _basis(steps)
        if by == SHOWN_BY_WRITES:
            written = any(step.written["ok"] for step in steps)
            return steps[0].verdict if written else Verdict.INCONCLUSIVE
        return None


def _path_verdict(path: str, steps: Sequence[StepResult]) -> Verdict:
    if any(path in finding.paths for step in steps for finding in step.findings):
        return Verdict.LOST
    checked = sum(step.paths.get(path, {}).get("checked", 0) for step in steps)
    return _basis(steps) if checked else Verdict.INCONCLUSIVE


def _basis(steps: Sequence[StepResult]) -> Verdict:
    """A claim shown by every step holds where no step says otherwise: it needs one that was judged."""
    return Verdict.KEPT if any(step.verdict is Verdict.KEPT for step in steps) else Verdict.INCONCLUSIVE


def _intact_directories(finding: Finding, entries: Sequence[Entry]) -> Iterator[str]:
    """Top directories in which a name of this run is still there, right, after the finding's event."""
    wrong = set(finding.names)
    written = {record.operation.name for record in _all(entries, Invoked)}
    for entry in entries:
        record = entry.record
        if isinstance(record, PathObserved) and record.step == finding.step and record.phase is Phase.AFTER:
            for name, seen in record.observations.items():
                if seen.kind is NodeKind.FILE and name in written and name not in wrong:
                    yield name.split("/", 1)[0] if "/" in name else "."


def _between(entries: Sequence[Entry], step: str) -> Iterator[Entry]:
    """The entries from the step's beginning to its end."""
    inside = False
    for entry in entries:
        record = entry.record
        if isinstance(record, StepBegan) and record.step == step:
            inside = True
        if inside:
            yield entry
        if isinstance(record, StepEnded) and record.step == step:
            return


def _all(entries: Iterable[Entry], kind: type[R]) -> Iterator[R]:
    return (entry.record for entry in entries if isinstance(entry.record, kind))


def _first(entries: Iterable[Entry], kind: type[R]) -> R | None:
    return next(_all(entries, kind), None)
