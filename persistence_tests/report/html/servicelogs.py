"""What the services said around an event: the lines of their logs within its time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from persistence_tests.report.printable import printable
from persistence_tests.report.redaction import without_secrets

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
class _Stamped:
    at: float | None
    text: str


class ServiceLogs:
    """The logs of one scenario. `started` is the beginning of the run, to whole seconds."""

    def __init__(self, logs: Mapping[str, str], started: str) -> None:
        self._began = _time(started)
        self._logs = {service: self._read(text) for service, text in logs.items()}

    def tails(self) -> list[Excerpt]:
        return [
            _excerpt(service, lines, "the end of its log", LINES_OF_TAIL)
            for service, lines in sorted(self._logs.items())
            if lines
        ]

    def around(self, start: float, end: float) -> list[Excerpt]:
        """What each service said from a little before `start` to a little after `end`, seconds since the run began.

        A log without times has no window, and is left out.
        """
        out = []
        for service, lines in sorted(self._logs.items()):
            if not any(line.at is not None for line in lines):
                continue
            inside = list(_between(lines, start - SECONDS_AROUND, end + SECONDS_AROUND))
            if inside:
                out.append(_excerpt(service, inside, "around the event", LINES_OF_WINDOW))
        return out

    def _read(self, text: str) -> list[_Stamped]:
        lines = without_secrets(text).split("\n")
        if lines and not lines[-1]:
            lines.pop()
        return [self._line(line) for line in lines]

    def _line(self, line: str) -> _Stamped:
        found = STAMP.match(line)
        if found is None or self._began is None:
            return _Stamped(None, line)
        at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        fraction = float(f"0.{found[2] or 0}")
        seconds = (at - self._began + timedelta(seconds=fraction)).total_seconds()
        return _Stamped(seconds, line[found.end() :])


def _between(lines: Sequence[_Stamped], start: float, end: float) -> list[_Stamped]:
    """A line without a time belongs to the one before it."""
    out, inside = [], False
    for line in lines:
        if line.at is not None:
            inside = start <= line.at <= end
        if inside:
            out.append(line)
    return out


def _excerpt(service: str, lines: Sequence[_Stamped], note: str, most: int) -> Excerpt:
    shown = lines[-most:]
    return Excerpt(
        service,
        note,
        [Line("" if line.at is None else f"{line.at:+.3f}", _cut(line.text)) for line in shown],
        len(lines) - len(shown),
    )


def _cut(text: str) -> str:
    text = printable(text.rstrip("\r"))
    return text if len(text) <= LINE_LENGTH else text[:LINE_LENGTH] + "…"


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
