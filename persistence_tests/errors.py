"""The errors a user can meet. Every one says what is wrong, where, and what to do.

PersistenceError
 ├─ UsageError            the command line or the selection makes no sense            exit 64
 ├─ ScenarioError         a scenario file is wrong; carries every problem found        exit 64
 ├─ StackRefused          the stack cannot be isolated from the user's own data        exit 64
 ├─ StackError            Compose or a container of the stack failed                   exit 2
 ├─ EngineUnavailable     no Docker engine answers, or it went away                    exit 2
 ├─ CapabilityLacking     this machine cannot do what a step needs: it is skipped      exit 2
 └─ HistoryError          a recorded history cannot be read                            exit 64
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


class PersistenceError(Exception):
    """Root of all errors of this package.

    `what` is one lowercase sentence without a full stop; `where` a file position or an object's
    name; `remedy` what the user can do.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def reword(self, change: Callable[[str], str]) -> None:
        """Apply `change` to every text of it: what a command said may hold a secret."""
        for field, value in vars(self).items():
            if isinstance(value, str):
                setattr(self, field, change(value))
        self.args = tuple(change(value) if isinstance(value, str) else value for value in self.args)

    def __str__(self) -> str:
        lines = [f"error: {self.what}"]
        if self.where:
            lines.append(f"  --> {self.where}")
        if self.remedy:
            lines.append(f"   = help: {self.remedy}")
        return "\n".join(lines)


class UsageError(PersistenceError):
    exit_code = 64


class StackRefused(PersistenceError):
    exit_code = 64


class StackError(PersistenceError):
    exit_code = 2


class EngineUnavailable(PersistenceError):
    exit_code = 2


class CapabilityLacking(PersistenceError):
    """`remedy` says what would enable it."""

    exit_code = 2


class HistoryError(PersistenceError):
    exit_code = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a scenario file; `line` and `column` count from 1."""

    what: str
    file: str
    line: int
    column: int
    remedy: str | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ScenarioError(PersistenceError):
    """Everything wrong with one scenario file, in the order of the file."""

    exit_code = 64

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(first.what, where=first.where, remedy=first.remedy)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n\n".join(
            str(PersistenceError(p.what, where=p.where, remedy=p.remedy)) for p in self.problems
        )
