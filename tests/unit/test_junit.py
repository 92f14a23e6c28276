"""junit.xml: what CI systems read of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from persistence_tests.report.build import build
from persistence_tests.report.files import write_reports
from persistence_tests.report.junit import junit
from tests.unit.report_histories import RunPlay, faulted, kept, known_to_be_lost, skipped, wiped

HOSTILE = ("admin/\x1b]0;owned\x07.png", "admin/]]><x>&amp;", "admin/\udcff\ud800", "admin/\u202e")


def cases(play: RunPlay) -> dict[str, ET.Element]:
    root = ET.fromstring(junit(build(play.entries()), "reports/1"))
    return {case.get("name") or "": case for case in root.iter("testcase")}


@pytest.mark.parametrize(
    ("play", "step", "element", "kind"),
    [
        (kept, "restart", None, None),
        (wiped, "restart", "failure", "lost"),
        (faulted, "restart", "error", "inconclusive"),
        (skipped, "kill", "skipped", "skipped"),
        (known_to_be_lost, "restart", None, None),
    ],
)
def test_each_verdict_has_its_element(
    play: Callable[[], RunPlay], step: str, element: str | None, kind: str | None
) -> None:
    case = cases(play())[step]
    told = [child for child in case if child.tag in {"failure", "error", "skipped"}]
    assert [(child.tag, child.get("type")) for child in told] == ([(element, kind)] if element else [])


def test_the_counts_are_those_of_the_cases() -> None:
    for play in (kept, wiped, faulted, skipped):
        root = ET.fromstring(junit(build(play().entries()), "reports/1"))
        for suite in (root, *root.iter("testsuite")):
            for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                assert int(suite.get(count) or -1) == len(list(suite.iter(tag)))
            assert int(suite.get("tests") or -1) == len(list(suite.iter("testcase")))


def test_a_failure_says_what_where_and_how_to_see_it_again() -> None:
    case = cases(wiped())["restart"]
    failure = case.find("failure")
    assert failure is not None and failure.text is not None
    assert (failure.get("message") or "").startswith("PV001: 3 names missing after `restart`")
    assert "--> scenarios/shop.persistence.yaml:14:5" in failure.text
    assert "persistence run scenarios/shop.persistence.yaml --event restart --seed 42" in failure.text
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties == {
        "verdict": "lost",
        "event": "restart",
        "step": "restart",
        "seed": "42",
        "run": "20270102-030405-abcd",
        "report": "reports/1",
        "findings": "PV001",
        **{f"path.{path}": "0/3" for path in ("volume", "direct", "api", "proxy")},
    }


def test_a_known_loss_passes_and_is_told() -> None:
    case = cases(known_to_be_lost())["restart"]
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert (properties["known"], properties.get("findings")) == ("PV001", None)
    assert "known PV001: 3 names missing" in (case.findtext("system-out") or "")


def test_hostile_names_are_text() -> None:
    text = junit(build(wiped(HOSTILE).entries()), "reports/\x1b[2J")
    ET.fromstring(text.encode())
    assert all(character.isprintable() or character == "\n" for character in text)


def test_it_is_written_with_the_others(tmp_path: Path) -> None:
    entries = kept().entries()
    write_reports(build(entries), entries, tmp_path)
    assert ET.parse(tmp_path / "junit.xml").getroot().get("tests") == "3"
    assert json.loads((tmp_path / "result.json").read_text())["verdict"] == "kept"
