"""The line for the step under way: what it is doing, how far it is, for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from persistence_tests.report.layout import cut

REFRESHES_A_SECOND = 8
LEAST = 16  # cells for what it is doing; what else there is to say gives way


class LiveLine:
    """Use as a context manager; on anything but a terminal it shows nothing. `say` may come from any thread.

    `left` is asked at each refresh for what stands at the end of the line, such as the time that is left.
    """

    def __init__(self, console: Console, left: Callable[[], str] = str) -> None:
        self._text = "starting"
        self._since = time.monotonic()
        self._left = left
        self._spinner = Spinner("dots", style="cyan")
        # No thread of its own where nobody looks: a log holds whole lines only.
        self._live = (
            Live(self, console=console, refresh_per_second=REFRESHES_A_SECOND, transient=True)
            if console.is_terminal and not console.is_dumb_terminal
            else None
        )

    def say(self, text: str, *, since: float | None = None) -> None:
        """`since` is the `time.monotonic()` from which the seconds count."""
        self._text = text
        if since is not None:
            self._since = since

    def __enter__(self) -> LiveLine:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        frame = self._spinner.render(console.get_time())
        line = Text("  ").append_text(frame if isinstance(frame, Text) else Text()).append(" ")
        room = options.max_width - line.cell_len
        end = f"  {time.monotonic() - self._since:.0f} s"
        left = self._left()
        if left and room - cell_len(end) - cell_len(left) - 3 >= min(LEAST, cell_len(self._text)):
            end += f" · {left}"
        line.append(cut(self._text, room - cell_len(end)))
        line.append(end, style="dim")
        yield line
