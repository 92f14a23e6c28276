"""What earlier runs of a scenario left in the report directory: how long a step took, how a known loss fared.

Whatever cannot be read there is as if it were not there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from persistence_tests.model.finding import KnownLoss

RUNS_READ = 20


def seconds_before(source: str, report_dir: Path) -> dict[str, float]:
    """The seconds that each step of the scenario took when it was last run to its end."""
    seconds: dict[str, float] = {}
    for scenario in _earlier(source, report_dir):
        for step in _mappings(scenario, "steps"):
            name, took = step.get("step"), step.get("seconds")
            if isinstance(name, str) and isinstance(took, int | float) and took > 0:
                seconds.setdefault(name, float(took))
    return seconds


def clean_before(known: Sequence[KnownLoss], source: str, report_dir: Path) -> tuple[KnownLoss, ...]:
    """The known losses, each with how many steps in a row did not show it by the end of the newest run that has it."""
    if not known:
        return ()
    clean: dict[tuple[Any, ...], int] = {}
    for scenario in _earlier(source, report_dir):
        for state in _mappings(scenario, "known"):
            counted = state.get("clean")
            if isinstance(counted, int) and counted >= 0:
                clean.setdefault(_told(state), counted)
    return tuple(replace(loss, clean=clean.get(_same(loss), 0)) for loss in known)


def _same(loss: KnownLoss) -> tuple[Any, ...]:
    """What makes it the same loss in another run, wherever its entry stands."""
    return loss.event, str(loss.symptom), tuple(loss.paths), tuple(loss.names)


def _told(state: Mapping[str, Any]) -> tuple[Any, ...]:
    paths, names = (tuple(map(str, state.get(key) or ())) for key in ("paths", "names"))
    return state.get("event"), state.get("symptom"), paths, names


def _earlier(source: str, report_dir: Path) -> Iterator[Mapping[str, Any]]:
    """The results of the scenario in the newest runs, newest first: a run's name begins with its time."""
    try:
        runs = sorted((run for run in report_dir.iterdir() if not run.is_symlink()), reverse=True)
    except OSError:
        return
    wanted = os.path.realpath(source)
    for run in runs[:RUNS_READ]:
        try:
            result = json.loads((run / "result.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        for scenario in _mappings(result, "scenarios"):
            if os.path.realpath(str(scenario.get("source") or "")) == wanted:
                yield scenario


def _mappings(value: Any, key: str) -> Iterator[Mapping[str, Any]]:
    listed = value.get(key) if isinstance(value, dict) else None
    return (each for each in listed if isinstance(each, dict)) if isinstance(listed, list) else iter(())
