"""Several processes make one run: their histories become one, as if a single process had written it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from persistence_tests.errors import PersistenceError
from persistence_tests.model.finding import Verdict
from persistence_tests.model.history import read_history, write_history
from persistence_tests.model.records import Entry, RunBegan, RunEnded, ScenarioBegan
from persistence_tests.pytest_plugin.options import Options
from persistence_tests.pytest_plugin.workers import Workers
from persistence_tests.report.build import build
from persistence_tests.run.parts import join, merged
from tests.unit.report_histories import kept, wiped

RUN = "20270102-030405-abcd"


def part(entries: Sequence[Entry], name: str, started: str, scenario: str = "shop") -> list[Entry]:
    """A history as a worker leaves it."""

    def record(entry: Entry) -> Entry:
        own = entry.record
        if isinstance(own, RunBegan):
            own = dataclasses.replace(own, run=f"{RUN}-{name}", started=started)
        if isinstance(own, ScenarioBegan):
            own = dataclasses.replace(own, name=scenario)
        return dataclasses.replace(entry, record=own, scenario=entry.scenario and scenario)

    return [record(entry) for entry in entries]


ONE = part(kept().entries(), "gw0", "2027-01-02T03:04:05+00:00")
TWO = part(wiped().entries(), "gw1", "2027-01-02T03:04:09+00:00", "blog")


def test_every_scenario_is_judged_as_in_its_own_part() -> None:
    entries, names = merged([("gw0", ONE), ("gw1", TWO)], RUN)
    whole, one, two = build(entries), build(ONE), build(TWO)
    assert names == {"gw0": {"shop": "shop"}, "gw1": {"blog": "blog"}}
    assert [s.name for s in whole.scenarios] == ["shop", "blog"]
    assert [s.verdict for s in whole.scenarios] == [one.verdict, two.verdict] == [Verdict.KEPT, Verdict.LOST]
    assert (whole.verdict, whole.exit_code, whole.complete) == (Verdict.LOST, 1, True)
    assert (whole.run_id, whole.started, whole.seed) == (RUN, "2027-01-02T03:04:05+00:00", 42)
    findings = [dataclasses.replace(finding, step="") for finding in whole.findings]
    assert findings == [dataclasses.replace(finding, step="") for finding in two.findings]


def test_time_goes_on_in_the_whole() -> None:
    entries, _ = merged([("gw0", ONE), ("gw1", TWO)], RUN)
    times = [entry.at for entry in entries]
    assert times == sorted(times)
    began = next(e.at for e in entries if isinstance(e.record, ScenarioBegan) and e.record.name == "blog")
    assert began == next(e.at for e in TWO if isinstance(e.record, ScenarioBegan)) + 4.0
    assert build(entries).seconds == max(ONE[-1].at, TWO[-1].at + 4.0)


def test_a_scenario_in_two_parts_has_two_names() -> None:
    other = part(wiped().entries(), "gw1", "2027-01-02T03:04:05+00:00")
    entries, names = merged([("gw0", ONE), ("gw1", other)], RUN)
    assert names["gw1"] == {"shop": "shop-2"}
    result = build(entries)
    assert [(s.name, s.verdict) for s in result.scenarios] == [
        ("shop", Verdict.KEPT),
        ("shop-2", Verdict.LOST),
    ]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (RunEnded(False, "interrupted"), "interrupted"),
        (RunEnded(False, "no room"), "no room"),
        (None, "gw1 ended before its part of the run did"),
    ],
)
def test_a_part_that_is_not_complete_makes_the_whole_so(last: RunEnded | None, why: str) -> None:
    cut = [*TWO[:-1], *([dataclasses.replace(TWO[-1], record=last)] if last else [])]
    result = build(merged([("gw0", ONE), ("gw1", cut)], RUN)[0])
    assert (result.complete, result.stopped) == (False, why)
    assert result.exit_code == (130 if why == "interrupted" else 1)


def test_what_ended_the_session_is_what_stopped_the_run() -> None:
    result = build(merged([("gw0", ONE)], RUN, "stopping after 1 failures")[0])
    assert (result.complete, result.exit_code) == (False, 2)


def test_the_whole_is_written_beside_its_parts(tmp_path: Path) -> None:
    other = part(wiped().entries(), "gw1", "2027-01-02T03:04:05+00:00")
    for name, entries in (("gw0", ONE), ("gw1", other), ("gw10", TWO)):
        logs = tmp_path / RUN / name / "logs"
        logs.mkdir(parents=True)
        write_history(tmp_path / RUN / name / "history.jsonl", entries)
        (logs / f"{entries[1].scenario}-api.log").write_text(name)
    (tmp_path / RUN / "gw2").mkdir()
    (tmp_path / RUN / "gw2" / "history.jsonl").write_text("{")
    joined = join(tmp_path, RUN, None)
    assert joined is not None
    assert read_history(tmp_path / RUN / "history.jsonl").entries == tuple(joined)
    brought = {file.name: file.read_text() for file in (tmp_path / RUN / "logs").iterdir()}
    assert brought == {"shop-api.log": "gw0", "shop-2-api.log": "gw1", "blog-api.log": "gw10"}
    assert (tmp_path / "latest").readlink() == Path(RUN)
    assert joined[-1].record == RunEnded(False, "what gw2 recorded cannot be read")
    assert json.loads((tmp_path / RUN / "history.jsonl").read_text().split("\n", 1)[0])["run"] == RUN


def test_without_a_part_there_is_no_run(tmp_path: Path) -> None:
    assert join(tmp_path, RUN, PersistenceError("x")) is None
    assert not list(tmp_path.iterdir())


def test_each_worker_has_an_engine_of_its_own_while_there_are_enough() -> None:
    workers = Workers(Options(7, Path("reports"), "never", ("unix:///a", "unix:///b")))
    given = [workers.given(name) for name in ("gw0", "gw1", "gw2")]
    assert [each["engine"] for each in given] == ["unix:///a", "unix:///b", "unix:///a"]
    workers.gone("gw1")  # it crashed, and another takes its place
    assert workers.given("gw3")["engine"] == "unix:///b"
    assert {each["seed"] for each in given} == {7}
    runs = {tuple(each["part_of"]) for each in given}
    assert len(runs) == 3 and len({run for run, _ in runs}) == 1


def test_without_engines_all_have_the_usual_one() -> None:
    assert Workers(Options(7, Path("reports"), "never", ())).given("gw0")["engine"] is None
