"""A scenario under way in this process, whose steps tests take one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from persistence_tests.model.finding import StepJudgement
from persistence_tests.model.records import Entry, Record
from persistence_tests.run.run import Run
from persistence_tests.run.scenario_run import ScenarioRun
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.scenario.scenario import PlannedEvent
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.stack import Stack
from tests.stacks.box_scenario import Entry as EventEntry
from tests.stacks.box_scenario import write_scenario


class Bench:
    """`take(name)` is a step with that event which no test has had yet."""

    def __init__(self, run: Run, running: ScenarioRun, steps: dict[str, Iterator[PlannedEvent]]) -> None:
        self.run = run
        self.running = running
        self.reactions: dict[type[Record], Callable[[Any], object]] = {}
        self._steps = steps

    @property
    def stack(self) -> Stack:
        stack = self.running._stack
        assert stack is not None
        return stack

    def take(self, name: str) -> PlannedEvent:
        return next(self._steps[name])

    def step(self, planned: PlannedEvent) -> StepJudgement:
        return self.running.step(planned.step)

    def hear(self, entry: Entry) -> None:
        """A listener of the run: calls what a test has set for this type of record."""
        if reaction := self.reactions.get(type(entry.record)):
            reaction(entry.record)


@contextmanager
def bench(directory: Path, events: dict[str, EventEntry], times: int, **parts: Any) -> Iterator[Bench]:
    """Open a stack for a scenario that has each of the events so many times; `parts` as for `write_scenario`."""
    listed = [(name, entry) for name, entry in events.items() for _ in range(times)]
    scenario = load(write_scenario(directory, [entry for _, entry in listed], **parts))
    planned = list(zip((name for name, _ in listed), scenario.steps, strict=True))

    def of(wanted: str) -> Iterable[PlannedEvent]:
        return [step for name, step in planned if name == wanted]

    engine = Engine.connect()
    heard: list[Bench] = []
    settings = Settings(report_dir=directory / "reports", seed=7)
    recording = Run(settings, engine, [lambda entry: heard[0].hear(entry) if heard else None])
    with recording as run, run.scenario(scenario) as running:
        heard.append(Bench(run, running, {name: iter(of(name)) for name in events}))
        yield heard[0]
    engine.close()
