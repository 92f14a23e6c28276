"""The command `persistence`. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NoReturn

import click

from persistence_tests import __version__
from persistence_tests.cli.machine import clean, doctor
from persistence_tests.cli.options import FAULT, INTERRUPTED, KEPT, USAGE
from persistence_tests.cli.reading import check, explain, report
from persistence_tests.cli.replaying import replay
from persistence_tests.cli.running import run
from persistence_tests.cli.scenarios import init, validate
from persistence_tests.errors import PersistenceError
from persistence_tests.report.printable import printable
from persistence_tests.run.interruption import handle_interrupts, ignore_interrupts, is_interrupt


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


for command in (run, init, validate, replay, check, report, explain, doctor, clean):
    cli.add_command(command)


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
