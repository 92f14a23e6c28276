"""The plugin's options: on the command line, or their twins in the ini file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

KEEP = ("always", "on-failure", "never")
OPTIONS = {
    "seed": "Seed of names, a number; every run prints its own.",
    "report-dir": "Where each run makes a directory for its reports (default: reports).",
    "keep": "When to leave the stack running: always, on-failure or never (default).",
}
ENGINES = (
    "Docker engine; default: DOCKER_HOST or the current context. Of several, each xdist worker takes one."
)


@dataclass(frozen=True)
class Options:
    """`engines` is empty where the usual one is meant."""

    seed: int
    report_dir: Path
    keep: str
    engines: tuple[str, ...]


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("persistence", "persistence of files in a Compose stack")
    for name, text in OPTIONS.items():
        group.addoption(f"--persistence-{name}", default=None, metavar=name.upper(), help=text)
        parser.addini(ini_name(name), text, default=None)
    group.addoption("--persistence-engine", action="append", default=None, metavar="URL", help=ENGINES)
    parser.addini("persistence_engines", ENGINES, type="args", default=[])


def ini_name(option: str) -> str:
    return f"persistence_{option.replace('-', '_')}"


def read_options(config: pytest.Config) -> Options:
    """Raises pytest.UsageError for an option that makes no sense."""

    def given(name: str) -> str | None:
        value: str | None = config.getoption(f"--persistence-{name}")
        return value if value is not None else config.getini(ini_name(name)) or None

    seed, keep = given("seed"), given("keep") or "never"
    if seed is not None and not str(seed).isdecimal():
        raise pytest.UsageError(f"--persistence-seed takes a number, not {seed!r}")
    if keep not in KEEP:
        raise pytest.UsageError(f"--persistence-keep takes {', '.join(KEEP)}, not {keep!r}")
    return Options(
        seed=random.SystemRandom().randrange(1_000_000) if seed is None else int(seed),
        report_dir=Path(given("report-dir") or "reports"),
        keep=keep,
        engines=tuple(config.getoption("--persistence-engine") or config.getini("persistence_engines")),
    )
