"""The override document: what it is made of, and how it is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

INDENT = "  "


@dataclass(frozen=True, slots=True)
class Reset:
    """Compose's `!reset`: as if the user's files had never said it."""


@dataclass(frozen=True, slots=True)
class Override:
    """Compose's `!override`: this instead of what the user's files say, not merged with it."""

    value: Any


def render(document: dict[str, Any]) -> str:
    """YAML: block mappings down to lists and tagged values, which are JSON, which YAML contains."""
    return "".join(f"{line}\n" for line in _mapping(document, 0))


def _mapping(mapping: dict[str, Any], depth: int) -> list[str]:
    lines = []
    for key, value in mapping.items():
        start = f"{INDENT * depth}{json.dumps(key)}:"
        match value:
            case Reset():
                lines.append(f"{start} !reset null")
            case Override(value=inner):
                lines.append(f"{start} !override {json.dumps(inner)}")
            case dict() if value:
                lines += [start, *_mapping(value, depth + 1)]
            case _:
                lines.append(f"{start} {json.dumps(value)}")
    return lines
