"""What several commands take and return."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from persistence_tests.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

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
REPORT_DIR = click.option(
    "--report-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where each run makes a directory for its reports.",
)


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr)
