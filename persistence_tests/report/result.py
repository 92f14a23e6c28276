"""The result of a run: the shape of `result.json`, from which every report is made.

The keys are a promise to those who read the file (DESIGN, "Interface"); `SCHEMA_VERSION` changes with them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from persistence_tests.model.finding import Verdict

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Location:
    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class FindingResult:
    code: str
    symptom: str
    event: str
    step: str
    paths: list[str]
    names: list[str]
    count: int
    evidence: list[str]
    diagnosis: dict[str, str] | None
    reproduce: str
    location: Location


@dataclass(frozen=True, slots=True)
class StepResult:
    step: str
    event: str
    title: str
    verdict: Verdict
    reasons: list[str]
    seconds: float
    event_at: float | None
    event_seconds: float | None
    ready_seconds: float | None
    written: dict[str, int]
    proof: list[dict[str, str]]
    controls: list[dict[str, Any]]
    paths: dict[str, dict[str, int]]
    findings: list[FindingResult]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A sentence of the stack's documentation: whether what shows it held."""

    text: str
    shown_by: str
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    name: str
    source: str
    verdict: Verdict
    project: str
    isolation: str
    changes: list[str]
    images: dict[str, str]
    claims: list[ClaimResult]
    notes: list[str]
    steps: list[StepResult]


@dataclass(frozen=True, slots=True)
class RunResult:
    schema_version: str
    run_id: str
    version: str
    started: str
    seconds: float
    verdict: Verdict
    exit_code: int
    complete: bool
    stopped: str | None
    seed: int
    environment: dict[str, str]
    scenarios: list[ScenarioResult] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def steps(self) -> list[StepResult]:
        return [step for scenario in self.scenarios for step in scenario.steps]

    @property
    def findings(self) -> list[FindingResult]:
        return [finding for step in self.steps for finding in step.findings]
