"""What a run says of the sentences of the stack's documentation."""

from __future__ import annotations

from collections.abc import Sequence

from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import Claim, ScenarioBegan
from persistence_tests.report.result import ClaimResult, StepResult

WRITES = "writes"
DIRECTORIES = ("directories", "mode")


def claim_result(claim: Claim, scenario: ScenarioBegan, steps: Sequence[StepResult]) -> ClaimResult:
    return ClaimResult(claim.text, claim.shown_by, _shown(claim.shown_by, scenario, steps))


def _shown(by: str, scenario: ScenarioBegan, steps: Sequence[StepResult]) -> Verdict | None:
    """What the run says of the part that shows a claim; None where that part was not run."""
    own = [step for step in steps if step.step == by]
    if own:
        return own[0].verdict
    if not steps:
        return None
    if by in {path.name for path in scenario.paths}:
        return _path_verdict(by, steps)
    if by in DIRECTORIES:
        broken = any(name.endswith("/") for step in steps for f in step.findings for name in f.names)
        return Verdict.LOST if broken else _basis(steps)
    if by == WRITES:
        written = any(step.written.ok for step in steps)
        return steps[0].verdict if written else Verdict.INCONCLUSIVE
    return None


def _path_verdict(path: str, steps: Sequence[StepResult]) -> Verdict:
    if any(path in finding.paths for step in steps for finding in step.findings):
        return Verdict.LOST
    checked = sum(step.paths[path].checked for step in steps if path in step.paths)
    return _basis(steps) if checked else Verdict.INCONCLUSIVE


def _basis(steps: Sequence[StepResult]) -> Verdict:
    """A claim shown by every step holds where no step says otherwise: it needs one that was judged."""
    return Verdict.KEPT if any(step.verdict is Verdict.KEPT for step in steps) else Verdict.INCONCLUSIVE
