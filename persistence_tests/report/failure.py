"""A step that is not kept as text, shaped like a compiler's error: what, where, why, what to do.

No colour, so that a log and a test report can hold it; nothing in it acts on a terminal (`printable`).
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from persistence_tests.model.finding import Verdict
from persistence_tests.report.layout import cut, folded
from persistence_tests.report.printable import lines, printable, printed
from persistence_tests.report.result import FindingResult, Location, StepResult
from persistence_tests.report.wording import known_said

EVIDENCE_SHOWN = 5
LOG_LINES_SHOWN = 15


def step_block(step: StepResult, source: str, width: int | None = None) -> str:
    """All that is wrong with a step that is not kept: its findings, or the reasons why nothing was shown.

    Lines have at most `width` cells where that is given; a command to be pasted is never folded.
    """
    told: set[str] = set()
    blocks = ["\n".join(_finding(finding, step, told, width)) for finding in step.findings]
    if step.reasons or not step.findings:
        blocks.append("\n".join(_reasons(step, source, width)))
    commands = list(dict.fromkeys(finding.reproduce for finding in step.findings))
    if commands:
        blocks.append("\n".join(["Reproduce with:", "", *(f"    {command}" for command in commands)]))
    return "\n\n".join(blocks)


def headline(finding: FindingResult) -> str:
    """One line: `PV001: 3 names missing after `kill` on volume, direct, api, proxy`."""
    names = "1 name" if finding.count == 1 else f"{finding.count} names"
    after = "before any event" if finding.step == "up" else f"after `{finding.step}`"
    return printable(f"{finding.code}: {names} {finding.symptom} {after} on {', '.join(finding.paths)}")


def because(step: StepResult) -> list[str]:
    """One line for each thing that is wrong with a step; none for one that is kept."""
    if counting := [finding for finding in step.findings if finding.known is None]:
        return [headline(finding) for finding in counting]
    if step.verdict is Verdict.KEPT:
        return []
    return list(dict.fromkeys(lines(reason)[0].removesuffix(":") for reason in step.reasons))


def known_lines(step: StepResult) -> list[str]:
    """One line for each known loss that a step shows again."""
    return [
        f"known {headline(finding)}: {printable(known_said(finding))}"
        for finding in step.findings
        if finding.known
    ]


def _finding(finding: FindingResult, step: StepResult, told: set[str], width: int | None) -> Iterator[str]:
    """`told` are the causes that stand above already."""
    yield f"{'known' if finding.known else 'error'}[{finding.code}]: {headline(finding).split(': ', 1)[1]}"
    margin = " " * len(str(finding.location.line))
    yield from _frame(finding.location, step, margin, width)
    shown = printed(finding)

    def told_as(kind: str, text: str) -> Iterator[str]:
        yield from folded(text, width, first=f"{margin} = {kind}: ", rest=f"{margin}   ")

    if finding.known:
        yield from told_as("known", printable(known_said(finding)))
    for line in shown.evidence[:EVIDENCE_SHOWN]:
        yield from told_as("note", line)
    if shown.count > EVIDENCE_SHOWN:
        whole = shown.count == len(shown.names)
        listed = (
            "all of them in result.json"
            if whole
            else f"the first {len(shown.names)} names are in result.json"
        )
        yield from told_as("note", f"and {shown.count - EVIDENCE_SHOWN} more, {listed}")
    diagnosis = shown.diagnosis
    if diagnosis and diagnosis.cause in told:
        yield from told_as("cause", f"the same as above (`{diagnosis.rule}`)")
    elif diagnosis:
        yield from told_as("cause", diagnosis.cause)
        yield from told_as("help", diagnosis.fix)
        told.add(diagnosis.cause)
    more = f" and `persistence explain {diagnosis.rule}`" if diagnosis else ""
    yield from told_as("help", f"see `persistence explain {shown.code}`{more}")


def _reasons(step: StepResult, source: str, width: int | None) -> Iterator[str]:
    """What a step says without a finding. A log that several reasons end with stands there once."""
    yield f"{step.verdict}: `{printable(step.step)}` of {printable(source)}"
    shown: set[str] = set()
    for reason in dict.fromkeys(step.reasons):
        head, *log = lines(reason)
        log = [line.strip().removeprefix("|").strip() for line in log][-LOG_LINES_SHOWN:]
        new = [line for line in log if line not in shown]
        shown.update(new)
        yield from folded(head if new else head.removesuffix(":"), width, first="  = note: ", rest="    ")
        for line in new:
            yield from folded(line, width, first="    | ", rest="    |   ")
    for control in printed(step.controls):
        if not control.behaved:
            yield from folded(f"{control.detail} ({control.duty})", width, first="  = control: ", rest="    ")


def _frame(place: Location, step: StepResult, margin: str, width: int | None) -> Iterator[str]:
    """The line of the scenario file that asks for the step, marked; the step `up` stands on none."""
    file = printable(place.file)
    if not place.line:
        yield f"{margin}--> {file}"
        yield f"{margin} |"
        return
    yield f"{margin}--> {file}:{place.line}:{place.column}"
    yield f"{margin} |"
    yield cut(f"{place.line} | {printable(place.text)}", width)
    before, written = (
        place.text[: place.column - 1],
        place.text[place.column - 1 :].split(" #", 1)[0].rstrip(),
    )
    indent = " " * cell_len(printable(before))
    marked = "^" * max(cell_len(printable(written)), 1)
    injected = f" at +{step.event_at:.3f}s" if step.event_at is not None else ""
    if width is not None and len(margin) + 3 + len(indent + marked + injected) > width:
        marked, injected = marked[: max(width - len(margin) - 3 - len(indent), 1)], ""
    yield f"{margin} | {indent}{marked}{injected}"
    yield f"{margin} |"
