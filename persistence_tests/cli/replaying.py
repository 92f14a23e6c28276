"""`persistence replay`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from persistence_tests.cli.options import ENGINE, INTERRUPTED, REPORT_DIR, USAGE, console
from persistence_tests.cli.reading import entries_of
from persistence_tests.errors import PersistenceError
from persistence_tests.run.interruption import is_interrupt, why_ended

if TYPE_CHECKING:
    from rich.console import Console

    from persistence_tests.model.records import Entry
    from persistence_tests.report.progress import Progress
    from persistence_tests.report.replay import ReplayResult, Round
    from persistence_tests.report.rounds import Rounds
    from persistence_tests.run.replay import Recording
    from persistence_tests.run.settings import Settings
    from persistence_tests.scenario.scenario import Scenario
    from persistence_tests.stack.engine import Engine


@click.command(short_help="Run again what lost, N times: how often does it lose?")
@click.argument("history", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many times.",
)
@click.option(
    "--event",
    "--step",
    "events",
    multiple=True,
    metavar="E",
    help="Not what lost, but this event, or this step of it; repeatable.",
)
@ENGINE
@REPORT_DIR
@click.option("--json", "as_json", is_flag=True, help="Print replay.json on stdout, all else on stderr.")
def replay(
    history: Path, rounds: int, events: tuple[str, ...], engine: str | None, report_dir: Path, as_json: bool
) -> int:
    """Run the steps of a recorded run that lost something again, N times, each on a fresh stack, and count.

    HISTORY is a history.jsonl, or the directory of a run. The scenario is taken from it, and the seed; the files are
    as they are today, so that a loss that is mended shows as 0/N lost.

    Exit code 1 if any round lost, 0 if every round kept everything, else 2.
    """
    from persistence_tests.run.replay import load_again, recording
    from persistence_tests.run.settings import Settings
    from persistence_tests.scenario import resolve_stack

    path = history / "history.jsonl" if history.is_dir() else history
    recorded = recording(entries_of(path), events, str(path))
    loaded = [load_again(each) for each in recorded.scenarios]
    for scenario, _ in loaded:
        resolve_stack(scenario)
    settings = Settings(report_dir=report_dir, seed=recorded.seed, engine=engine)
    result = _Replay(recorded, loaded, settings, rounds, str(path)).run(console(stderr=as_json))
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    return result.exit_code


class _Replay:
    """Every round is a run of its own, in a directory of its own below the replay's."""

    def __init__(
        self,
        recorded: Recording,
        loaded: Sequence[tuple[Scenario, list[str]]],
        settings: Settings,
        rounds: int,
        history: str,
    ) -> None:
        from persistence_tests.report.replay import Asked, ReplayedScenario
        from persistence_tests.run.parts import new_identity

        self._recorded = recorded
        self._scenarios = [scenario for scenario, _ in loaded]
        self._settings = settings
        self._rounds = rounds
        self._history = history
        self._identity = new_identity()
        self._asked = [
            Asked(scenario.name, step.planned.step, step.planned.event, step.planned.title, step.symptoms)
            for scenario in recorded.scenarios
            for step in scenario.steps
        ]
        self._changed = [
            ReplayedScenario(now.name, str(now.source), then.sha256, now.sha256, changes)
            for then, (now, changes) in zip(recorded.scenarios, loaded, strict=True)
        ]
        self._compared: set[str | None] = set()
        self._done: list[Round] = []

    def run(self, told: Console) -> ReplayResult:
        from persistence_tests.report.files import write_replay
        from persistence_tests.report.rounds import Rounds
        from persistence_tests.stack.engine import Engine

        engine = Engine.connect(self._settings.engine)
        began = time.monotonic()
        failure: BaseException | None = None
        with (
            closing(engine),
            Rounds(
                told, self._identity, self._recorded.run, self._asked, self._rounds, self._progress()
            ) as shown,
        ):
            try:
                for number in range(1, self._rounds + 1):
                    done = self._round(number, engine, shown)
                    self._done.append(done)
                    shown.round(done)
            except (PersistenceError, KeyboardInterrupt) as error:
                if not is_interrupt(error):
                    raise
                failure = error
        result = self._result(time.monotonic() - began, failure)
        directory = self._settings.report_dir / self._identity
        if directory.is_dir():
            write_replay(result, directory)
        shown.end(result, str(directory))
        return result

    def _round(self, number: int, engine: Engine, shown: Rounds) -> Round:
        """Raises PersistenceError for what no round can get past, such as a stack that cannot be isolated."""
        from persistence_tests.report.build import build
        from persistence_tests.report.files import write_reports
        from persistence_tests.report.replay import Round
        from persistence_tests.run.run import Run

        part = f"round-{number:0{len(str(self._rounds))}}"
        settings = replace(self._settings, part_of=(self._identity, part))
        began = time.monotonic()
        recording = Run(settings, engine, [partial(self._follow, shown)] if number == 1 else [shown])
        try:
            with recording:
                for scenario, recorded in zip(self._scenarios, self._recorded.scenarios, strict=True):
                    steps = {step.planned.step for step in recorded.steps}
                    with recording.scenario(scenario, steps) as running:
                        for _ in running.judgements():
                            pass
        except PersistenceError as error:
            if error.exit_code == USAGE or is_interrupt(error):
                raise
        finally:
            result = build(recording.entries, judgements=recording.oracle.judgements())
            if recording.entries:
                write_reports(result, recording.entries, recording.directory)
        return Round(number, part, time.monotonic() - began, result)

    def _follow(self, shown: Rounds, entry: Entry) -> None:
        """Of the first round: says what is run again, and how its stack is another than the recorded one."""
        from persistence_tests.model.records import RunBegan, StackPrepared
        from persistence_tests.run.replay import comparable, differences

        if isinstance(entry.record, RunBegan):
            shown.heading(entry.record, self._changed)
        elif isinstance(entry.record, StackPrepared) and entry.scenario not in self._compared:
            self._compared.add(entry.scenario)
            (then,) = (each for each in self._recorded.scenarios if each.name == entry.scenario)
            (now,) = (each for each in self._changed if each.name == entry.scenario)
            if keys := list(differences(then.configuration, comparable(entry.record))):
                now.changed.append(f"the stack's configuration ({', '.join(keys)})")
                shown.changed(now.changed[-1])
        shown(entry)

    def _progress(self) -> Progress:
        """What is to come, with the seconds that it took when it was recorded."""
        from persistence_tests.report.progress import UP, Progress

        plan, earlier = [], {}
        for round_ in range(self._rounds):
            for place, scenario in enumerate(self._recorded.scenarios):
                for step in dict.fromkeys([UP, *(each.planned.step for each in scenario.steps)]):
                    plan.append((round_ * len(self._recorded.scenarios) + place, step))
                    if step in scenario.seconds:
                        earlier[plan[-1]] = scenario.seconds[step]
        return Progress(plan, earlier)

    def _result(self, seconds: float, failure: BaseException | None) -> ReplayResult:
        from persistence_tests.report.replay import SCHEMA_VERSION, ReplayResult, exit_code, replayed_steps

        steps = replayed_steps(self._asked, self._done)
        return ReplayResult(
            schema_version=SCHEMA_VERSION,
            replay_id=self._identity,
            history=self._history,
            run_id=self._recorded.run,
            seed=self._recorded.seed,
            rounds=self._rounds,
            seconds=seconds,
            exit_code=INTERRUPTED if failure else exit_code(steps, self._rounds),
            complete=failure is None,
            stopped=why_ended(failure),
            scenarios=self._changed,
            steps=steps,
        )
