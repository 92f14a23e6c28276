"""What `make bench` makes of its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as bench
from benchmarks.figure import Figure, in_turn, insist
from persistence_tests.errors import PersistenceError, UsageError

GOOD = Figure("good", 2.0, "≥ 1", True, 2.0, 1.0, "s")
POOR = Figure("poor", 0.5, "≥ 1", False, 1.0, 2.0, "s")
FREE = Figure("free", 1.5, "reported only", None, 3.0, 2000.0, "s")


def take(monkeypatch: pytest.MonkeyPatch, directory: Path, *figures: Figure) -> tuple[int, list[object]]:
    def taken() -> Iterator[Figure]:
        yield from figures

    monkeypatch.chdir(directory)
    monkeypatch.setattr("importlib.import_module", lambda name: SimpleNamespace(figures=taken))
    code = bench.main(["proxy"])
    return code, json.loads((directory / "reports" / "bench.json").read_text())


def test_the_sides_are_taken_in_turn_and_the_medians_count() -> None:
    taken: list[str] = []
    values = {"a": iter([9.0, 1.0, 2.0]), "b": iter([5.0, 7.0, 6.0])}

    def side(name: str) -> float:
        taken.append(name)
        return next(values[name])

    assert in_turn(lambda: side("a"), lambda: side("b"), rounds=3) == (2.0, 6.0)
    assert taken == ["a", "b"] * 3


def test_the_report_has_every_figure_and_a_goal_missed_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, report = take(monkeypatch, tmp_path, GOOD, POOR, FREE)
    assert code == 1
    assert report[1] == {
        "name": "poor", "ratio": 0.5, "goal": "≥ 1", "met": False, "ours": 1.0, "theirs": 2.0, "unit": "s",
    }  # fmt: skip
    assert [figure["met"] for figure in report] == [True, False, None]  # type: ignore[index]
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines[:3]] == ["✓", "✗", "·"]
    assert lines[-1] == "reports/bench.json: 3 figures; not met: poor"


def test_all_goals_met_is_success(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert take(monkeypatch, tmp_path, GOOD, FREE)[0] == 0


def test_an_unknown_benchmark_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        bench.main(["everything"])
    assert "startup, volume, paths, proxy" in (raised.value.remedy or "")


def test_what_went_wrong_is_no_figure() -> None:
    insist(True, "")
    with pytest.raises(PersistenceError, match="no answer"):
        insist(False, "no answer")
