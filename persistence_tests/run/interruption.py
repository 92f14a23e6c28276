"""Keeps an interrupt away from what must be done whole."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
STANDARD_ERROR = 2

_Handler = Callable[[int, FrameType | None], object]


@contextmanager
def uninterrupted(doing: str) -> Iterator[None]:
    """An interrupt that comes meanwhile is told that it must wait, and is raised once the block has ended.

    Does nothing outside the main thread, which no signal interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[tuple[int, FrameType | None]] = []

    def postpone(number: int, frame: FrameType | None) -> None:
        if not pending:
            say(f"{doing}: this must end first")
        pending.append((number, frame))

    # A handler that was not set from Python (None) could not be put back, so that such a signal is let alone.
    before = {each: handler for each in INTERRUPTS if (handler := signal.getsignal(each)) is not None}
    for each in before:
        signal.signal(each, postpone)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if pending:
            _deliver(before[signal.Signals(pending[0][0])], *pending[0])


def is_interrupt(error: BaseException | None) -> bool:
    """Whether it is an interrupt, or something that failed in the wake of one."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def say(text: str) -> None:
    """Write a line from within a signal handler, where a buffered stream may be in the middle of another."""
    try:
        os.write(STANDARD_ERROR, f"{text}\n".encode())
    except OSError:  # nobody listens any more, and the work goes on
        pass


def _deliver(handler: _Handler | int, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.raise_signal(number)
