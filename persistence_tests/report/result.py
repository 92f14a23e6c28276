"""The result of a run: the shape of `result.json`, from which every report is made.

The keys are a promise to those who read the file (DESIGN, "Interface"); `SCHEMA_VERSION` changes with them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from persistence_tests.model.finding import Verdict

SCHEMA_VERSION = "1.2"


@dataclass(frozen=True, slots=True)
class Location:
    """The line of the scenario file that asks for the step; `line` is 0 where none does. `text` is the raw line."""

    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class DiagnosisResult:
    """`rule` is what `persistence explain` takes."""

    rule: str
    cause: str
    fix: str


@dataclass(frozen=True, slots=True)
class KnownResult:
    """Why a finding fails nothing: the entry of the scenario's `known` on `line`; `until` is its last day."""

    why: str
    until: str | None
    line: int


@dataclass(frozen=True, slots=True)
class FindingResult:
    """`count` names are wrong, of which `names` are the first; `evidence` has one line for each of some of them.

    `event` is the bare name of the event, `step` that of the step. `reproduce` can be pasted into a shell. `known` is
    None where it counts.
    """

    code: str
    symptom: str
    event: str
    step: str
    paths: list[str]
    names: list[str]
    count: int
    evidence: list[str]
    diagnosis: DiagnosisResult | None
    reproduce: str
    location: Location
    known: KnownResult | None


@dataclass(frozen=True, slots=True)
class Written:
    """Operations by how they ended: acknowledged, refused for sure, nobody knows."""

    ok: int
    fail: int
    info: int


@dataclass(frozen=True, slots=True)
class ProofResult:
    """One fact of the engine: from its event stream ("stream") or by inspection ("inspect")."""

    source: str
    fact: str


@dataclass(frozen=True, slots=True)
class ControlResult:
    """What an event did to a file of our own; `duty` is "must-lose" or "must-keep"."""

    store: str
    duty: str
    behaved: bool
    detail: str


@dataclass(frozen=True, slots=True)
class PathResult:
    """Names looked at through a path after the event, and those of them that were right."""

    checked: int
    ok: int


@dataclass(frozen=True, slots=True)
class VariantResult:
    """`of` is what a step has in common with the others of its entry, `name` what it is called beside them."""

    of: str
    name: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """Times are in seconds, `event_at` since the run began; None where it did not come to that.

    `entry` is the place in the file's list of the event that it comes from, from 0; `variant` is None where no other
    step comes from it.
    """

    step: str
    event: str
    title: str
    entry: int | None
    variant: VariantResult | None
    verdict: Verdict
    reasons: list[str]
    seconds: float
    event_at: float | None
    event_seconds: float | None
    ready_seconds: float | None
    written: Written
    proof: list[ProofResult]
    controls: list[ControlResult]
    paths: dict[str, PathResult]
    findings: list[FindingResult]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """A sentence of the stack's documentation: whether what shows it held. None: not tried.

    `known`: all that it is lost by are known losses.
    """

    text: str
    shown_by: str
    verdict: Verdict | None
    known: bool


@dataclass(frozen=True, slots=True)
class KnownLossResult:
    """An entry of the scenario's `known`, and what this run says of it.

    `status` is failing, not-seen, mended, expired or not-tried. `count` names showed it in this run; `clean` steps in a
    row did not, up to the end of this run, of the `mended_after` after which it is mended.
    """

    event: str
    symptom: str
    paths: list[str]
    names: list[str]
    why: str
    until: str | None
    line: int
    status: str
    count: int
    clean: int
    mended_after: int


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A stack that was left running: `engine` is its URL, None for the usual one; `workspace` its project directory.

    `services` are keys of the Compose file, `volumes` names on the engine, `compose` is the command of Compose there.
    """

    project: str
    engine: str | None
    workspace: str
    services: list[str]
    volumes: list[str]
    compose: list[str]


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """`images` maps a container to its image's id, `volumes` a volume of the Compose file to its driver.

    `changes` are what isolation changed, `notes` what this run cannot show; `kept` is None where all was removed.
    """

    name: str
    source: str
    verdict: Verdict
    project: str
    isolation: str
    changes: list[str]
    images: dict[str, str]
    volumes: dict[str, str]
    claims: list[ClaimResult]
    known: list[KnownLossResult]
    notes: list[str]
    kept: KeptResult | None
    steps: list[StepResult]


@dataclass(frozen=True, slots=True)
class RunResult:
    """`stopped` says why a run is not `complete`."""

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
    scenarios: list[ScenarioResult]

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def steps(self) -> list[StepResult]:
        return [step for scenario in self.scenarios for step in scenario.steps]

    @property
    def findings(self) -> list[FindingResult]:
        return [finding for step in self.steps for finding in step.findings]


def json_schema() -> dict[str, Any]:
    """JSON Schema of `result.json`."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(RunResult).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Result of a run",
    }
