"""Writes the reports of a run beside its history."""

from __future__ import annotations

import html
import json
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from persistence_tests.model.records import Entry
from persistence_tests.report.ctrf import ctrf
from persistence_tests.report.junit import junit
from persistence_tests.report.replay import ReplayResult
from persistence_tests.report.result import RunResult
from persistence_tests.report.summary import summary

STEP_SUMMARY_BYTES = 1024 * 1024


def write_reports(result: RunResult, entries: Sequence[Entry], directory: Path) -> None:
    """`result.json`, `summary.md`, `junit.xml`, `ctrf.json` and `report.html`, with the logs that are in `directory`.

    A reader never sees half of any.
    """
    _write(directory / "result.json", _json(result.as_dict()))
    _write(directory / "summary.md", summary(result))
    _write(directory / "junit.xml", junit(result, str(directory)))
    _write(directory / "ctrf.json", _json(ctrf(result)))
    _write(directory / "report.html", _page(result, entries, _logs(directory / "logs")))


def write_replay(result: ReplayResult, directory: Path) -> None:
    """`replay.json`, beside the directories of the rounds."""
    _write(directory / "replay.json", _json(result.as_dict()))


def append_step_summary(result: RunResult, file: str | None) -> None:
    """Where GitHub Actions collects what a step has to say ($GITHUB_STEP_SUMMARY), say it too.

    It takes 1 MiB in all and shows nothing of more: a page that does not fit any more is left out.
    """
    if not file:
        return
    text = summary(result).encode("utf-8", "backslashreplace")
    with suppress(OSError), Path(file).open("ab") as collected:
        if collected.tell() + len(text) <= STEP_SUMMARY_BYTES:
            collected.write(text)


def _page(result: RunResult, entries: Sequence[Entry], logs: dict[str, str]) -> str:
    from persistence_tests.report.html import render

    try:
        return render(result, entries, logs)
    except Exception:  # a page that cannot be drawn must not take the verdict with it
        fault = html.escape(traceback.format_exc())
        return (
            f"<!doctype html><title>{result.verdict}</title><h1>{result.verdict}</h1><p>This page could not be made, "
            f"which is a bug: please report it. summary.md and result.json hold the result.</p><pre>{fault}</pre>"
        )


def _logs(directory: Path) -> dict[str, str]:
    """The texts by the name of their file; one that cannot be read is left out."""
    texts = {}
    for file in sorted(directory.glob("*")):
        try:
            texts[file.name] = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
    return texts


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
