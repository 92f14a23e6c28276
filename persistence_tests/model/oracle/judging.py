"""History in, judgements out. Pure: the same entries give the same judgements, on any machine."""

from __future__ import annotations

from collections.abc import Iterable

from persistence_tests.model.finding import ScenarioJudgement, StepJudgement, Verdict, worst
from persistence_tests.model.oracle.account import OPENING, Scenario
from persistence_tests.model.oracle.verdict import judge_step
from persistence_tests.model.records import Entry, Record, RunEnded, ScenarioBegan


def judge(entries: Iterable[Entry]) -> tuple[ScenarioJudgement, ...]:
    """One judgement for each scenario that began, in that order, with a step for each that was planned.

    A planned step that never began is left out where the run ended complete (nobody asked for it); in a run
    that did not, or after a stack that was never ready or a fault, it is `inconclusive`. Where judging
    itself fails, every step of that scenario is `inconclusive`.
    """
    records: dict[str, list[Record]] = {}
    complete = False
    for entry in entries:
        if isinstance(entry.record, RunEnded):
            complete = entry.record.complete
        elif entry.scenario is not None:
            records.setdefault(entry.scenario, []).append(entry.record)
    return tuple(_judge_scenario(name, those, complete) for name, those in records.items())


def _judge_scenario(name: str, records: list[Record], complete: bool) -> ScenarioJudgement:
    began = next((record for record in records if isinstance(record, ScenarioBegan)), None)
    if began is None:
        return ScenarioJudgement(name, Verdict.INCONCLUSIVE, ())
    try:
        steps = _judge_steps(began, records, complete)
    except Exception as error:  # whatever it is, nothing was judged
        why = f"the oracle could not judge: {type(error).__name__}: {error}"
        steps = [StepJudgement(p.step, p.event, Verdict.INCONCLUSIVE, (why,), (), {}) for p in began.steps]
    return ScenarioJudgement(name, worst([step.verdict for step in steps]), tuple(steps))


def _judge_steps(began: ScenarioBegan, records: list[Record], complete: bool) -> list[StepJudgement]:
    scenario = Scenario(began)
    scenario.follow(records)
    went_wrong = scenario.stack is None or not scenario.stack.ready
    went_wrong = went_wrong or any(account.faults for account in scenario.accounts.values())
    planned = {step.step: step.event for step in began.steps}
    for step, account in scenario.accounts.items():
        if step not in planned and account.began is not None:
            planned[step] = account.began.event
    if scenario.before_events and OPENING not in planned:
        planned = {OPENING: "up", **planned}
    judged = []
    for step, event in planned.items():
        account = scenario.account(step)
        happened = account.began or account.skipped or account.faults
        if happened or went_wrong or not complete or (step == OPENING and scenario.before_events):
            judged.append(judge_step(scenario, step, event))
    return judged
