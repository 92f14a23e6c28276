"""A run in parts: several processes, each with some of the scenarios, and one history of all of them in the end.

reports/RUN/history.jsonl      the whole, made by `join`
reports/RUN/logs/
reports/RUN/gw0/history.jsonl  what the first process recorded
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from persistence_tests.errors import HistoryError
from persistence_tests.model.history import read_history, write_history
from persistence_tests.model.records import Entry, RunBegan, RunEnded, ScenarioBegan, ScenarioEnded
from persistence_tests.run.interruption import why_ended

Part = tuple[str, Sequence[Entry]]


def new_identity() -> str:
    """Begins with the time, so that runs are listed in their order."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def point_latest_at(report_dir: Path, run: str) -> None:
    """`latest` names the newest run; a link where the platform has them, else nothing."""
    fresh = report_dir / f".latest-{run}"
    try:
        fresh.symlink_to(run)
        fresh.replace(report_dir / "latest")
    except OSError:
        fresh.unlink(missing_ok=True)


def join(report_dir: Path, run: str, error: BaseException | None) -> list[Entry] | None:
    """Write the history of a run from those of its parts; None where there is none. `error` is what ended the run."""
    directory = report_dir / run
    parts: list[Part] = []
    for file in sorted(directory.glob("*/history.jsonl"), key=lambda file: (len(file.parent.name), file)):
        recorded: tuple[Entry, ...] = ()
        with suppress(HistoryError):  # what is damaged is missing in the whole, which then is not complete
            recorded = read_history(file).entries
        parts.append((file.parent.name, recorded))
    if not parts:
        return None
    entries, names = merged(parts, run, why_ended(error))
    write_history(directory / "history.jsonl", entries)
    (directory / "logs").mkdir(exist_ok=True)
    for part, _ in parts:
        _bring_logs(directory / part / "logs", directory / "logs", names[part])
    point_latest_at(report_dir, run)
    return entries


def merged(
    parts: Sequence[Part], run: str, why: str | None = None
) -> tuple[list[Entry], dict[str, dict[str, str]]]:
    """One history of all parts, as a single process would have written it; and each part's scenarios by new name.

    The second scenario of one name becomes "name-2", as within a run. It is complete where every part is, and `why` is
    None.
    """
    taken: set[str] = set()
    names: dict[str, dict[str, str]] = {}
    streams, beginnings, problems = [], [], [why] if why else []
    for part, entries in parts:
        began, ended = (entries[0].record, entries[-1].record) if entries else (None, None)
        if not isinstance(began, RunBegan):
            problems.append(f"what {part} recorded cannot be read")
            names[part] = {}
            continue
        beginnings.append(began)
        names[part] = _new_names(entries, taken)
        if not isinstance(ended, RunEnded):
            problems.append(f"{part} ended before its part of the run did")
        elif not ended.complete:
            problems.append(ended.why or f"{part} is not complete")
        streams.append((began, entries, names[part]))
    start = min((_time(began) for began in beginnings), default=0.0)
    own = [
        [
            _moved(entry, _time(began) - start, renamed)
            for entry in entries
            if not isinstance(entry.record, RunBegan | RunEnded)
        ]
        for began, entries, renamed in streams
    ]
    whole = list(heapq.merge(*own, key=lambda entry: entry.at))
    last = max((entries[-1].at + _time(began) - start for began, entries, _ in streams), default=0.0)
    first = min(beginnings, key=_time) if beginnings else RunBegan(run, 0, "", "", {})
    stopped = next((p for p in problems if p == "interrupted"), problems[0] if problems else None)
    return [
        Entry(0.0, None, replace(first, run=run)),
        *whole,
        Entry(last, None, RunEnded(not problems, stopped)),
    ], names


def _new_names(entries: Sequence[Entry], taken: set[str]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for entry in entries:
        old = entry.scenario
        if old is None or old in renamed:
            continue
        name, number = old, 1
        while name in taken:
            number += 1
            name = f"{old}-{number}"
        taken.add(name)
        renamed[old] = name
    return renamed


def _moved(entry: Entry, later: float, names: dict[str, str]) -> Entry:
    scenario = names[entry.scenario] if entry.scenario is not None else None
    record = entry.record
    if scenario is not None and isinstance(record, ScenarioBegan | ScenarioEnded):
        record = replace(record, name=scenario)
    return Entry(round(entry.at + later, 6), scenario, record)


def _time(began: RunBegan) -> float:
    try:
        return datetime.fromisoformat(began.started).timestamp()
    except ValueError:
        return 0.0


def _bring_logs(source: Path, target: Path, names: dict[str, str]) -> None:
    """Move the logs of a part, under the new name of their scenario."""
    for file in sorted(source.glob("*")):
        old = max((name for name in names if file.name.startswith(f"{name}-")), key=len, default="")
        file.replace(target / (names[old] + file.name.removeprefix(old) if old else file.name))
    with suppress(OSError):
        source.rmdir()
