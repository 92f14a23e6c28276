"""Words that the terminal, the summary and the test reports share."""

from __future__ import annotations

from collections import Counter

from persistence_tests.model.finding import Verdict
from persistence_tests.report.result import RunResult

MARKS = {
    Verdict.KEPT: "✓",
    Verdict.LOST: "✗",
    Verdict.UNAVAILABLE: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.SKIPPED: "-",
}


def budget(result: RunResult) -> str:
    """What was wrong of what was acknowledged, and how many steps ended how."""
    written = sum(step.written["ok"] for step in result.steps)
    wrong = len({name for finding in result.findings for name in finding.names})
    verdicts = Counter(step.verdict for step in result.steps)
    steps = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
    checks = sum(count["checked"] for step in result.steps for count in step.paths.values())
    return (
        f"{wrong} names wrong, {written} writes acknowledged, {checks} checks · {steps or 'no steps'} · "
        f"{result.seconds:.0f} s"
    )
