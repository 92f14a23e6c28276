"""What needs a recorded history, or nothing at all: `persistence check`, `report` and `explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from persistence_tests.cli.options import KEPT, console
from persistence_tests.errors import HistoryError

if TYPE_CHECKING:
    from persistence_tests.model.records import Entry


@click.command(short_help="Judge a recorded history again; needs no engine.")
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--allow-skip", is_flag=True, help="A skipped step does not fail the check.")
@click.option("--json", "as_json", is_flag=True, help="Print the result on stdout as JSON.")
def check(history: Path, allow_skip: bool, as_json: bool) -> int:
    """Judge a recorded history again, on any machine: the same verdict, and the same words.

    HISTORY is a history.jsonl, or the directory of a run.
    """
    from persistence_tests.report.build import build
    from persistence_tests.report.terminal import Terminal, print_result

    entries = entries_of(history / "history.jsonl" if history.is_dir() else history)
    result = build(entries, allow_skip=allow_skip)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
        return result.exit_code
    told = console()
    terminal = Terminal(told)
    for scenario in result.scenarios:
        terminal.scenario(scenario)
    print_result(told, result, None)
    return result.exit_code


@click.command(short_help="Write the reports of a run again; needs no engine.")
@click.argument("run", type=click.Path(path_type=Path), default=Path("reports/latest"))
@click.option("--allow-skip", is_flag=True, help="A skipped step does not fail the run.")
def report(run: Path, allow_skip: bool) -> int:
    """Write every report of a run again, from its history and logs: report.html, summary.md and all others.

    RUN is the directory of a run; by default the newest in reports/. Exit code 0 where they were written.
    """
    from persistence_tests.report.build import build
    from persistence_tests.report.files import write_reports

    directory = run if run.is_dir() else run.parent
    entries = entries_of(directory / "history.jsonl")
    write_reports(build(entries, allow_skip=allow_skip), entries, directory)
    click.echo(directory / "report.html")
    return KEPT


@click.command(short_help="Say what a finding code or an audit rule means.")
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


def entries_of(path: Path) -> tuple[Entry, ...]:
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
