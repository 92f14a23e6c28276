"""Words that the terminal, the summary and the test reports share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from persistence_tests.model.finding import Verdict
from persistence_tests.report.printable import plural, printable
from persistence_tests.report.result import (
    FindingResult,
    KnownLossResult,
    PathResult,
    RunResult,
    StepResult,
    Written,
)

MARKS = {
    Verdict.KEPT: "✓",
    Verdict.LOST: "✗",
    Verdict.UNAVAILABLE: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.SKIPPED: "-",
}


def known_losses(findings: Iterable[FindingResult]) -> int:
    return sum(finding.known is not None for finding in findings)


def verdict_said(verdict: Verdict, findings: Iterable[FindingResult]) -> str:
    """A verdict never hides what is known: "kept, with 3 known losses"."""
    known = known_losses(findings)
    words = "1 known loss" if known == 1 else f"{known} known losses"
    return f"{verdict}, with {words}" if known else str(verdict)


def known_said(finding: FindingResult) -> str:
    """Why a known loss fails nothing, in one line."""
    if finding.known is None:
        return ""
    until = f", known until {finding.known.until}" if finding.known.until else ""
    return f"{finding.known.why} (line {finding.known.line}{until})"


def known_status(loss: KnownLossResult) -> str:
    """What a run says of an entry of `known`, and what is to be done about it."""
    match loss.status:
        case "failing":
            return f"still lost: {plural(loss.count, 'name')}" + (
                f", known until {loss.until}" if loss.until else ""
            )
        case "not-seen":
            return f"not seen, in {plural(loss.clean, 'step')} in a row of the {loss.mended_after} that show it mended"
        case "mended":
            return f"mended, not seen in {plural(loss.clean, 'step')} in a row: remove the entry"
        case "expired":
            return (
                f"known until {loss.until}, which is over: mend it, remove the entry, or give it another date"
            )
    return "not tried"


def budget(result: RunResult) -> list[str]:
    """What was wrong of what was acknowledged, and how many steps ended how; pieces of one line."""
    written = sum(step.written.ok for step in result.steps)
    wrong = sum(wrong_names(step) for step in result.steps)
    known = sum(wrong_names(step, known=True) for step in result.steps)
    verdicts = Counter(step.verdict for step in result.steps)
    steps = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
    checks = sum(count.checked for step in result.steps for count in step.paths.values())
    names = f"{plural(wrong, 'name')} wrong" + (f", {known} known to be" if known else "")
    return [
        f"{names}, {plural(written, 'write')} acknowledged",
        plural(checks, "check"),
        f"steps: {steps}" if steps else "no steps",
        f"{result.seconds:.0f} s",
    ]


def counts(outcome: Written, paths: Mapping[str, PathResult]) -> list[str]:
    """What was written and what each path showed after the event; pieces of one line."""
    written = f"{outcome.ok} written"
    if outcome.info:
        written += f" (+{outcome.info} unanswered)"
    if not paths or not any(count.checked for count in paths.values()):
        return [written, "nothing checked"]
    checked = sorted({count.checked for count in paths.values()})
    if checked[0] and all(count.ok == count.checked for count in paths.values()):
        # A path that cannot show a thing, such as a server a symbolic link, has fewer names to check.
        right = "–".join(str(count) for count in dict.fromkeys((checked[0], checked[-1])))
        return [f"{written}, {right} right ({plural(len(paths), 'path')})"]
    return [written, *(f"{printable(name)} {count.ok}/{count.checked}" for name, count in paths.items())]


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


def wrong_names(step: StepResult, *, known: bool = False) -> int:
    """How many names are wrong in a step, or known to be and in no other way.

    One that is wrong in two ways counts once, as far as names are listed.
    """

    def names(findings: Iterable[FindingResult]) -> set[str]:
        return {name for finding in findings for name in finding.names}

    counting = [finding for finding in step.findings if finding.known is None]
    own = [finding for finding in step.findings if finding.known] if known else counting
    listed = names(own) - (names(counting) if known else set())
    return len(listed) + sum(finding.count - len(finding.names) for finding in own)


def _quoted(word: str) -> str:
    shown = printable(word)
    if shown == word:
        return shlex.quote(word)
    inner = word.encode("utf-8", "surrogateescape").decode("latin-1")
    escaped = "".join(c if " " <= c <= "~" and c not in "'\\" else f"\\x{ord(c):02x}" for c in inner)
    return f"$'{escaped}'"  # ANSI-C quoting, of bash, zsh and ksh
