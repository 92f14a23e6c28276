"""Findings and verdicts: what the oracle says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Symptom(StrEnum):
    """What can be wrong with a name. A closed set; the order of the members is their precedence.

    Findings are listed in this order. Which symptom wrong bytes are is a series of questions of its own, in
    `oracle.symptoms`; what an absence on a served path means, in `oracle.sight`.
    """

    ORPHANED = "orphaned"
    MISSING = "missing"
    EMPTY = "empty"
    STALE = "stale"
    CORRUPTED = "corrupted"
    FOREIGN = "foreign"
    TORN = "torn"
    ZEROED = "zeroed"
    TRUNCATED = "truncated"
    RESURRECTED = "resurrected"
    UNEXPECTED = "unexpected"
    MASKED = "masked"
    UNSERVED = "unserved"
    DIVERGING = "diverging"
    DANGLING = "dangling"
    UNREFERENCED = "unreferenced"
    METADATA = "metadata"

    @property
    def code(self) -> str:
        return CODES[self]


# Codes are part of the interface: a symptom keeps its code for ever, whatever its precedence becomes.
CODES: dict[Symptom, str] = {
    Symptom.MISSING: "PV001",
    Symptom.ORPHANED: "PV002",
    Symptom.EMPTY: "PV003",
    Symptom.TRUNCATED: "PV004",
    Symptom.ZEROED: "PV005",
    Symptom.TORN: "PV006",
    Symptom.CORRUPTED: "PV007",
    Symptom.FOREIGN: "PV008",
    Symptom.STALE: "PV009",
    Symptom.RESURRECTED: "PV010",
    Symptom.UNEXPECTED: "PV011",
    Symptom.METADATA: "PV012",
    Symptom.UNSERVED: "PV013",
    Symptom.MASKED: "PV014",
    Symptom.DIVERGING: "PV015",
    Symptom.DANGLING: "PV016",
    Symptom.UNREFERENCED: "PV017",
}


class Verdict(StrEnum):
    """`kept` · `lost` · `unavailable` · `inconclusive` · `skipped`; see DESIGN, "Words"."""

    LOST = "lost"
    UNAVAILABLE = "unavailable"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    KEPT = "kept"


def worst(verdicts: list[Verdict]) -> Verdict:
    """The first of lost, unavailable, inconclusive, skipped, kept that occurs; nothing is inconclusive."""
    return min(verdicts, key=list(Verdict).index, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: one symptom, after one event, on the same paths, for one or more names.

    `names` is sorted and whole; reports cap it. `evidence` has one line for each of the first names.
    """

    symptom: Symptom
    event: str
    step: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    evidence: tuple[str, ...]

    @property
    def code(self) -> str:
        return self.symptom.code


@dataclass(frozen=True, slots=True)
class PathCount:
    """How many names were checked through a path after the event, and how many were right."""

    checked: int
    ok: int


@dataclass(frozen=True, slots=True)
class StepJudgement:
    step: str
    event: str
    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    paths: dict[str, PathCount]


@dataclass(frozen=True, slots=True)
class ScenarioJudgement:
    scenario: str
    verdict: Verdict
    steps: tuple[StepJudgement, ...]
