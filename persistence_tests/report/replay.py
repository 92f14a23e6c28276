"""The result of a replay: how often each of its steps lost again. The shape of `replay.json`."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from persistence_tests.model.finding import Verdict
from persistence_tests.report.result import RunResult, StepResult

SCHEMA_VERSION = "1.0"
UP = "up"


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round showed of a step; `report` is the round's directory beside `replay.json`."""

    round: int
    verdict: Verdict
    symptoms: list[str]
    reasons: list[str]
    seconds: float
    report: str


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """A step over all rounds. `recorded` are the symptoms that it had in the recorded run."""

    scenario: str
    step: str
    event: str
    title: str
    recorded: list[str]
    lost: int
    unavailable: int
    kept: int
    inconclusive: int
    skipped: int
    rounds: list[RoundResult]


@dataclass(frozen=True, slots=True)
class ReplayedScenario:
    """`changed`, in words, is what is not as it was recorded: its file, its steps, the stack's configuration."""

    name: str
    source: str
    recorded_sha256: str
    sha256: str
    changed: list[str]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """`run_id` and `history` are the recorded run's; `rounds` were asked for, `stopped` is why it is not `complete`."""

    schema_version: str
    replay_id: str
    history: str
    run_id: str
    seed: int
    rounds: int
    seconds: float
    exit_code: int
    complete: bool
    stopped: str | None
    scenarios: list[ReplayedScenario]
    steps: list[ReplayedStep]

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Asked:
    """A step that is run again: its place in the scenario, and the symptoms that it was recorded with."""

    scenario: str
    step: str
    event: str
    title: str
    recorded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """One round; `directory` is where its history and reports are, `result` what they say."""

    number: int
    directory: str
    seconds: float
    result: RunResult

    def step(self, scenario: str, step: str) -> StepResult | None:
        for each in self.result.scenarios:
            if each.name == scenario:
                return next((judged for judged in each.steps if judged.step == step), None)
        return None

    def told(self, scenario: str, step: str) -> tuple[Verdict, list[str]]:
        """The verdict of a step and its reasons. What a round that did not end well shows as kept is not kept."""
        judged = self.step(scenario, step)
        if judged is None:
            return Verdict.INCONCLUSIVE, [self.result.stopped or "not run"]
        if judged.verdict is Verdict.KEPT and not self.result.complete:
            return Verdict.INCONCLUSIVE, [f"the round did not end well: {self.result.stopped}"]
        return judged.verdict, judged.reasons


def replayed_steps(asked: Sequence[Asked], rounds: Sequence[Round]) -> list[ReplayedStep]:
    """The asked steps over all rounds; and the first start of a stack that did not end well in every one."""
    steps = [_over(each, rounds) for each in asked]
    told = {(each.scenario, each.step) for each in asked}
    starts = [Asked(each, UP, UP, UP, ()) for each in dict.fromkeys(each.scenario for each in asked)]
    started = [_over(each, rounds) for each in starts if (each.scenario, each.step) not in told]
    return [*(each for each in started if each.kept < len(rounds)), *steps]


def exit_code(steps: Sequence[ReplayedStep], rounds: int) -> int:
    """1 where any round lost something, else 2 where any is not known to have kept everything."""
    if any(step.lost or step.unavailable for step in steps):
        return 1
    return 0 if steps and all(step.kept == rounds for step in steps) else 2


def _over(asked: Asked, rounds: Sequence[Round]) -> ReplayedStep:
    results = [_result(asked, each) for each in rounds]
    counts = Counter(result.verdict for result in results)
    return ReplayedStep(
        scenario=asked.scenario,
        step=asked.step,
        event=asked.event,
        title=asked.title,
        recorded=list(asked.recorded),
        lost=counts[Verdict.LOST],
        unavailable=counts[Verdict.UNAVAILABLE],
        kept=counts[Verdict.KEPT],
        inconclusive=counts[Verdict.INCONCLUSIVE],
        skipped=counts[Verdict.SKIPPED],
        rounds=results,
    )


def _result(asked: Asked, of: Round) -> RoundResult:
    judged = of.step(asked.scenario, asked.step)
    verdict, reasons = of.told(asked.scenario, asked.step)
    return RoundResult(
        round=of.number,
        verdict=verdict,
        symptoms=list(dict.fromkeys(finding.symptom for finding in judged.findings)) if judged else [],
        reasons=reasons,
        seconds=judged.seconds if judged else 0.0,
        report=of.directory,
    )


def tally(step: ReplayedStep) -> Iterator[str]:
    """Pieces of one line: "7/10 lost", "3 kept", "0 inconclusive"; the symptoms where they are not those recorded."""
    seen = Counter(symptom for each in step.rounds for symptom in each.symptoms)
    other = ""
    if set(seen) - set(step.recorded):
        other = f" ({', '.join(f'{count} {symptom}' for symptom, count in seen.most_common())})"
    yield f"{step.lost}/{len(step.rounds)} lost{other}"
    if step.unavailable:
        yield f"{step.unavailable} unavailable"
    yield f"{step.kept} kept"
    yield f"{step.inconclusive} inconclusive"
    if step.skipped:
        yield f"{step.skipped} skipped"
