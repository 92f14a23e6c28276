"""Judges a history and puts together what the reports need. Pure: the same result for the same entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from persistence_tests.audit.configuration import well_formed
from persistence_tests.audit.diagnosis import diagnose
from persistence_tests.model.finding import (
    Finding,
    KnownState,
    ScenarioJudgement,
    StepJudgement,
    Verdict,
    worst,
)
from persistence_tests.model.operation import Outcome, PromiseClass
from persistence_tests.model.oracle import judge
from persistence_tests.model.records import (
    AbsenceProbed,
    Completed,
    ControlsChecked,
    Entry,
    EventBegan,
    EventEnded,
    Invoked,
    Record,
    RunBegan,
    RunEnded,
    ScenarioBegan,
    ScenarioEnded,
    StackPrepared,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
    StepPlanned,
)
from persistence_tests.report.around import Around
from persistence_tests.report.claims import claim_result
from persistence_tests.report.result import (
    SCHEMA_VERSION,
    ControlResult,
    DiagnosisResult,
    FindingResult,
    KeptResult,
    KnownLossResult,
    KnownResult,
    Location,
    PathResult,
    ProofResult,
    RunResult,
    ScenarioResult,
    StepResult,
    Written,
)
from persistence_tests.report.variants import variants
from persistence_tests.report.wording import command, volume_drivers

NAMES_SHOWN = 100

R = TypeVar("R", bound=Record)


def build(
    entries: Sequence[Entry],
    *,
    allow_skip: bool = False,
    judgements: Sequence[ScenarioJudgement] | None = None,
) -> RunResult:
    """The result of a run, complete or not.

    `judgements` are those of an oracle that has followed the same entries: judging a long run twice takes long.
    """
    began = _first(entries, RunBegan)
    ended = _first(entries, RunEnded)
    scenarios = [
        _Scenario([entry for entry in entries if entry.scenario == judgement.scenario], began).result(
            judgement
        )
        for judgement in (judge(entries) if judgements is None else judgements)
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
        self._prepared = _last(entries, StackPrepared)
        self._variants = variants(began.steps)
        self._planned = {planned.step: planned for planned in began.steps}
        self._absence = {r.path: r.shows_absence for r in _all(entries, AbsenceProbed)}

    def result(self, judgement: ScenarioJudgement) -> ScenarioResult:
        prepared = self._prepared
        ready = _first(self._entries, StackReady)
        steps = [self.step(step) for step in judgement.steps]
        return ScenarioResult(
            name=self._began.name,
            source=self._began.source,
            verdict=judgement.verdict,
            project=prepared.project if prepared else "",
            isolation=prepared.isolation if prepared else "",
            changes=list(prepared.changes) if prepared else [],
            images=dict(ready.images) if ready else {},
            volumes=volume_drivers(well_formed(prepared.original)) if prepared else {},
            claims=[claim_result(claim, self._began, steps) for claim in self._began.claims],
            known=[_known_loss(state) for state in judgement.known],
            notes=list(self._notes(steps)),
            kept=self._kept(),
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
        around = Around(self._began, self._prepared, self._entries, entries, self._absence, judged)
        return StepResult(
            step=judged.step,
            event=judged.event,
            title=planned.title,
            entry=planned.entry,
            variant=self._variants.get(judged.step),
            verdict=judged.verdict,
            reasons=list(judged.reasons),
            seconds=finish.seconds if finish else 0.0,
            event_at=next((e.at for e in entries if isinstance(e.record, EventBegan)), None),
            event_seconds=ended.seconds if ended else None,
            ready_seconds=again.seconds if again and again.ready else None,
            written=Written(
                outcomes[Outcome.OK],
                outcomes[Outcome.FAIL],
                invoked - outcomes[Outcome.OK] - outcomes[Outcome.FAIL],
            ),
            proof=[ProofResult(e.source, e.fact) for e in (ended.proof if ended else ())],
            controls=[
                ControlResult(c.store, c.duty.value, c.behaved, c.detail)
                for c in (controls.checks if controls else ())
            ],
            paths={name: PathResult(c.checked, c.ok) for name, c in judged.paths.items()},
            findings=[self._finding(finding, planned, around) for finding in judged.findings],
        )

    def _finding(self, finding: Finding, planned: StepPlanned, around: Around) -> FindingResult:
        diagnosis = diagnose(around.case(finding))
        return FindingResult(
            code=finding.code,
            symptom=finding.symptom.value,
            event=finding.event,
            step=finding.step,
            paths=list(finding.paths),
            names=list(finding.names[:NAMES_SHOWN]),
            count=len(finding.names),
            evidence=list(finding.evidence),
            diagnosis=DiagnosisResult(diagnosis.rule, diagnosis.cause, diagnosis.fix) if diagnosis else None,
            reproduce=command(
                "persistence", "run", self._began.source, "--event", finding.step, "--seed", str(self._seed)
            ),
            location=Location(self._began.source, planned.line, planned.column, planned.text),
            known=KnownResult(known.why, known.until, known.line) if (known := finding.known) else None,
        )

    def _kept(self) -> KeptResult | None:
        ended = _first(self._entries, ScenarioEnded)
        if ended is None or (kept := ended.kept) is None:
            return None
        lists = (list(kept.services), list(kept.volumes), list(kept.compose))
        return KeptResult(kept.project, kept.engine, kept.workspace, *lists)

    def _notes(self, steps: Sequence[StepResult]) -> Iterator[str]:
        blind = {
            probed.path: probed.detail
            for probed in _all(self._entries, AbsenceProbed)
            if not probed.shows_absence
        }
        for path, detail in blind.items():
            yield f"{path} cannot show that a file is gone: asked for a name never written, it answered {detail}"
        judged = {step.step for step in steps}
        left = [planned.step for planned in self._began.steps if planned.step not in judged]
        if left:
            yield f"not run: {', '.join(left)}"
        written = {rule.through for rule in self._began.rules} - {path.name for path in self._began.paths}
        if written:
            yield f"files were written through {', '.join(sorted(written))}, and not looked for there"
        tried = {record.promise for record in _all(self._entries, StepBegan)}
        if PromiseClass.POWER_LOSS in self._began.promised and PromiseClass.POWER_LOSS not in tried:
            yield "no power cut was tried: what is kept may have been in memory only"


def _known_loss(state: KnownState) -> KnownLossResult:
    loss = state.loss
    return KnownLossResult(
        event=loss.event,
        symptom=loss.symptom.value,
        paths=list(loss.paths),
        names=list(loss.names),
        why=loss.why,
        until=loss.until,
        line=loss.line,
        status=state.status.value,
        count=state.names,
        clean=state.clean,
        mended_after=loss.mended_after,
    )


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


def _last(entries: Iterable[Entry], kind: type[R]) -> R | None:
    return _first(reversed(list(entries)), kind)
