"""Durations as people write them: "250ms", "5s", "2m", "1h", or a number of seconds."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")


def seconds(value: Any) -> float:
    """Seconds of a duration as written; ValueError where it is none, or is negative or without end."""
    if isinstance(value, bool):
        raise ValueError(_expected(value))
    if isinstance(value, int | float):
        number = float(value)
        if not 0 <= number < float("inf"):
            raise ValueError(_expected(value))
        return number
    written = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if written is None:
        raise ValueError(_expected(value))
    return float(written[1]) * _SECONDS[written[2]]


def _expected(value: Any) -> str:
    return f"not a duration: {value!r}; write a number with a unit, such as 250ms, 5s or 2m"


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h)\s*$"},
                {"type": "number", "minimum": 0},
            ],
            "examples": ["5s", "250ms", "2m"],
        }
    ),
]
"""A field that takes a duration and holds seconds."""
