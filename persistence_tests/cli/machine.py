"""What is about the machine: `persistence doctor` and `clean`."""

from __future__ import annotations

import sys

import click

from persistence_tests.cli.options import ENGINE, FAULT, KEPT
from persistence_tests.errors import UsageError
from persistence_tests.report.printable import plural, printable


@click.command(short_help="Say what this machine can do, and what would mend a lack.")
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


@click.command(short_help="Remove what runs left behind.")
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
