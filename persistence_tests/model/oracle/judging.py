"""History in, judgements out. Pure: the same entries give the same judgements, on any machine."""

from __future__ import annotations

from collections.abc import Iterable

from persistence_tests.model.finding import KnownState, ScenarioJudgement, StepJudgement, Verdict, worst
from persistence_tests.model.oracle.account import OPENING, Scenario
from persistence_tests.model.oracle.known import Streaks
from persistence_tests.model.oracle.verdict import judge_step
from persistence_tests.model.records import Entry, Record, RunBegan, RunEnded, ScenarioBegan


def judge(entries: Iterable[Entry]) -> tuple[ScenarioJudgement, ...]:
    """One judgement for each scenario that began, in that order, with a step for each that was planned.

    A planned step that never began is left out where the run ended complete (nobody asked for it); in a run
    that did not, or after a stack that was never ready or a fault, it is `inconclusive`. Where judging
    itself fails, every step of that scenario is `inconclusive`.
    """
    oracle = Oracle()
    for entry in entries:
        oracle.follow(entry)
    return oracle.judgements()


class Oracle:
    """`judge` for a history that is still growing: follows entries as they come, each looked at once.

    Ask it between steps: what has been seen of a pass counts as the whole of it.
    """

    def __init__(self) -> None:
        self._scenarios: dict[str, _Followed] = {}
        self._complete = False
        self._day: str | None = None

    def follow(self, entry: Entry) -> None:
        if isinstance(entry.record, RunBegan):
            self._day = entry.record.started[: len("2027-01-31")] or None
        elif isinstance(entry.record, RunEnded):
            self._complete = entry.record.complete
        elif entry.scenario is not None:
            self._scenarios.setdefault(entry.scenario, _Followed(self._day)).follow(entry.record)

    def judgements(self) -> tuple[ScenarioJudgement, ...]:
        return tuple(self._judged(name, followed) for name, followed in self._scenarios.items())

    def step(self, scenario: str, step: str) -> StepJudgement:
        """The judgement of one step so far; KeyError for a scenario or step that is not there."""
        for judged in self._judged(scenario, self._scenarios[scenario]).steps:
            if judged.step == step:
                return judged
        raise KeyError(step)

    def _judged(self, name: str, followed: _Followed) -> ScenarioJudgement:
        steps, known = followed.steps(self._complete)
        return ScenarioJudgement(name, worst([step.verdict for step in steps]), tuple(steps), known)


class _Followed:
    """One scenario. Whatever is raised while it is judged ends in `inconclusive`, never in a verdict."""

    def __init__(self, day: str | None) -> None:
        self._day = day
        self._began: ScenarioBegan | None = None
        self._scenario: Scenario | None = None
        self._failure: str | None = None

    def follow(self, record: Record) -> None:
        if self._failure is not None:
            return
        try:
            if isinstance(record, ScenarioBegan) and self._began is None:
                self._began = record
                self._scenario = Scenario(record, self._day)
            if self._scenario is not None:
                self._scenario.follow(record)
        except Exception as error:
            self._failure = _told(error)

    def steps(self, complete: bool) -> tuple[list[StepJudgement], tuple[KnownState, ...]]:
        if self._began is None:
            return [], ()
        if self._failure is None and self._scenario is not None:
            try:
                return _judged_steps(self._scenario, complete)
            except Exception as error:
                self._failure = _told(error)
        why = (self._failure or "nothing was judged",)
        planned = self._began.steps
        return [StepJudgement(p.step, p.event, Verdict.INCONCLUSIVE, why, (), {}) for p in planned], ()


def _told(error: Exception) -> str:
    return f"the oracle could not judge: {type(error).__name__}: {error}"


def _judged_steps(scenario: Scenario, complete: bool) -> tuple[list[StepJudgement], tuple[KnownState, ...]]:
    scenario.flush()
    went_wrong = scenario.stack is None or not scenario.stack.ready
    went_wrong = went_wrong or any(account.faults for account in scenario.accounts.values())
    planned = {step.step: step.event for step in scenario.began.steps}
    for step, account in scenario.accounts.items():
        if step not in planned and account.began is not None:
            planned[step] = account.began.event
    if scenario.before_events and OPENING not in planned:
        planned = {OPENING: "up", **planned}
    judged, streaks = [], Streaks(scenario.known)
    for step, event in planned.items():
        account = scenario.account(step)
        happened = account.began or account.skipped or account.faults or account.event or account.ended
        if happened or went_wrong or not complete or (step == OPENING and scenario.before_events):
            judged.append(streaks.follow(judge_step(scenario, step, event), account.looks))
    return judged, streaks.states()
