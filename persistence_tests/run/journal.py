"""Where writers say what they do, before they do it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.records import Completed, Invoked, Record


class RunJournal:
    """The journal of one epoch; thread-safe.

    An operation is in the history before its request leaves, so that no request exists that the
    oracle does not know of.
    """

    def __init__(self, record: Callable[[Record], None]) -> None:
        self._record = record
        self._changed = threading.Condition()
        self._acknowledged = 0

    @property
    def acknowledged(self) -> int:
        """How many operations have ended `ok`."""
        return self._acknowledged

    def invoked(self, operation: Operation) -> None:
        with self._changed:
            self._record(Invoked(operation))

    def completed(
        self, operation: int, outcome: Outcome, detail: str = "", status: int | None = None
    ) -> None:
        with self._changed:
            self._record(Completed(operation, outcome, detail, status))
            if outcome is Outcome.OK:
                self._acknowledged += 1
            self._changed.notify_all()

    def wait_acknowledged(self, count: int, timeout: float) -> bool:
        """Wait until `count` operations in all have ended `ok`; False after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._acknowledged >= count, timeout)
