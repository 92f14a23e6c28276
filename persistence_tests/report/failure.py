"""A finding as a block of text, shaped like a compiler's error: what, where, why, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.report.result import FindingResult, Location, StepResult

EVIDENCE_SHOWN = 5


def finding_block(finding: FindingResult, step: StepResult) -> str:
    """Several lines, the code first; no colour, so that a log and a test report can hold it."""
    return "\n".join(_lines(finding, step))


def headline(finding: FindingResult) -> str:
    """One line: `PV001: 3 names missing after `kill` on volume, direct, api, proxy`."""
    names = "1 name" if finding.count == 1 else f"{finding.count} names"
    after = "before any event" if finding.step == "up" else f"after `{finding.step}`"
    return f"{finding.code}: {names} {finding.symptom} {after} on {', '.join(finding.paths)}"


def reason_block(step: StepResult, source: str) -> str:
    """Why a step has no finding and yet is not kept."""
    lines = [f"{step.verdict}: `{step.step}` of {source}"]
    lines += [f"   = note: {reason}" for reason in step.reasons]
    lines += [f"   = control: {c['detail']} ({c['duty']})" for c in step.controls if not c["behaved"]]
    return "\n".join(lines)


def _lines(finding: FindingResult, step: StepResult) -> Iterator[str]:
    yield f"error[{finding.code}]: {headline(finding).split(': ', 1)[1]}"
    margin = " " * len(str(finding.location.line))
    yield from _frame(finding.location, step, margin)
    for line in finding.evidence[:EVIDENCE_SHOWN]:
        yield f"{margin} = note: {line}"
    if finding.count > EVIDENCE_SHOWN:
        yield f"{margin} = note: and {finding.count - EVIDENCE_SHOWN} more names, all of them in result.json"
    if finding.diagnosis:
        yield f"{margin} = cause: {finding.diagnosis['cause']}"
        yield f"{margin} = help: {finding.diagnosis['fix']}"
    yield f"{margin} = help: `persistence explain {finding.code}`"
    yield "Reproduce with:"
    yield ""
    yield f"    {finding.reproduce}"


def _frame(place: Location, step: StepResult, margin: str) -> Iterator[str]:
    """The line of the scenario file that asks for the step, marked; the step `up` stands on none."""
    if not place.line:
        yield f"{margin}--> {place.file}"
        yield f"{margin} |"
        return
    yield f"{margin}--> {place.file}:{place.line}:{place.column}"
    yield f"{margin} |"
    yield f"{place.line} | {place.text}"
    written = place.text.split(" #", 1)[0].rstrip()
    marked = "^" * max(len(written) - place.column + 1, 1)
    injected = f" at +{step.event_at:.3f}s" if step.event_at is not None else ""
    yield f"{margin} | {' ' * (place.column - 1)}{marked}{injected}"
    yield f"{margin} |"
