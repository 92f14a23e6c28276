"""Words that the terminal, the summary and the test reports share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from persistence_tests.model.finding import Verdict
from persistence_tests.report.printable import plural, printable
from persistence_tests.report.result import RunResult, StepResult

MARKS = {
    Verdict.KEPT: "✓",
    Verdict.LOST: "✗",
    Verdict.UNAVAILABLE: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.SKIPPED: "-",
}


def budget(result: RunResult) -> list[str]:
    """What was wrong of what was acknowledged, and how many steps ended how; pieces of one line."""
    written = sum(step.written.ok for step in result.steps)
    wrong = sum(_wrong_names(step) for step in result.steps)
    verdicts = Counter(step.verdict for step in result.steps)
    steps = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
    checks = sum(count.checked for step in result.steps for count in step.paths.values())
    return [
        f"{plural(wrong, 'name')} wrong, {plural(written, 'write')} acknowledged",
        plural(checks, "check"),
        f"steps: {steps}" if steps else "no steps",
        f"{result.seconds:.0f} s",
    ]


def counts(step: StepResult) -> list[str]:
    """What was written in a step and what each path showed after it; pieces of one line."""
    written = f"{step.written.ok} written"
    if step.written.info:
        written += f" (+{step.written.info} unanswered)"
    if not step.paths or not any(count.checked for count in step.paths.values()):
        return [written, "nothing checked"]
    checked = {count.checked for count in step.paths.values()}
    if len(checked) == 1 and all(count.ok == count.checked for count in step.paths.values()):
        return [f"{written}, {checked.pop()} right ({plural(len(step.paths), 'path')})"]
    return [written, *(f"{printable(name)} {count.ok}/{count.checked}" for name, count in step.paths.items())]


def never_begun(step: StepResult) -> bool:
    """Whether the run ended, or the stack failed, before the step's turn: there is nothing to tell of it."""
    return step.verdict is Verdict.INCONCLUSIVE and "not run" in step.reasons and not step.seconds


def command(*words: str) -> str:
    """A command that can be pasted into a shell: quoted, in one line, nothing invisible in it."""
    return " ".join(_quoted(word) for word in words)


def volume_drivers(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The driver of each volume of a resolved Compose configuration."""
    volumes = configuration.get("volumes") or {}
    return {key: str((volume or {}).get("driver") or "local") for key, volume in sorted(volumes.items())}


def _wrong_names(step: StepResult) -> int:
    """How many names are wrong in a step; one that is wrong in two ways counts once, as far as names are listed."""
    listed = {name for finding in step.findings for name in finding.names}
    return len(listed) + sum(finding.count - len(finding.names) for finding in step.findings)


def _quoted(word: str) -> str:
    shown = printable(word)
    if shown == word:
        return shlex.quote(word)
    inner = word.encode("utf-8", "surrogateescape").decode("latin-1")
    escaped = "".join(c if " " <= c <= "~" and c not in "'\\" else f"\\x{ord(c):02x}" for c in inner)
    return f"$'{escaped}'"  # ANSI-C quoting, of bash, zsh and ksh
