"""Losses that the team knows of: what they cover, what they never hide, and when one is mended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.errors import ScenarioError
from persistence_tests.model.finding import KnownLoss, KnownStatus, ScenarioJudgement, Symptom, Verdict
from persistence_tests.model.history import read_history
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.oracle import Oracle
from persistence_tests.model.records import Entry, RunBegan, ScenarioBegan, StepBegan
from persistence_tests.report.build import build
from persistence_tests.report.ctrf import ctrf
from persistence_tests.report.failure import step_block
from persistence_tests.report.html import render
from persistence_tests.report.summary import summary
from persistence_tests.report.wording import budget, verdict_said
from persistence_tests.run.earlier import clean_before, seconds_before
from persistence_tests.scenario import load
from tests.unit.oracle_histories import FOUR, Play
from tests.unit.report_histories import RunPlay, write_history

ALL = tuple(path.name for path in FOUR)
DAY = "2027-01-02"


def loss(**changed: Any) -> KnownLoss:
    known = KnownLoss("restart", Symptom.MISSING, ALL, (), "no volume yet", None, 3, 40, 5)
    return replace(known, **changed)


def judged(known: Sequence[KnownLoss], *steps: Sequence[str], **options: Any) -> ScenarioJudgement:
    """Of a run with one step `restart`, `restart-2`, … for each of `steps`: the names that it takes away."""
    entries = history(known, *steps, **options)
    oracle = Oracle()
    for entry in entries:
        oracle.follow(entry)
    (judgement,) = oracle.judgements()
    return judgement


def history(
    known: Sequence[KnownLoss], *steps: Sequence[str], play: Play | None = None, ready: bool = True
) -> list[Entry]:
    play = play or RunPlay()
    play.opened()
    for number, gone in enumerate(steps, start=1):
        step = "restart" if number == 1 else f"restart-{number}"
        if number > 1:
            play.epoch(number)
        play.begin_step(step)
        began = play.records[-1]
        assert isinstance(began, StepBegan)
        play.records[-1] = replace(began, event="restart")
        for name in ("admin/a", "blog/b", "blog/c"):
            play.write(name, 2)
        play.observe()
        play.event(ready=ready)
        for name in gone:
            play.disk.pop(name, None)
        play.observe()
        play.end_step()
    know(play, *known)
    own = play.entries()
    if not isinstance(own[0].record, RunBegan):
        own = [Entry(0.0, None, RunBegan("r", 1, "1", f"{DAY}T03:04:05+00:00", {})), *own]
    return own


def know(play: Play, *known: KnownLoss) -> None:
    began = play.records[0]
    assert isinstance(began, ScenarioBegan)
    play.records[0] = replace(began, known=known)


def restart(judgement: ScenarioJudgement) -> Any:
    return next(step for step in judgement.steps if step.step == "restart")


def test_a_known_loss_is_a_finding_that_fails_nothing() -> None:
    judgement = judged([loss()], ["blog/b"])
    (finding,) = restart(judgement).findings
    assert (finding.symptom, finding.names, finding.known) == (Symptom.MISSING, ("blog/b",), loss())
    assert restart(judgement).verdict is judgement.verdict is Verdict.KEPT
    (state,) = judgement.known
    assert (state.status, state.names, state.clean) == (KnownStatus.FAILING, 1, 0)


@pytest.mark.parametrize(
    "other",
    [
        loss(event="kill"),
        loss(event="restart-2"),
        loss(symptom=Symptom.EMPTY),
        loss(paths=("volume", "direct", "api")),
        loss(names=("admin/*",)),
        loss(until="2027-01-01"),
    ],
    ids=["event", "step", "symptom", "paths", "names", "until"],
)
def test_nothing_else_is_covered(other: KnownLoss) -> None:
    (finding,) = restart(judgement := judged([other], ["blog/b"])).findings
    assert finding.known is None
    assert judgement.verdict is Verdict.LOST


@pytest.mark.parametrize(
    "same",
    [
        loss(names=("blog/*",)),
        loss(names=("nothing", "**/b")),
        loss(until=DAY),
        loss(until="2999-12-31"),
    ],
)
def test_patterns_and_the_last_day_cover(same: KnownLoss) -> None:
    assert judged([same], ["blog/b"]).verdict is Verdict.KEPT


def test_a_name_beside_a_known_one_is_a_finding_of_its_own() -> None:
    judgement = judged([loss(names=("blog/*",))], ["admin/a", "blog/b"])
    counts, known = restart(judgement).findings
    assert (counts.names, counts.known) == (("admin/a",), None)
    assert (known.names, known.known) == (("blog/b",), loss(names=("blog/*",)))
    assert judgement.verdict is Verdict.LOST


def test_without_a_date_of_the_run_nothing_with_a_date_is_known() -> None:
    entries = [
        e for e in history([loss(until="2999-12-31")], ["blog/b"]) if not isinstance(e.record, RunBegan)
    ]
    oracle = Oracle()
    for entry in entries:
        oracle.follow(entry)
    assert oracle.judgements()[0].verdict is Verdict.LOST


def test_an_expired_entry_says_so() -> None:
    reasons = restart(judged([loss(until="2027-01-01")], ["blog/b"])).reasons
    assert any("line 40 was known until 2027-01-01, which is over" in reason for reason in reasons)


def test_what_did_not_come_back_is_unavailable_whatever_is_known() -> None:
    assert restart(judged([loss()], ["blog/b"], ready=False)).verdict is Verdict.UNAVAILABLE


def test_an_event_that_did_not_land_is_inconclusive_whatever_is_known() -> None:
    play = RunPlay()
    play.opened()
    play.begin_step("restart")
    play.write("blog/b")
    play.observe()
    play.event(landed=False)
    play.disk.pop("blog/b")
    play.observe()
    play.end_step()
    know(play, loss())
    result = build(play.entries())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.exit_code == 2


def test_a_loss_known_from_the_first_start_on_fails_no_later_step() -> None:
    """What is wrong before every event is a finding of `up`, and would else make the steps inconclusive."""
    play = RunPlay()
    play.opened()
    play.begin_step("restart")
    play.write("blog/a")
    play.write("blog/b")
    play.observe({"proxy": {"blog/b": Observation(NodeKind.ERROR, status=403)}})
    play.event()
    play.observe({"proxy": {"blog/b": Observation(NodeKind.ERROR, status=403)}})
    play.end_step()
    unknown = build(play.entries())
    assert unknown.verdict is Verdict.LOST
    entry = loss(event="up", symptom=Symptom.UNSERVED, paths=("proxy",))
    know(play, entry)
    result = build(play.entries())
    assert [(step.step, step.verdict) for step in result.steps] == [
        ("up", Verdict.KEPT),
        ("restart", Verdict.KEPT),
    ] + [(step.step, step.verdict) for step in result.steps[2:]]


STEPS = st.lists(
    st.lists(st.sampled_from(["admin/a", "blog/b"]), max_size=2, unique=True), min_size=1, max_size=5
)


@settings(deadline=None)
@given(STEPS, st.integers(0, 4), st.integers(1, 4), st.sampled_from([(), ("blog/*",)]))
def test_it_is_mended_after_so_many_clean_steps_in_a_row(
    steps: list[list[str]], before: int, after: int, names: tuple[str, ...]
) -> None:
    known = loss(clean=before, mended_after=after, names=names)
    judgement = judged([known], *steps)
    clean, verdicts = before, []
    for gone in steps:
        covered = [name for name in gone if not names or name.startswith("blog/")]
        if covered:
            clean = 0
        elif not gone:
            clean += 1
        if len(covered) < len(gone):
            verdicts.append(Verdict.LOST)
        elif not gone and clean >= after:
            verdicts.append(Verdict.INCONCLUSIVE)
        else:
            verdicts.append(Verdict.KEPT)
    own = [step for step in judgement.steps if step.event == "restart"]
    assert [step.verdict for step in own] == verdicts
    assert judgement.known[0].clean == clean
    for step in own:
        mended = [reason for reason in step.reasons if "is mended" in reason and "remove it" in reason]
        assert bool(mended) is (step.verdict is Verdict.INCONCLUSIVE)


def test_a_step_that_did_not_look_is_not_clean() -> None:
    elsewhere = loss(paths=(*ALL, "database"), clean=5)
    nothing_like_it = loss(names=("uploads/*",), clean=5)
    judgement = judged([elsewhere, nothing_like_it], [])
    assert judgement.verdict is Verdict.KEPT
    assert [state.status for state in judgement.known] == [KnownStatus.NOT_TRIED] * 2
    assert [state.clean for state in judgement.known] == [5, 5]


def test_every_report_says_so(tmp_path: Path) -> None:
    entries = history([loss()], ["blog/b"])
    read = read_history(write_history(entries, tmp_path / "history.jsonl"))
    assert [entry.record for entry in read.entries] == [entry.record for entry in entries]
    result = build(entries)
    assert result.exit_code == 0
    assert verdict_said(result.verdict, result.findings) == "kept, with 1 known loss"
    assert budget(result)[0].startswith("0 names wrong, 1 known to be, ")
    step = result.steps[1]
    assert step_block(step, "shop").startswith("known[PV001]: 1 name missing after `restart`")
    assert "= known: no volume yet (line 40)" in step_block(step, "shop")
    assert result.scenarios[0].known[0].status == "failing"
    document = result.as_dict()
    assert document["scenarios"][0]["steps"][1]["findings"][0]["known"]["why"] == "no volume yet"
    text = summary(result)
    assert text.startswith("# Persistence: ✓ kept, with 1 known loss\n")
    assert "### Known losses" in text and "no volume yet" in text and "still lost: 1 name" in text
    page = render(result, entries, {})
    assert "kept, with 1 known loss" in page and "no volume yet" in page
    assert "Everything that was acknowledged is still there" not in page
    exported = ctrf(result)
    test = exported["results"]["tests"][1]
    assert (test["status"], test["tags"][-1]) == ("passed", "known-loss")
    assert "known PV001: 1 name missing" in test["message"] and "no volume yet" in test["message"]
    assert exported["results"]["summary"]["extra"]["knownLosses"] == 1
    (claim, _) = result.scenarios[0].claims
    assert (claim.verdict, claim.known) == (Verdict.LOST, True)


def test_the_count_goes_on_from_the_newest_run_that_has_the_entry(tmp_path: Path) -> None:
    reports, source = tmp_path / "reports", str(tmp_path / "shop.persistence.yaml")

    def leave(run: str, *states: dict[str, Any], at: str = source) -> None:
        (reports / run).mkdir(parents=True)
        steps = [{"step": "restart", "seconds": 4.5}]
        content = {"scenarios": [{"source": at, "known": states, "steps": steps}]}
        (reports / run / "result.json").write_text(json.dumps(content))

    state = {"event": "restart", "symptom": "missing", "paths": list(ALL), "names": []}
    assert clean_before([loss()], source, reports) == (loss(),)
    leave("20270101-1", state | {"clean": 2})
    leave("20270102-1", state | {"clean": 7, "paths": ["api"]})
    leave("20270103-1", state | {"clean": 9}, at="another.persistence.yaml")
    (reports / "20270104-1").mkdir()
    (reports / "20270104-1" / "result.json").write_text("[{")
    leave("20270105-1", state | {"clean": "many"})
    (reports / "latest").symlink_to("20270103-1")
    assert clean_before([loss(), loss(event="kill")], source, reports) == (loss(clean=2), loss(event="kill"))
    leave("20270106-1", state | {"clean": 0})
    assert clean_before([loss(why="another", line=3)], source, reports) == (
        loss(why="another", line=3, clean=0),
    )
    assert seconds_before(source, reports) == {"restart": 4.5}


SCENARIO = """\
stack: {{ compose: compose.yaml }}
paths:
  direct: {{ service: box, root: /files }}
writes:
  - {{ through: direct, into: [.], files: 2 }}
events: [recreate, kill, kill]
known:
  - {entry}
"""


def scenario(tmp_path: Path, entry: str) -> Path:
    (tmp_path / "compose.yaml").write_text("services: {box: {image: debian}}\n")
    file = tmp_path / "shop.persistence.yaml"
    file.write_text(SCENARIO.format(entry=entry))
    return file


def test_an_entry_is_read_with_its_place(tmp_path: Path) -> None:
    file = scenario(
        tmp_path, "{ event: kill-2, symptom: empty, why: not fsynced, until: 2027-03-01, names: a/*.jpg }"
    )
    assert load(file).known == (
        KnownLoss("kill-2", Symptom.EMPTY, ("direct",), ("a/*.jpg",), "not fsynced", "2027-03-01", 3, 8, 5),
    )
    (known,) = load(
        scenario(tmp_path, "{ event: up, symptom: missing, why: w, mended_after: 1, paths: [direct] }")
    ).known
    assert (known.event, known.paths, known.mended_after, known.until) == ("up", ("direct",), 1, None)


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        (
            "{ event: power-loss, symptom: empty, why: w }",
            "8:14",
            "no event and no step of this scenario is called",
        ),
        ("{ event: kill-3, symptom: empty, why: w }", "8:14", "did you mean `kill-2`"),
        ("{ event: kill, symptom: lots, why: w }", "8:29", "`known.symptom` cannot be `lots`"),
        ("{ event: kill, symptom: empty }", "8:5", "lacks the key `why`"),
        ("{ event: kill, symptom: empty, why: w, paths: [proxy] }", "8:52", "no path `proxy`"),
        ("{ event: kill, symptom: empty, why: w, paths: proxy }", "8:51", "no path `proxy`"),
        ("{ event: kill, symptom: empty, why: w, until: soon }", "8:51", "write it like `2027-03-01`"),
        ("{ event: kill, symptom: empty, why: w, until: 2027-02-30 }", "8:51", "this is no day"),
        ("{ event: kill, symptom: empty, why: w, mended_after: 0 }", "8:58", "at least 1"),
    ],
)
def test_every_error_has_its_place(tmp_path: Path, entry: str, line: str, said: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        load(scenario(tmp_path, entry))
    assert len(raised.value.problems) == 1
    assert f"shop.persistence.yaml:{line}" in str(raised.value)
    assert said in str(raised.value)
