"""What isolation made of the stack's resolved configuration, as a unified diff."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from persistence_tests.model.redaction import without_secrets, without_secrets_in
from persistence_tests.report.printable import printable

LINES_SHOWN = 1500
LOOKS = {"+": "added", "-": "removed", "@": "place"}


@dataclass(frozen=True, slots=True)
class DiffLine:
    look: str
    text: str


def difference(original: Mapping[str, Any], isolated: Mapping[str, Any]) -> tuple[list[DiffLine], int]:
    """The lines that are shown, and how many are left out."""
    before, after = (_lines(config) for config in (original, isolated))
    lines = [
        DiffLine(LOOKS.get(line[:1], "same"), printable(line))
        for line in difflib.unified_diff(
            before, after, "compose.yaml, resolved", "as it was run", lineterm=""
        )
    ]
    return lines[:LINES_SHOWN], max(len(lines) - LINES_SHOWN, 0)


def _lines(config: Mapping[str, Any]) -> list[str]:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    text = io.StringIO()
    yaml.dump(without_secrets_in(dict(config)), text)
    return without_secrets(text.getvalue()).splitlines()
