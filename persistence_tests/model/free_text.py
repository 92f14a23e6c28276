"""Which fields of the records are words, for people, and which are names and facts that the oracle goes by.

Words may hold what a server answered or a command said, and with it a secret; names must stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from persistence_tests.model import records as r
from persistence_tests.model.finding import KnownLoss
from persistence_tests.model.observation import Observation

FREE_TEXT: dict[type, tuple[str, ...]] = {
    r.RunBegan: ("environment",),
    r.ScenarioBegan: ("paths", "rules", "steps", "claims", "known"),
    r.PathDeclared: ("detail",),
    r.RuleDeclared: ("title",),
    r.StepPlanned: ("title", "text"),
    r.Claim: ("text",),
    KnownLoss: ("why",),
    r.StackPrepared: ("engine", "original", "isolated", "changes"),
    r.StackReady: ("why",),
    r.AbsenceProbed: ("detail",),
    r.StepBegan: ("title", "options"),
    r.Completed: ("detail",),
    r.EventEnded: ("proof", "problems", "unmet"),
    r.Evidence: ("fact",),
    r.StackChanged: ("original", "changes"),
    r.StackReadyAgain: ("why",),
    r.ControlsChecked: ("checks",),
    r.ControlCheck: ("detail",),
    r.PathObserved: ("observations", "directories", "problem"),
    r.ReadMeanwhile: ("others",),
    Observation: ("error",),
    r.StepSkipped: ("reason", "enable"),
    r.StepFaulted: ("what",),
    r.RunEnded: ("why",),
}

T = TypeVar("T")


def reworded(record: T, reword: Callable[[Any], Any]) -> T:
    """The record with `reword` applied to every free text of it, and to mappings and lists of such; itself if
    none changes."""
    changed = {}
    for name in FREE_TEXT.get(type(record), ()):
        value = getattr(record, name)
        new = _value(value, reword)
        if new is not value:
            changed[name] = new
    return replace(record, **changed) if changed else record  # type: ignore[type-var]


def _value(value: Any, reword: Callable[[Any], Any]) -> Any:
    if not value:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return reworded(value, reword)
    if isinstance(value, tuple):
        items = tuple(_value(item, reword) for item in value)
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if isinstance(value, dict) and all(is_dataclass(item) for item in value.values()):
        entries = {key: reworded(item, reword) for key, item in value.items()}
        return value if all(entries[key] is item for key, item in value.items()) else entries
    new = reword(value)
    return value if new == value else new
