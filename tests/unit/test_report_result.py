"""result.json: the keys that others read, in the published schema; one result however it is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from persistence_tests.model.finding import Verdict
from persistence_tests.model.history import read_history
from persistence_tests.model.records import Claim, RunEnded
from persistence_tests.report.build import build, step_result
from persistence_tests.report.files import write_reports
from persistence_tests.report.result import RunResult, json_schema
from tests.unit.report_histories import (
    DIRECT,
    VOLUME,
    RunPlay,
    faulted,
    kept,
    run_play,
    skipped,
    wiped,
    write_history,
)

ENDS: dict[str, Callable[[], RunPlay]] = {
    "kept": kept,
    "lost": wiped,
    "skipped": skipped,
    "inconclusive": faulted,
}


def as_json(result: RunResult) -> dict[str, Any]:
    return json.loads(json.dumps(result.as_dict()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("end", ENDS)
def test_every_result_is_as_the_schema_says(end: str) -> None:
    result = build(ENDS[end]().entries())
    assert result.verdict == end
    jsonschema.validate(as_json(result), json_schema(), jsonschema.Draft202012Validator)


def test_the_promised_keys_are_there() -> None:
    result = as_json(build(wiped().entries()))
    assert {"schema_version", "run_id", "verdict", "exit_code", "complete", "seed", "environment"} <= set(
        result
    )
    (scenario,) = result["scenarios"]
    assert (scenario["name"], scenario["verdict"]) == ("shop", "lost")
    step = scenario["steps"][1]
    assert {"event", "title", "verdict", "seconds", "proof", "controls", "paths", "findings"} <= set(step)
    assert step["event"] == "restart"
    assert step["paths"]["volume"] == {"checked": 3, "ok": 0}
    (finding,) = step["findings"]
    assert finding | {"evidence": [], "location": {}} == {
        "code": "PV001",
        "symptom": "missing",
        "event": "restart",
        "step": "restart",
        "paths": ["volume", "direct", "api", "proxy"],
        "names": ["admin/first", "admin/second", "blog/logo.png"],
        "count": 3,
        "evidence": [],
        "diagnosis": finding["diagnosis"],
        "reproduce": "persistence run scenarios/shop.persistence.yaml --event restart --seed 42",
        "known": None,
        "location": {},
    }
    assert set(finding["diagnosis"]) == {"rule", "cause", "fix"}
    assert finding["diagnosis"]["rule"] == "wiped-at-start"


@pytest.mark.parametrize("end", ENDS)
def test_a_history_that_is_read_again_says_the_same(end: str, tmp_path: Path) -> None:
    entries = ENDS[end]().entries()
    again = read_history(write_history(entries, tmp_path / "history.jsonl")).entries
    one, other = as_json(build(entries)), as_json(build(again))
    for result in (one, other):  # the clock of the copy is another
        result["seconds"] = 0
        for step in result["scenarios"][0]["steps"]:
            step["event_at"] = None
    assert one == other


def test_a_step_that_has_just_ended_is_told_as_in_the_end() -> None:
    entries = wiped().entries()
    whole = build(entries).scenarios[0].steps
    from persistence_tests.model.oracle import judge

    judged = judge(entries)[0].steps
    assert [step_result(entries, "shop", step) for step in judged] == whole


@pytest.mark.parametrize(
    ("end", "allow_skip", "code"),
    [
        ("kept", False, 0), ("kept", True, 0), ("lost", False, 1), ("lost", True, 1), ("inconclusive", True, 2),
        ("skipped", False, 2), ("skipped", True, 0),
    ],
)  # fmt: skip
def test_exit_codes(end: str, allow_skip: bool, code: int) -> None:
    assert build(ENDS[end]().entries(), allow_skip=allow_skip).exit_code == code


def test_an_interrupted_run_is_130_and_a_loss_before_it_stays_told() -> None:
    result = build(wiped().entries(complete=False, why="interrupted"))
    assert (result.exit_code, result.verdict, result.complete) == (130, Verdict.LOST, False)


def test_a_run_that_never_ended_is_never_kept() -> None:
    entries = [entry for entry in kept().entries() if not isinstance(entry.record, RunEnded)]
    result = build(entries)
    assert (result.exit_code, result.complete) == (2, False)
    assert result.stopped == "the history ends before the run does"


def test_nothing_at_all_is_no_green() -> None:
    result = build([])
    assert (result.exit_code, result.verdict, result.complete) == (2, Verdict.INCONCLUSIVE, False)


def test_names_are_capped_and_counted(tmp_path: Path) -> None:
    result = build(wiped([f"admin/{number:03}" for number in range(150)]).entries())
    (finding,) = result.findings
    assert (len(finding.names), finding.count) == (100, 151)


def test_what_was_not_tried_is_a_note() -> None:
    play = run_play((VOLUME, DIRECT))
    play.step_of("restart", "admin/second")
    (scenario,) = build(play.entries()).scenarios
    assert scenario.notes == [
        "not run: kill",
        "files were written through api, and not looked for there",
        "no power cut was tried: what is kept may have been in memory only",
    ]


def test_claims_say_what_shows_them() -> None:
    play = RunPlay(paths=(VOLUME, DIRECT))
    shown_by = ["restart", "kill", "reboot", "volume", "writes", "directories"]
    play.claims = tuple(Claim(by, by) for by in shown_by)
    play.opened()
    play.step_of("restart", "admin/second")
    (scenario,) = build(play.entries()).scenarios
    assert {claim.text: claim.verdict for claim in scenario.claims} == {
        "restart": "kept", "kill": None, "reboot": None, "volume": "kept", "writes": "kept", "directories": "kept",
    }  # fmt: skip


def test_two_scenarios_are_judged_apart() -> None:
    good, bad = kept().entries(), wiped().entries()
    renamed = [type(e)(e.at, "shop-2" if e.scenario else None, e.record) for e in bad[1:-1]]
    result = build([good[0], *good[1:-1], *renamed, good[-1]])
    assert [scenario.verdict for scenario in result.scenarios] == ["kept", "lost"]


def test_reports_are_written_whole(tmp_path: Path) -> None:
    entries = wiped(["admin/\ud800.bin"]).entries()
    write_reports(build(entries), entries, tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["ctrf.json", "junit.xml", "report.html", "result.json", "summary.md"]
    assert json.loads((tmp_path / "result.json").read_text())["run_id"] == "20270102-030405-abcd"
