"""`persistence run`."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from persistence_tests.cli.options import (
    DEFAULT_SCENARIOS,
    ENGINE,
    KEPT,
    REPORT_DIR,
    SCENARIOS,
    USAGE,
    console,
)
from persistence_tests.errors import PersistenceError, UsageError
from persistence_tests.run.interruption import is_interrupt

if TYPE_CHECKING:
    from rich.console import Console

    from persistence_tests.report.result import RunResult
    from persistence_tests.run.settings import Settings
    from persistence_tests.scenario.scenario import Scenario


@click.command(short_help="Run scenarios and judge them.")
@SCENARIOS
@click.option(
    "--event", "events", multiple=True, metavar="E", help="Only this event, or this step of it; repeatable."
)
@click.option("--path", "paths", multiple=True, metavar="P", help="Verify only this path; repeatable.")
@click.option("--seed", type=int, metavar="N", help="Seed of the names; every run prints its own.")
@click.option("--plan", is_flag=True, help="Only say what would be made, how long it takes, how big.")
@click.option(
    "--keep",
    type=click.Choice(["always", "on-failure", "never"]),
    default="never",
    show_default=True,
    metavar="WHEN",
    help="Leave the stack running: always, on-failure or never.",
)
@ENGINE
@REPORT_DIR
@click.option("--allow-skip", is_flag=True, help="A skipped step does not fail the run.")
@click.option("--json", "as_json", is_flag=True, help="Print result.json on stdout, all else on stderr.")
def run(
    scenarios: tuple[Path, ...],
    events: tuple[str, ...],
    paths: tuple[str, ...],
    seed: int | None,
    plan: bool,
    keep: str,
    engine: str | None,
    report_dir: Path,
    allow_skip: bool,
    as_json: bool,
) -> int:
    """Bring up the stack of each scenario, write files, do to it what the events say, and verify every file.

    SCENARIOS are files, or directories with *.persistence.yaml in them; the default is scenarios/. Nothing is touched
    that does not bear the run's own label, and all of it is removed in the end.

    In GitHub Actions, the summary of the job's step shows summary.md.
    """
    from persistence_tests.run.plan import plan_lines
    from persistence_tests.run.settings import Keep, Settings
    from persistence_tests.scenario import resolve_stack

    selected = _select(scenarios, events, paths)
    resolved = [resolve_stack(scenario) for scenario, _ in selected]
    if plan:
        for (scenario, steps), configuration in zip(selected, resolved, strict=True):
            for line in plan_lines(scenario, steps, configuration):
                click.echo(line)
        return KEPT
    settings = Settings(
        report_dir=report_dir,
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
        engine=engine,
        keep=Keep(keep),
        paths=frozenset(paths),
    )
    told = console(stderr=as_json)
    result = _run(selected, settings, told, allow_skip=allow_skip)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    return result.exit_code


def _select(
    files: Sequence[Path], events: Sequence[str], paths: Sequence[str]
) -> list[tuple[Scenario, frozenset[str]]]:
    """The scenarios with the steps that the events ask for. UsageError for an event or a path of none."""
    from persistence_tests.scenario import find, load

    scenarios = [load(file) for file in find(files or (DEFAULT_SCENARIOS,))]
    for path in paths:
        known = sorted({name for scenario in scenarios for name in scenario.paths})
        if path not in known:
            raise UsageError(f"no scenario has a path {path!r}", remedy=f"they have: {', '.join(known)}")
    if not scenarios:
        raise UsageError("no scenario was found", remedy="name a *.persistence.yaml file")
    planned = [planned for scenario in scenarios for planned in scenario.steps]
    for event in events:
        if event != "up" and not any(event in (each.step, each.event.name) for each in planned):
            known = sorted({each.event.name for each in planned})
            raise UsageError(f"no step has the event {event!r}", remedy=f"they have: {', '.join(known)}")
    selected = [
        (
            scenario,
            frozenset(p.step for p in scenario.steps if not events or {p.step, p.event.name} & set(events)),
        )
        for scenario in scenarios
    ]
    return [(scenario, steps) for scenario, steps in selected if steps or "up" in events or not events]


def _run(
    selected: Sequence[tuple[Scenario, frozenset[str]]],
    settings: Settings,
    console: Console,
    *,
    allow_skip: bool,
) -> RunResult:
    from persistence_tests.report.build import build, step_result
    from persistence_tests.report.files import append_step_summary, write_reports
    from persistence_tests.report.progress import Progress
    from persistence_tests.report.terminal import Terminal, print_kept, print_result
    from persistence_tests.run.earlier import seconds_before
    from persistence_tests.run.run import Run
    from persistence_tests.stack.engine import Engine

    engine = Engine.connect(settings.engine)
    failure: PersistenceError | KeyboardInterrupt | None = None
    plan = [
        (place, step)
        for place, (scenario, steps) in enumerate(selected)
        for step in ("up", *(planned.step for planned in scenario.steps if planned.step in steps))
    ]
    earlier = {
        (place, step): seconds
        for place, (scenario, _) in enumerate(selected)
        for step, seconds in seconds_before(str(scenario.source), settings.report_dir).items()
    }
    with closing(engine), Terminal(console, Progress(plan, earlier)) as terminal:
        recording = Run(settings, engine, [terminal])
        try:
            with recording:
                for scenario, steps in selected:
                    with recording.scenario(scenario, steps) as running:
                        for judgement in running.judgements():
                            terminal.judged(step_result(recording.entries, running.scenario.name, judgement))
        except (PersistenceError, KeyboardInterrupt) as error:
            failure = error
        finally:
            judgements = recording.oracle.judgements()
            result = build(recording.entries, allow_skip=allow_skip, judgements=judgements)
            if recording.entries:
                write_reports(result, recording.entries, recording.directory)
                append_step_summary(result, os.environ.get("GITHUB_STEP_SUMMARY"))
    if failure and not result.scenarios:
        raise failure
    print_result(console, result, str(recording.directory))
    print_kept(console, result.scenarios)
    if isinstance(failure, PersistenceError):
        if failure.exit_code == USAGE or is_interrupt(failure):
            raise failure
        console.print(f"\n{failure}", highlight=False, markup=False, soft_wrap=True)
    return result
