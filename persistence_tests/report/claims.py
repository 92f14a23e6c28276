"""What a run says of the sentences of the stack's documentation."""

from __future__ import annotations

from collections.abc import Sequence

from persistence_tests.model.finding import Verdict, worst
from persistence_tests.model.records import Claim, ScenarioBegan
from persistence_tests.report.result import ClaimResult, FindingResult, StepResult
from persistence_tests.report.variants import rows

WRITES = "writes"
DIRECTORIES = ("directories", "mode")


def claim_result(claim: Claim, scenario: ScenarioBegan, steps: Sequence[StepResult]) -> ClaimResult:
    verdict, against = _shown(claim.shown_by, scenario, steps)
    if against and verdict is Verdict.KEPT:
        verdict = Verdict.LOST  # that a loss is known makes no sentence true
    known = verdict is Verdict.LOST and bool(against) and all(finding.known for finding in against)
    return ClaimResult(claim.text, claim.shown_by, verdict, known)


def _shown(
    by: str, scenario: ScenarioBegan, steps: Sequence[StepResult]
) -> tuple[Verdict | None, list[FindingResult]]:
    """What the run says of the part that shows a claim, None where that part was not run; and what is against it."""
    own = _own(by, steps)
    if own:
        return worst([step.verdict for step in own]), [finding for step in own for finding in step.findings]
    if not steps:
        return None, []
    findings = [finding for step in steps for finding in step.findings]
    if by in {path.name for path in scenario.paths}:
        against = [finding for finding in findings if by in finding.paths]
        return (Verdict.LOST if against else _path_verdict(by, steps)), against
    if by in DIRECTORIES:
        against = [finding for finding in findings if any(name.endswith("/") for name in finding.names)]
        return (Verdict.LOST if against else _basis(steps)), against
    if by == WRITES:
        written = any(step.written.ok for step in steps)
        return (steps[0].verdict if written else Verdict.INCONCLUSIVE), steps[0].findings
    return None, []


def _own(by: str, steps: Sequence[StepResult]) -> list[StepResult]:
    """The step of that name; where it is the first of an entry that stands for several, all of them."""
    for row in rows(steps):
        names = [step.step for step in row.steps]
        if by in names:
            return list(row.steps) if by == names[0] else [row.steps[names.index(by)]]
    return []


def _path_verdict(path: str, steps: Sequence[StepResult]) -> Verdict:
    checked = sum(step.paths[path].checked for step in steps if path in step.paths)
    return _basis(steps) if checked else Verdict.INCONCLUSIVE


def _basis(steps: Sequence[StepResult]) -> Verdict:
    """A claim shown by every step holds where no step says otherwise: it needs one that was judged."""
    return Verdict.KEPT if any(step.verdict is Verdict.KEPT for step in steps) else Verdict.INCONCLUSIVE
