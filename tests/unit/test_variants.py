"""Several steps of one entry are one row, in which each is seen by its name."""

from __future__ import annotations

import dataclasses
import io
import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from persistence_tests.model.codec import decode, encode
from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import ScenarioBegan, StepPlanned
from persistence_tests.report.build import build
from persistence_tests.report.ctrf import ctrf
from persistence_tests.report.html import render
from persistence_tests.report.junit import junit
from persistence_tests.report.terminal import Terminal
from persistence_tests.report.variants import label, rows, variants
from tests.unit.report_histories import SPREAD, RunPlay, spread

WORDS = st.lists(st.sampled_from(["cut", "after", "7s", "strict"]), max_size=4).map(" ".join)


def planned(*titles: str, entry: int | None = 0) -> list[StepPlanned]:
    return [StepPlanned(f"cut-{place}", "cut", title, entry=entry) for place, title in enumerate(titles)]


@pytest.mark.parametrize(
    ("titles", "of", "names"),
    [
        (
            ('deploy, interrupted at "Build"', 'deploy, interrupted at "Building"'),
            "deploy, interrupted at",
            ['"Build"', '"Building"'],
        ),
        (("power-loss", "power-loss, strict"), "power-loss", ["cut-0", "strict"]),
        (
            ("cut while writing", "cut, strict while writing", "cut, slow while writing"),
            "cut while writing",
            ["cut-0", "strict", "slow"],
        ),
        (("after 7s", "after 70s"), "after", ["7s", "70s"]),
        (("ours", "ours"), "ours", ["cut-0", "cut-1"]),
        (("one", "two"), "cut", ["one", "two"]),
    ],
)
def test_what_variants_are_called(titles: tuple[str, ...], of: str, names: list[str]) -> None:
    found = variants(planned(*titles))
    assert [(each.of, each.name) for each in found.values()] == [(of, name) for name in names]


@settings(deadline=None, max_examples=100)
@given(st.lists(WORDS, min_size=2, max_size=5))
def test_every_variant_has_a_name_of_its_own(titles: list[str]) -> None:
    found = variants(planned(*titles))
    names = [each.name for each in found.values()]
    assert len(found) == len(titles) == len(set(names))
    assert all(names) and len({each.of for each in found.values()}) == 1


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([None, 0, 1, 2]), max_size=8))
def test_only_an_entry_that_stands_for_several_steps_has_variants(entries: list[int | None]) -> None:
    steps = [
        StepPlanned(f"s{place}", "cut", "cut", entry=entry)
        for place, entry in enumerate(sorted(entries, key=lambda e: -1 if e is None else e))
    ]
    several = {step.step for step in steps if step.entry is not None and entries.count(step.entry) > 1}
    assert variants(steps).keys() == several


def test_a_history_without_entries_has_a_row_for_each_step() -> None:
    play = spread()
    play.records = [
        dataclasses.replace(
            record, steps=tuple(dataclasses.replace(step, entry=None) for step in record.steps)
        )
        if isinstance(record, ScenarioBegan)
        else record
        for record in play.records
    ]
    began = next(record for record in play.records if isinstance(record, ScenarioBegan))
    assert '"entry"' not in json.dumps(encode(began))
    assert decode("ScenarioBegan", encode(began)) == began
    steps = build(play.entries()).steps
    assert [(row.title, row.several) for row in rows(steps)] == [(step.title, False) for step in steps]


def test_the_worst_variant_is_the_row_and_its_name_is_seen() -> None:
    *_, row = rows(build(spread().entries()).steps)
    assert (row.title, row.verdict) == ("power-loss", Verdict.LOST)
    assert [label(step) for step in row.steps] == ["power-loss", "after 7s idle", "after 7s idle, strict"]
    assert (row.written.ok, row.tally) == (3, "3 variants: 1 lost, 2 kept")
    assert {path: (count.ok, count.checked) for path, count in row.paths.items()} == dict.fromkeys(
        ("volume", "direct", "api", "proxy"), (7, 8)
    )
    *_, row = rows(build(spread(lost=False).entries()).steps)
    assert (row.verdict, row.tally) == (Verdict.KEPT, "3 variants: 3 kept")


@pytest.mark.parametrize(("lost", "verdict"), [(True, Verdict.LOST), (False, Verdict.KEPT)])
def test_a_sentence_that_an_entry_shows_is_shown_by_all_its_steps(lost: bool, verdict: Verdict) -> None:
    (claim,) = build(spread(lost=lost).entries()).scenarios[0].claims
    assert claim.verdict is verdict


def test_machines_get_one_case_a_step_and_what_it_is_a_variant_of() -> None:
    result = build(spread().entries())
    tests = ctrf(result)["results"]["tests"]
    assert [test["suite"] for test in tests] == [["shop"]] * 2 + [["shop", "power-loss"]] * 3
    cases = list(ET.fromstring(junit(result, "r")).iter("testcase"))
    assert [case.get("name") for case in cases] == [step.step for step in SPREAD]
    told = [{p.get("name"): p.get("value") for p in case.iter("property")} for case in cases]
    assert [each.get("variant") for each in told] == [
        None, None, "power-loss", "after 7s idle", "after 7s idle, strict",
    ]  # fmt: skip
    steps = result.as_dict()["scenarios"][0]["steps"]
    assert [step["entry"] for step in steps] == [None, 0, 1, 1, 1]
    assert steps[3]["variant"] == {"of": "power-loss", "name": "after 7s idle"}


def test_the_page_has_a_row_with_a_link_to_each_variant() -> None:
    entries = spread().entries()
    page = render(build(entries), entries, {})
    assert page.count('<tr data-steps="') == 3
    assert '<tr data-steps="step-power-loss step-power-loss-2 step-power-loss-3">' in page
    assert 'data-step="step-power-loss-2"><a href="#step-power-loss-2" title="lost">' in page


def shown(play: RunPlay, until: int) -> str:
    """What the terminal shows of a run that is interrupted once so many steps are judged."""
    console = Console(file=(out := io.StringIO()), width=200)
    entries = play.entries()
    result = build(entries)
    with Terminal(console) as terminal:
        terminal(entries[0])
        terminal(next(entry for entry in entries if isinstance(entry.record, ScenarioBegan)))
        for step in result.scenarios[0].steps[:until]:
            terminal.judged(step)
    return out.getvalue()


def test_the_terminal_waits_for_the_last_variant_and_forgets_none() -> None:
    assert "2 variants: 1 lost, 1 kept" in shown(spread(), 4)
    assert "3 variants: 1 lost, 2 kept" in shown(spread(), 5)
    assert "power-loss " in shown(spread(), 3)
    assert "variants" not in shown(spread(), 3)
    for until in range(6):
        assert shown(spread(), until).count(" kept ") <= until
