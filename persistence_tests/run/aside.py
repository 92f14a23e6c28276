"""Something done in a thread of its own while the step goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Aside(Generic[Result]):
    """Begins at once. A daemon: where the step is interrupted, nobody waits for it."""

    def __init__(self, do: Callable[[], Result]) -> None:
        self._do = do
        self._found: list[Result] = []
        self._raised: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """What it returned, once it has ended; raises what it raised."""
        self._thread.join()
        if self._raised is not None:
            raise self._raised
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._do())
        except BaseException as error:  # it must reach whoever asks for the result, whatever it is
            self._raised = error
