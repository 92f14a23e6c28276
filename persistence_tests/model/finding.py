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
class KnownLoss:
    """An entry of a scenario's `known`: a loss that fails nothing until it is mended.

    `event` is an event or a step; `paths` are all that may show it; `names` are patterns, none for every name; `until`
    is the last day on which it is known (ISO 8601). `clean` is how many steps with its event, before this run and in a
    row, did not show it.
    """

    event: str
    symptom: Symptom
    paths: tuple[str, ...]
    names: tuple[str, ...]
    why: str
    until: str | None
    mended_after: int
    line: int
    column: int
    clean: int = 0


class KnownStatus(StrEnum):
    """What a run says of a known loss."""

    FAILING = "failing"
    NOT_SEEN = "not-seen"
    MENDED = "mended"
    EXPIRED = "expired"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True, slots=True)
class KnownState:
    """`names` is how many names showed it in this run, `clean` how many steps in a row did not, up to its end."""

    loss: KnownLoss
    status: KnownStatus
    names: int
    clean: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: one symptom, after one event, on the same paths, for one or more names.

    `names` is sorted and whole; reports cap it. `evidence` has one line for each of the first names. `known` is the
    known loss that it is: it fails nothing.
    """

    symptom: Symptom
    event: str
    step: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    evidence: tuple[str, ...]
    known: KnownLoss | None = None

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
    known: tuple[KnownState, ...] = ()
