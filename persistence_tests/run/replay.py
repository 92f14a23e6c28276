"""What of a recorded history is to be run again: the steps that lost something, and how they stand today."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import UsageError
from persistence_tests.model.finding import ScenarioJudgement, StepJudgement, Verdict
from persistence_tests.model.oracle import judge
from persistence_tests.model.records import (
    Entry,
    RunBegan,
    ScenarioBegan,
    StackPrepared,
    StepEnded,
    StepPlanned,
)

if TYPE_CHECKING:
    from persistence_tests.scenario.scenario import Scenario

UP = "up"


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step to run again, and the symptoms of its findings then, none where it was asked for by name."""

    planned: StepPlanned
    verdict: Verdict
    symptoms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedScenario:
    """One scenario of a history with the steps of it that are to be run again, in the order of its file.

    `configuration` is the stack's own, `comparable`; `seconds` is how long each step took.
    """

    name: str
    source: str
    sha256: str
    steps: tuple[RecordedStep, ...]
    configuration: Mapping[str, Any]
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Recording:
    """`run` is the identity of the recorded run."""

    run: str
    seed: int
    scenarios: tuple[RecordedScenario, ...]


def recording(entries: Sequence[Entry], events: Collection[str], where: str) -> Recording:
    """What to run again: the steps that show a finding or did not come back, or those that `events` name.

    A known loss is a finding too. Raises UsageError where there is nothing to run again.
    """
    began = next((e.record for e in entries if isinstance(e.record, RunBegan)), None)
    judgements = judge(entries)
    scenarios = [
        scenario
        for judgement in judgements
        if (scenario := _scenario(judgement, entries, events)) is not None
    ]
    if not scenarios:
        tried = list(dict.fromkeys(step.step for judged in judgements for step in judged.steps))
        raise _nothing_to_run(tried, events, where)
    return Recording(began.run if began else "", began.seed if began else 0, tuple(scenarios))


def _nothing_to_run(tried: Sequence[str], events: Collection[str], where: str) -> UsageError:
    if events:
        return UsageError(
            f"the history has no step {', '.join(map(repr, events))}",
            where=where,
            remedy=f"its steps are: {', '.join(tried) or 'none'}",
        )
    return UsageError(
        "the history shows no loss, so there is nothing to run again",
        where=where,
        remedy=f"name a step of it all the same, such as `--event {tried[-1]}`"
        if tried
        else "name the history of a run that came to its first step",
    )


def _scenario(
    judged: ScenarioJudgement, entries: Sequence[Entry], events: Collection[str]
) -> RecordedScenario | None:
    own = [entry.record for entry in entries if entry.scenario == judged.scenario]
    began = next(record for record in own if isinstance(record, ScenarioBegan))
    prepared = [record for record in own if isinstance(record, StackPrepared)]
    planned = {each.step: each for each in began.steps}
    steps = tuple(
        RecordedStep(
            planned.get(step.step) or StepPlanned(step.step, step.event, step.event),
            step.verdict,
            tuple(dict.fromkeys(str(finding.symptom) for finding in step.findings)),
        )
        for step in judged.steps
        if (bool({step.step, step.event} & set(events)) if events else _lost(step))
    )
    if not steps:
        return None
    return RecordedScenario(
        name=judged.scenario,
        source=began.source,
        sha256=began.sha256,
        steps=steps,
        configuration=comparable(prepared[0]) if prepared else {},
        seconds={record.step: record.seconds for record in own if isinstance(record, StepEnded)},
    )


def _lost(step: StepJudgement) -> bool:
    return bool(step.findings) or step.verdict in {Verdict.LOST, Verdict.UNAVAILABLE}


def load_again(recorded: RecordedScenario) -> tuple[Scenario, list[str]]:
    """The scenario as its file is today, and how it differs from what was recorded, in words.

    What it calls known losses counts as any other loss: the question is whether it is lost. Raises UsageError where the
    file, or a step, is not there any more.
    """
    from persistence_tests.scenario import load

    source = Path(recorded.source)
    if not source.exists():
        raise UsageError(
            "the recorded scenario is not there",
            where=recorded.source,
            remedy="start the replay in the directory in which the run was started, where this file is"
            if not source.is_absolute()
            else "bring the file back, or run the scenario of another place once: its history can be replayed there",
        )
    scenario = replace(load(source), known=(), name=recorded.name)  # two files may have one name
    now = {each.step: each.planned for each in scenario.steps} | {UP: scenario.up}
    changes = []
    if scenario.sha256 != recorded.sha256:
        changes.append(f"its file (sha256 {recorded.sha256[:12]} then, {scenario.sha256[:12]} now)")
    for step in recorded.steps:
        then = step.planned
        today = now.get(then.step)
        if today is None or today.event != then.event:
            raise UsageError(
                f"the scenario has no step {then.step!r} with the event {then.event!r} any more",
                where=recorded.source,
                remedy=f"choose one of its steps with --event: {', '.join(now)}",
            )
        if today.title != then.title:
            changes.append(f"the step {then.step} (“{then.title}” then, “{today.title}” now)")
    return scenario, changes


def comparable(prepared: StackPrepared) -> dict[str, Any]:
    """The stack's own configuration without what is another in every run: its project's name."""

    def without(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(prepared.project, "PROJECT")
        if isinstance(value, Mapping):
            return {key: without(inner) for key, inner in value.items()}
        return [without(inner) for inner in value] if isinstance(value, list | tuple) else value

    configuration: dict[str, Any] = without(prepared.original)
    return configuration


def differences(then: Any, now: Any, place: str = "") -> Iterator[str]:
    """The keys ("services.api.volumes") below which two configurations differ; a list is compared as a whole."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*then, *now]):
            yield from differences(then.get(key), now.get(key), f"{place}.{key}" if place else str(key))
    elif then != now:
        yield place
