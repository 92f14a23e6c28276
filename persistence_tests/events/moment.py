"""The moment in the middle of something else at which the power goes."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from persistence_tests.stack.compose import last_lines
from persistence_tests.stack.interruption import Interruption

if TYPE_CHECKING:
    from persistence_tests.stack.process import CommandResult
    from persistence_tests.stack.stack import Stack

COMMAND_SECONDS = 1800.0


@dataclass(slots=True)
class Moment:
    """What was going on when the power went, and why that could not be brought about. Either both are empty, and
    nothing was to go on, or one of them has something."""

    facts: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def amid_up(self, stack: Stack) -> None:
        """Have every container made anew, until one of them has started."""
        interruption = Interruption(re.compile("Started"), signal.SIGKILL)
        result = stack.compose.run_interrupted("up", "-d", "--force-recreate", interruption=interruption)
        self._interrupted("up --force-recreate", interruption, result)

    def amid_command(self, stack: Stack, line: str, pattern: str) -> None:
        """Run a command of the stack's own up to a line of its output."""
        interruption = Interruption(re.compile(pattern), signal.SIGKILL)
        result = stack.command(line, timeout=COMMAND_SECONDS, interruption=interruption)
        self._interrupted(line, interruption, result)

    def _interrupted(self, line: str, interruption: Interruption, result: CommandResult) -> None:
        if interruption.line is None:
            self.problems.append(f'no line of the output of `{line}` matches "{interruption.at.pattern}"')
        elif not interruption.delivered or result.exit_code == 0:
            self.problems.append(f'`{line}` was over before the power could go at "{interruption.line}"')
        else:
            self.facts.append(f'`{line}` was under way and had come to "{interruption.line}"')

    def again(self, stack: Stack, line: str) -> None:
        """Run the command once more, to its end."""
        if self.problems:
            return
        result = stack.command(line, timeout=COMMAND_SECONDS)
        if result.exit_code == 0:
            self.facts.append(f"`{line}`, run again, ended with exit code 0")
        else:
            said = last_lines(result.stderr.strip() or result.stdout)
            self.problems.append(f"`{line}`, run again, ended with exit code {result.exit_code}:\n{said}")
