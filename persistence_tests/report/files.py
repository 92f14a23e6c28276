"""Writes the reports of a run beside its history."""

from __future__ import annotations

import json
from pathlib import Path

from persistence_tests.report.result import RunResult
from persistence_tests.report.summary import summary


def write_reports(result: RunResult, directory: Path) -> None:
    """`result.json` and `summary.md` in `directory`; a reader never sees half of either."""
    _write(directory / "result.json", json.dumps(result.as_dict(), indent=2, ensure_ascii=True) + "\n")
    _write(directory / "summary.md", summary(result))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
