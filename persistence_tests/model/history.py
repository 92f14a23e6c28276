"""The history of a run on disk: JSON lines, appended as things happen.

    {"history": 2, "at": 0.0, "scenario": null, "type": "RunBegan", …the record's fields, "check": "5f3a09c1"}

Every record is one line and one write, so a run that is killed leaves whole lines, but perhaps the last.
The first line carries the version of the format. `check` is the CRC-32 of all that stands before it in the file's
lines: where a line was lost, doubled, moved or changed, a verdict would rest on something that never happened.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persistence_tests.errors import HistoryError
from persistence_tests.model.codec import decode, encode, is_number
from persistence_tests.model.records import Entry, Record

FORMAT = 2

_CHECK = b',"check":"'


@dataclass(frozen=True, slots=True)
class History:
    """The entries of a history in their order. `torn` says that its last line was cut off, and left out."""

    entries: tuple[Entry, ...]
    torn: bool

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


class HistoryWriter:
    """Appends to a new history. Thread-safe.

    `listeners` are called with every entry, in the order of the file, once its line is written. No lock is
    held meanwhile, so a listener may append, and may wait for a thread that does. With several threads, one
    of them makes the calls for all: once they have all returned, every call was made. What a listener raises
    comes out of the `append` that made the call, after all calls.
    """

    def __init__(self, path: Path | str, started_monotonic: float | None = None) -> None:
        """`started_monotonic` is the `time.monotonic()` from which entries count; default now.

        Raises HistoryError where the file cannot be made or is there already.
        """
        self.path = Path(path)
        self.listeners: list[Callable[[Entry], None]] = []
        self._started = time.monotonic() if started_monotonic is None else started_monotonic
        self._lock = threading.Lock()
        self._undelivered: deque[Entry] = deque()
        self._delivering = False
        self._empty = True
        self._check = 0
        self._broken: str | None = None
        try:
            self._file = os.open(
                self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise HistoryError(
                f"the history cannot be written: {error.strerror}",
                where=str(self.path),
                remedy="choose another directory for the reports",
            ) from error

    def append(self, scenario: str | None, record: Record) -> Entry:
        """Write a record; once this returns, the engine's system has it (`sync` puts it on the disk)."""
        values = encode(record)
        with self._lock:
            if self._broken:
                raise HistoryError(self._broken, where=str(self.path))
            at = round(max(time.monotonic() - self._started, 0.0), 6)
            line, self._check = _line(at, scenario, record, values, self._check, first=self._empty)
            self._write(line)
            self._empty = False
            entry = Entry(at, scenario, record)
            self._undelivered.append(entry)
        self._deliver()
        return entry

    def sync(self) -> None:
        """Put everything written so far on the disk."""
        with self._lock:
            if self._broken:
                raise HistoryError(self._broken, where=str(self.path))
            try:
                os.fsync(self._file)
            except OSError as error:
                raise self._break(error) from error

    def close(self) -> None:
        """Sync and close; a second time does nothing."""
        with self._lock:
            if self._file < 0:
                return
            file, self._file = self._file, -1
            failed, self._broken = self._broken, "the history is closed"
            try:
                if not failed:
                    os.fsync(file)
            except OSError as error:
                raise self._break(error) from error
            finally:
                os.close(file)

    def __enter__(self) -> HistoryWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            raise self._break(error) from error

    def _break(self, error: OSError) -> HistoryError:
        """After a failed write the last line may be half a line, and nothing may follow it."""
        self._broken = f"the history cannot be written: {error.strerror}"
        return HistoryError(self._broken, where=str(self.path), remedy="look at the disk's free space")

    def _deliver(self) -> None:
        with self._lock:
            if self._delivering:
                return
            self._delivering = True
        raised: Exception | None = None
        while (entry := self._next()) is not None:
            for listener in tuple(self.listeners):
                try:
                    listener(entry)
                except Exception as error:
                    raised = raised or error
                except BaseException:
                    with self._lock:
                        self._delivering = False
                    raise
        if raised is not None:
            raise raised

    def _next(self) -> Entry | None:
        with self._lock:
            if self._undelivered:
                return self._undelivered.popleft()
            self._delivering = False
            return None


def write_history(path: Path | str, entries: Iterable[Entry]) -> None:
    """Write entries that have their times already, in the place of any history that is there."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            check = 0
            for number, entry in enumerate(entries):
                values = encode(entry.record)
                line, check = _line(entry.at, entry.scenario, entry.record, values, check, first=number == 0)
                file.write(line)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise HistoryError(f"the history cannot be written: {error.strerror}", where=str(path)) from error


def _line(
    at: float, scenario: str | None, record: Record, values: dict[str, Any], check: int, *, first: bool
) -> tuple[bytes, int]:
    """A line, and its check; `check` is the one of the line before."""
    head: dict[str, Any] = {"history": FORMAT} if first else {}
    line = json.dumps(
        head | {"at": at, "scenario": scenario, "type": type(record).__name__} | values,
        allow_nan=False,
        separators=(",", ":"),
    )
    checked, check = _checked(line.encode("ascii"), check)
    return checked + b"\n", check


def read_history(path: Path | str) -> History:
    """Read what a HistoryWriter wrote, of a run that is over, was killed, or still goes on.

    Raises HistoryError, with the number of the line, for anything but a last line without its end.
    """
    check = 0
    entries: list[Entry] = []
    try:
        with Path(path).open("rb") as file:
            for number, whole in enumerate(file, start=1):
                if not whole.endswith(b"\n"):
                    return History(tuple(entries), torn=True)
                line = whole[:-1]
                entry = _entry(line, number, path)
                start, mark, _ = line.rpartition(_CHECK)
                checked, check = _checked(start + b"}" if mark else line, check)
                if checked != line:
                    raise HistoryError(
                        "the line, or one before it, is not as it was written: its check does not hold",
                        where=f"{path}:{number}",
                        remedy="take the history as the run wrote it",
                    )
                entries.append(entry)
    except OSError as error:
        raise HistoryError(f"the history cannot be read: {error.strerror}", where=str(path)) from error
    return History(tuple(entries), torn=False)


def _checked(line: bytes, check: int) -> tuple[bytes, int]:
    """A line with its check, and that check; `check` is the one of the line before."""
    body = line[:-1]
    check = zlib.crc32(body, check)
    return body + _CHECK + b"%08x" % check + b'"}', check


def _entry(line: bytes, number: int, path: Path | str) -> Entry:
    where = f"{path}:{number}"
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HistoryError("the line is not JSON", where=where) from error
    if not isinstance(values, dict):
        raise HistoryError("the line is not a JSON object", where=where)
    _check_format(values.pop("history", None), number, where)
    values.pop("check", None)
    at, scenario, name = (values.pop(key, None) for key in ("at", "scenario", "type"))
    if not is_number(at) or not isinstance(name, str) or not isinstance(scenario, str | None):
        raise HistoryError("the line is no entry of a history: at, scenario or type is wrong", where=where)
    try:
        return Entry(float(at), scenario, decode(name, values))
    except RecursionError as error:
        raise HistoryError("the line is nested too deeply", where=where) from error
    except HistoryError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise HistoryError(what, where=where, remedy=error.remedy) from error


def _check_format(version: object, number: int, where: str) -> None:
    if number > 1 and version is None:
        return
    if number == 1 and type(version) is int and version == FORMAT:
        return
    if number == 1 and type(version) is int:
        raise HistoryError(
            f"the history has format {version}, this version reads format {FORMAT}",
            where=where,
            remedy="read it with the version that wrote it",
        )
    raise HistoryError("this is not a history: its first line, and no other, carries its format", where=where)
