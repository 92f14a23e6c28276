"""`python -m benchmarks [NAME…]`: takes the figures, writes reports/bench.json and prints a table."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.figure import Figure
from persistence_tests.errors import PersistenceError, UsageError

REPORT = Path("reports/bench.json")
MODULES = ("startup", "volume", "paths", "proxy", "memory", "run", "power_loss", "engines")


def main(wanted: list[str]) -> int:
    if unknown := set(wanted) - set(MODULES):
        raise UsageError(
            f"there is no benchmark {', '.join(unknown)}", remedy=f"one of: {', '.join(MODULES)}"
        )
    figures: list[Figure] = []
    for name in wanted or MODULES:
        for figure in importlib.import_module(f"benchmarks.{name}").figures():
            figures.append(figure)
            _print(figure)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    missed = [figure.name for figure in figures if figure.met is False]
    print(f"{REPORT}: {len(figures)} figures" + (f"; not met: {', '.join(missed)}" if missed else ""))
    return 1 if missed else 0


def _print(figure: Figure) -> None:
    mark = {True: "✓", False: "✗", None: "·"}[figure.met]
    print(
        f"{mark} {figure.name:26} {figure.ratio:8.2f}   {figure.goal:34} "
        f"ours {_number(figure.ours)}, theirs {_number(figure.theirs)} {figure.unit}",
        flush=True,
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except PersistenceError as error:
        sys.exit(f"bench: {error}")
