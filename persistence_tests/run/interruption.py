"""Keeps an interrupt away from what must be done whole."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from persistence_tests.errors import PersistenceError

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
STANDARD_ERROR = 2

_Handler = Callable[[int, FrameType | None], object]
_requested = threading.Event()


def handle_interrupts() -> None:
    """From now on the first interrupt ends what is under way, and no other may end the removal that follows."""
    _requested.clear()
    for each in INTERRUPTS:
        signal.signal(each, _interrupt)


def ignore_interrupts() -> None:
    """All is over: an interpreter that ends would give a late interrupt its default meaning, and lose the exit code."""
    for each in INTERRUPTS:
        signal.signal(each, signal.SIG_IGN)


def raise_if_interrupted() -> None:
    """Raises KeyboardInterrupt where an interrupt came that something on the way made another error of."""
    if _requested.is_set():
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _requested.set()
    for each in INTERRUPTS:
        signal.signal(each, _once_more)
    raise KeyboardInterrupt


def _once_more(_number: int, _frame: FrameType | None) -> None:
    say("interrupted already: what the run made is being removed")


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


def why_ended(error: BaseException | None) -> str | None:
    """What ended a run before its end, in words; None where nothing did."""
    if error is None:
        return None
    if is_interrupt(error):
        return "interrupted"
    return error.what if isinstance(error, PersistenceError) else repr(error)


def say(text: str) -> None:
    """Write a line from within a signal handler, where a buffered stream may be in the middle of another."""
    with suppress(OSError):  # nobody listens any more, and the work goes on
        os.write(STANDARD_ERROR, f"{text}\n".encode())


def _deliver(handler: _Handler | int, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.raise_signal(number)
