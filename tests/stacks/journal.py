"""What a writer tells, kept in memory, and contents for it to write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from persistence_tests.model.operation import Operation, Outcome


class Journal:
    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []
        self.on_invoked: Callable[[Operation], None] = lambda operation: None
        self._answers: dict[int, tuple[Outcome, str, int | None]] = {}
        self._lock = threading.Lock()

    def invoked(self, operation: Operation) -> None:
        with self._lock:
            self.lines.append(("invoked", operation.identity))
        self.on_invoked(operation)

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None:
        with self._lock:
            self.lines.append((outcome.value, operation))
            self._answers[operation] = outcome, detail, status

    @property
    def outcomes(self) -> dict[int, tuple[Outcome, str]]:
        """Outcome and detail, by operation."""
        return {operation: (outcome, detail) for operation, (outcome, detail, _) in self._answers.items()}

    @property
    def details(self) -> dict[int, tuple[str, int | None]]:
        """Detail and status, by operation."""
        return {operation: (detail, status) for operation, (_, detail, status) in self._answers.items()}

    def outcome(self, operation: int) -> Outcome:
        return self._answers[operation][0]


@dataclass
class Bytes:
    content: bytes
    before_last: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        size = 65536
        for at in range(0, len(self.content), size):
            if at + size >= len(self.content):
                self.before_last()
            yield self.content[at : at + size]

    def slice(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]
