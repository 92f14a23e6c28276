"""What is about scenario files: `persistence init` and `validate`."""

from __future__ import annotations

from pathlib import Path

import click

from persistence_tests.cli.options import DEFAULT_SCENARIOS, ENGINE, KEPT, SCENARIOS, USAGE
from persistence_tests.errors import ScenarioError
from persistence_tests.report.printable import printable


@click.command(short_help="Write a first scenario for your own stack.")
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


@click.command(short_help="Find every error in scenario files; needs no engine.")
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
