"""Where writers say what they do, before they do it."""

from __future__ import annotations

from collections.abc import Callable

from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.records import Completed, Invoked, Record


class RunJournal:
    """The journal of one epoch; thread-safe.

    An operation is in the history before its request leaves, so that no request exists that the
    oracle does not know of. `said` is what was answered to each that was not acknowledged.
    """

    def __init__(self, record: Callable[[Record], None]) -> None:
        self._record = record
        self.said: dict[int, str] = {}

    def invoked(self, operation: Operation) -> None:
        self._record(Invoked(operation))

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        if outcome is not Outcome.OK:
            self.said[operation] = f"{status or ''} {detail}".strip()
        self._record(Completed(operation, outcome, detail, status, name))
