"""What the services said around an event: the lines of their logs within its time."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.printable import printable

SECONDS_AROUND = 2.0
LINES_OF_WINDOW = 60
LINES_OF_TAIL = 100
LINE_LENGTH = 400
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ")


@dataclass(frozen=True, slots=True)
class Line:
    """`at` is "+12.345 s" since the run began, empty where the line bears no time."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of one service; `left_out` of them are not shown, `note` says what the excerpt is."""

    service: str
    note: str
    lines: list[Line]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Log:
    """`times` has one for each line, that of the line before it where it bears none; empty where no line does."""

    lines: list[Line]
    times: list[float]


class ServiceLogs:
    """The logs of one scenario. `started` is the beginning of the run, to whole seconds."""

    def __init__(self, logs: Mapping[str, str], started: str) -> None:
        self._began = _time(started)
        self._logs = {service: self._read(text) for service, text in sorted(logs.items())}

    def tails(self) -> list[Excerpt]:
        return [
            _excerpt(service, log.lines, "the end of its log", LINES_OF_TAIL)
            for service, log in self._logs.items()
            if log.lines
        ]

    def around(self, start: float, end: float) -> list[Excerpt]:
        """What each service said from a little before `start` to a little after `end`, seconds since the run began.

        A log without times has no window, and is left out.
        """
        out = []
        for service, log in self._logs.items():
            first = bisect_left(log.times, start - SECONDS_AROUND)
            last = bisect_right(log.times, end + SECONDS_AROUND)
            if first < last:
                out.append(_excerpt(service, log.lines[first:last], "around the event", LINES_OF_WINDOW))
        return out

    def _read(self, text: str) -> _Log:
        lines = without_secrets(text).split("\n")
        if not lines[-1]:
            lines.pop()
        out = _Log([], [])
        latest: float | None = None
        for line in lines:
            found = STAMP.match(line)
            at = self._since(found) if found else None
            out.lines.append(Line("" if at is None else f"{at:+.3f}", line[found.end() :] if found else line))
            if at is not None:
                latest = at if latest is None else max(latest, at)
            # Lines before the first time are as old as can be; two streams may be a little out of order.
            out.times.append(float("-inf") if latest is None else latest)
        return _Log(out.lines, out.times if latest is not None else [])

    def _since(self, stamp: re.Match[str]) -> float | None:
        if self._began is None:
            return None
        try:
            at = datetime.fromisoformat(stamp[1]).replace(tzinfo=UTC)
        except ValueError:
            return None
        return (at - self._began).total_seconds() + float(f"0.{stamp[2] or 0}")


def _excerpt(service: str, lines: Sequence[Line], note: str, most: int) -> Excerpt:
    shown = [Line(line.at, _cut(line.text)) for line in lines[-most:]]
    return Excerpt(service, note, shown, len(lines) - len(shown))


def _cut(text: str) -> str:
    text = printable(text.rstrip("\r"))
    return text if len(text) <= LINE_LENGTH else text[:LINE_LENGTH] + "…"


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
