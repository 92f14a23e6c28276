"""`report.html`: one file that needs no network, and that nothing in it can make do anything.

Every text from a stack is made printable and escaped; the page's own policy allows its one style sheet and its one
script, by digest, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from persistence_tests.model.records import Entry
from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.html.page import make_page
from persistence_tests.report.printable import printable
from persistence_tests.report.result import RunResult
from persistence_tests.report.wording import MARKS

if TYPE_CHECKING:
    from jinja2 import Environment


def render(result: RunResult, entries: Sequence[Entry], logs: Mapping[str, str]) -> str:
    """The page of a run, complete or not. `logs` are the files beside its history by name ("media-api.log")."""
    style, script = _asset("style.css"), _asset("script.js")
    return (
        _environment()
        .get_template("report.html")
        .render(
            page=make_page(result, entries, logs),
            style=style,
            script=script,
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("persistence_tests.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": _shown, "seconds": _seconds, "count": _count}
    environment.globals["marks"] = {str(verdict): mark for verdict, mark in MARKS.items()}
    return environment


@lru_cache(maxsize=20_000)
def _shown(value: object) -> str:
    """Text of a stack's: one line, nothing hidden in it, no secret."""
    return printable(without_secrets(str(value)))


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    if value >= 10:
        return f"{value:.1f} s"
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def _count(value: int) -> str:
    return f"{value:,}"


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
