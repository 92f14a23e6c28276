"""The command `persistence`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from collections.abc import Sequence
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, NoReturn

import click

from persistence_tests import __version__
from persistence_tests.errors import HistoryError, PersistenceError, ScenarioError, UsageError
from persistence_tests.report.printable import plural, printable
from persistence_tests.run.interruption import handle_interrupts, ignore_interrupts, is_interrupt

if TYPE_CHECKING:
    from rich.console import Console

    from persistence_tests.model.records import Entry
    from persistence_tests.report.result import RunResult
    from persistence_tests.run.settings import Settings
    from persistence_tests.scenario.scenario import Scenario

DEFAULT_SCENARIOS = Path("scenarios")
KEPT, FAULT, USAGE, INTERRUPTED = 0, 2, 64, 130

SCENARIOS = click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path))


def _one(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    """The last of two would be taken without a word."""
    if len(given) > 1:
        raise UsageError(
            "a command works on one engine",
            remedy="to share scenarios out: pytest -n 2 --persistence-engine URL --persistence-engine URL",
        )
    return given[0] if given else None


ENGINE = click.option(
    "--engine",
    metavar="URL",
    multiple=True,
    callback=_one,
    help="Docker engine; default: DOCKER_HOST or the current context.",
)


class Commands(click.Group):
    """Lists the commands in the order in which somebody needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="persistence")
def cli() -> None:
    """Prove that what a Compose stack acknowledged is still there, byte for byte.

    \b
    Exit codes, the first that applies:
      130  interrupted
       64  wrong usage, or a scenario that is wrong or cannot be isolated
        1  something is lost, or the stack did not come back
        2  inconclusive, skipped, or a fault of the harness
        0  everything is kept
    """


@cli.command(short_help="Run scenarios and judge them.")
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
@click.option(
    "--report-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where each run makes a directory for its reports.",
)
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
    console = _console(stderr=as_json)
    result = _run(selected, settings, console, allow_skip=allow_skip)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    return result.exit_code


@cli.command(short_help="Write a first scenario for your own stack.")
@click.argument("compose", required=False, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; - is standard output.",
)
@click.option("--store", metavar="NAME", help="The volume or directory it is about; default: the likeliest.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@ENGINE
def init(
    compose: Path | None, output: Path | None, store: str | None, force: bool, engine: str | None
) -> int:
    """Write a first scenario, NAME.persistence.yaml, for the stack of a Compose file.

    COMPOSE is the file, or a directory that has it; by default the one that Compose itself would find here. The stack
    is only looked at, and so is the engine, if there is one.
    """
    from persistence_tests.init.writing import write_first_scenario

    text, words = write_first_scenario(compose, output, engine=engine, store=store, force=force)
    if text is not None:
        click.echo(text, nl=False)
    for line in words:
        click.echo(printable(line) if line else "", err=text is not None)
    return KEPT


@cli.command(short_help="Find every error in scenario files; needs no engine.")
@SCENARIOS
def validate(scenarios: tuple[Path, ...]) -> int:
    """Check scenario files: every error at once, with its place and remedy; needs no engine."""
    from persistence_tests.scenario import find, load, resolve_stack

    problems = 0
    for file in find(scenarios or (DEFAULT_SCENARIOS,)):
        try:
            resolve_stack(load(file))
        except ScenarioError as error:
            problems += len(error.problems)
            click.echo(f"{error}\n", err=True)
        else:
            click.echo(f"{file}: ok")
    if problems:
        click.echo(f"{problems} problem{'s' if problems > 1 else ''} found", err=True)
    return USAGE if problems else KEPT


@cli.command(short_help="Judge a recorded history again; needs no engine.")
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--allow-skip", is_flag=True, help="A skipped step does not fail the check.")
@click.option("--json", "as_json", is_flag=True, help="Print the result on stdout as JSON.")
def check(history: Path, allow_skip: bool, as_json: bool) -> int:
    """Judge a recorded history again, on any machine: the same verdict, and the same words.

    HISTORY is a history.jsonl, or the directory of a run.
    """
    from persistence_tests.report.build import build
    from persistence_tests.report.terminal import Terminal, print_result

    entries = _entries(history / "history.jsonl" if history.is_dir() else history)
    result = build(entries, allow_skip=allow_skip)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
        return result.exit_code
    console = _console()
    terminal = Terminal(console)
    for scenario in result.scenarios:
        terminal.scenario(scenario)
    print_result(console, result, None)
    return result.exit_code


@cli.command(short_help="Write the reports of a run again; needs no engine.")
@click.argument("run", type=click.Path(path_type=Path), default=Path("reports/latest"))
@click.option("--allow-skip", is_flag=True, help="A skipped step does not fail the run.")
def report(run: Path, allow_skip: bool) -> int:
    """Write every report of a run again, from its history and logs: report.html, summary.md and all others.

    RUN is the directory of a run; by default the newest in reports/. Exit code 0 where they were written.
    """
    from persistence_tests.report.build import build
    from persistence_tests.report.files import write_reports

    directory = run if run.is_dir() else run.parent
    entries = _entries(directory / "history.jsonl")
    write_reports(build(entries, allow_skip=allow_skip), entries, directory)
    click.echo(directory / "report.html")
    return KEPT


@cli.command(short_help="Say what a finding code or an audit rule means.")
@click.argument("code", required=False)
def explain(code: str | None) -> int:
    """Say what a finding code or an audit rule means, with a broken and a mended example.

    Without CODE, list all of them.
    """
    from persistence_tests.report.explain import contents
    from persistence_tests.report.explain import explain as article_of

    if code is None:
        for line in contents():
            click.echo(line)
        return KEPT
    click.echo(article_of(code).text(), nl=False)
    return KEPT


@cli.command(short_help="Say what this machine can do, and what would mend a lack.")
@ENGINE
def doctor(engine: str | None) -> int:
    """Say what this machine can do, and for each lack what would mend it."""
    from persistence_tests.stack.doctor import examine

    checks = examine(engine)
    for item in checks:
        mark = click.style("✓", fg="green") if item.works else click.style("✗", fg="red", bold=True)
        click.echo(f"{mark} {item.what:<16} {printable(item.detail)}")
        if item.remedy:
            click.echo(f"    help: {printable(item.remedy)}")
    return KEPT if all(item.works for item in checks) else FAULT


@cli.command(short_help="Remove what runs left behind.")
@ENGINE
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--cache", is_flag=True, help="Also the image layers kept for the next build.")
def clean(engine: str | None, yes: bool, cache: bool) -> int:
    """Remove what runs left behind: only what bears the label that only they set.

    It asks first; where nobody can be asked, it needs --yes.
    """
    from persistence_tests.stack.cleanup import leftovers, remove
    from persistence_tests.stack.engine import Engine

    connected = Engine.connect(engine)
    everything = leftovers(connected, cache=cache)
    found = everything.abandoned
    if alive := len(everything.found) - len(found.found):
        click.echo(f"{plural(alive, 'object')} of runs that are still alive: left alone")
    if not found:
        click.echo("nothing is left behind")
        return KEPT
    for line in found.lines():
        click.echo(printable(line))
    if not yes and not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", remedy="say `persistence clean --yes`")
    if not yes and not click.confirm("remove them?"):
        return KEPT
    failures = remove(connected, found)
    for failure in failures:
        click.echo(printable(failure), err=True)
    if not failures:
        click.echo(f"removed: {plural(len(found.found), 'object')}")
    return FAULT if failures else KEPT


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The entry point: every error becomes a message and an exit code."""
    handle_interrupts()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever a name holds, and whatever the locale is
    code = exit_code(arguments)
    ignore_interrupts()
    sys.exit(code)


def exit_code(arguments: Sequence[str] | None) -> int:
    """Runs a command; whatever happens becomes a message and one of the exit codes."""
    try:
        code = cli.main(arguments, prog_name="persistence", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except PersistenceError as error:
        click.echo(str(error), err=True)
        return INTERRUPTED if is_interrupt(error) else error.exit_code
    except BrokenPipeError:  # nobody reads any more; the interpreter would complain about it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except Exception as error:  # an interpreter's own exit code would be 1, which says `lost`
        click.echo(str(_fault_of_the_harness(error)), err=True)
        return INTERRUPTED if is_interrupt(error) else FAULT
    return code if isinstance(code, int) else KEPT


def _fault_of_the_harness(error: Exception) -> PersistenceError:
    """The traceback goes to a file: it is for who mends the harness, not for who uses it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "persistence_tests" in Path(frame.filename).parts] or frames
    with NamedTemporaryFile("wb", prefix="persistence-fault-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)).encode(errors="backslashreplace"))
    return PersistenceError(
        f"the harness itself failed: {type(error).__name__}: {printable(str(error))}",
        where=f"{own[-1].filename}:{own[-1].lineno}",
        remedy=f"this is a bug: please report it with {file.name}, and the run's history.jsonl if there is one",
    )


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


def _entries(path: Path) -> tuple[Entry, ...]:
    """What a history holds. HistoryError, with its place, for one of which nothing can be said."""
    from persistence_tests.model.history import read_history
    from persistence_tests.model.records import ScenarioBegan

    entries = read_history(path).entries
    if not entries:
        raise HistoryError("the history holds no entry", where=str(path))
    begun: set[str | None] = {None}
    for number, entry in enumerate(entries, 1):
        if isinstance(entry.record, ScenarioBegan):
            begun.add(entry.scenario)
        if entry.scenario not in begun:
            raise HistoryError(
                f"the history never says that the scenario {entry.scenario} began", where=f"{path}:{number}"
            )
    return entries


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)
