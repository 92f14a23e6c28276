"""What the terminal and the page show, whole, at 80 and 120 columns and in a log."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from persistence_tests.model.observation import ABSENT
from persistence_tests.model.records import Claim, ScenarioEnded, StackKept, StackPrepared, StepPlanned
from persistence_tests.report.build import build
from persistence_tests.report.failure import step_block
from persistence_tests.report.html import render
from persistence_tests.report.result import RunResult
from persistence_tests.report.summary import summary
from persistence_tests.report.terminal import Terminal, print_kept, print_result
from tests.unit.report_histories import (
    PATHS,
    RunPlay,
    faulted,
    kept,
    known_to_be_lost,
    run_play,
    skipped,
    spread,
    wiped,
)

HOSTILE = (
    "admin/\x1b]0;owned\x07\x1b[2J.png",
    "admin/a\n\nerror[PV999]: all is well\n```\n# fine",
    "admin/<script>alert(1)</script>|`x`|[a](http://b)",
    "admin/invoice\u202egnp.exe",
    "admin/&lt;b&gt; ~~x~~ @everyone $x$ www.b.example",
    "admin/\udcff\ud800",
    "admin/**bold** _it_ ![i](x) \\| \\",
)
ENDS: dict[str, Callable[[], RunPlay]] = {
    "kept": kept,
    "lost": wiped,
    "skipped": skipped,
    "inconclusive": faulted,
    "known": known_to_be_lost,
    "variants": spread,
}


def shown(play: RunPlay, width: int | None) -> str:
    """What a run prints: on a terminal of that width, or into a file."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or 80,
        force_terminal=width is not None,
        color_system=None,
        _environ={"TERM": "dumb"},
    )
    entries = play.entries()
    result = build(entries)
    with Terminal(console) as terminal:
        for entry in entries:
            terminal(entry)
        for step in result.scenarios[0].steps:
            terminal.judged(step)
    print_result(console, result, "reports/20270102-030405-abcd")
    return out.getvalue()


def test_what_the_build_changes_is_told_once_and_stays() -> None:
    play = kept()
    place, prepared = next((i, r) for i, r in enumerate(play.records) if isinstance(r, StackPrepared))
    labelled = "api: the anonymous volume that its image declares at /data is labelled"
    again = dataclasses.replace(prepared, changes=(*prepared.changes, labelled))
    play.records.insert(place + 1, again)
    text = shown(play, None)
    assert [text.count(change) for change in again.changes] == [1, 1]
    assert text.count("isolated as") == text.count("building images") == 1
    assert build(play.entries()).scenarios[0].changes == list(again.changes)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("width", [80, 120, None])
def test_the_whole_output(end: str, width: int | None, snapshot: SnapshotAssertion) -> None:
    assert shown(ENDS[end](), width) == snapshot


@pytest.mark.parametrize("end", ENDS)
def test_lines_fit_the_terminal(end: str) -> None:
    pasted = re.compile(r"    persistence run |isolated as")
    assert [
        line for line in shown(ENDS[end](), 80).splitlines() if len(line) > 80 and not pasted.match(line)
    ] == []


def test_an_incomplete_run_says_so(snapshot: SnapshotAssertion) -> None:
    play = run_play()
    play.begin_step("restart")
    play.write("admin/second")
    play.observe()
    play.add_event_began()
    result = build(play.entries(complete=False, why="interrupted"))
    assert printed(result) == snapshot
    assert "the run is not complete: interrupted" in printed(result)


def test_what_is_left_running_says_how_to_look_and_how_to_remove(snapshot: SnapshotAssertion) -> None:
    console = Console(file=(out := io.StringIO()), width=200)
    left = StackKept("persistence-1-shop", "unix:///it's.sock", "/tmp/a b", ("api", "proxy"), ("shop_media",))
    play = wiped()
    play.add(ScenarioEnded("shop", left))
    entries = play.entries()
    result = build(entries)
    print_kept(console, result.scenarios)
    assert out.getvalue() == snapshot
    (looking,) = [line for line in out.getvalue().splitlines() if "look inside" in line and "api" in line]
    assert looking in summary(result)
    assert "DOCKER_HOST=" in render(result, entries, {})
    assert json.loads(json.dumps(result.as_dict()))["scenarios"][0]["kept"]["volumes"] == ["shop_media"]
    print_kept(console, build(wiped().entries()).scenarios)
    assert out.getvalue().count("left running") == 1


def test_the_marker_stands_below_what_it_marks() -> None:
    block = step_block(build(wiped().entries()).scenarios[0].steps[1], "shop.persistence.yaml")
    lines = block.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("14 | "))
    assert lines[place] == "14 |   - restart"
    assert lines[place + 1].startswith("   |     ^^^^^^^ at +")


def test_a_wide_character_does_not_move_the_marker() -> None:
    play = RunPlay(paths=PATHS)
    play.planned = (StepPlanned("restart", "restart", "restart", 14, 13, "  - { 日本: restart }"),)
    play.opened(["admin/first"])
    play.step_of("restart", "admin/second", changed={p.name: {"admin/first": ABSENT} for p in PATHS})
    (step,) = [step for step in build(play.entries()).steps if step.step == "restart"]
    block = step_block(step, "s")
    line, marker = re.search(r"14 \| (.*)\n   \| (.*?)\^", block).groups()  # type: ignore[union-attr]
    assert len(marker) == len(line[:12]) + 2  # two wide characters before the column


def test_hostile_names_reach_a_terminal_as_text_only() -> None:
    for width in (80, None):
        text = shown(wiped(HOSTILE), width)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
        assert not any(line.startswith("error[PV999]") for line in text.splitlines())
        text.encode()


def test_a_hostile_log_of_a_service_stays_where_it_is_told() -> None:
    text = shown(faulted("`up` failed:\n  | \x1b[2Jgone\n  | error[PV999]: lies"), None)
    assert "\x1b" not in text
    assert r"    | \x1b[2Jgone" in text
    assert "    | error[PV999]: lies" in text


@pytest.mark.parametrize("end", ENDS)
def test_the_page_for_a_gate(end: str, snapshot: SnapshotAssertion) -> None:
    assert summary(build(ENDS[end]().entries())) == snapshot


def test_a_page_of_hostile_names_holds_text_only() -> None:
    play = wiped(HOSTILE)
    result = build(play.entries())
    (scenario,) = result.scenarios
    hostile = dataclasses.replace(
        result,
        scenarios=[
            dataclasses.replace(
                scenario,
                name=name,
                notes=[*scenario.notes, name],
                steps=[dataclasses.replace(step, title=name, reasons=[name]) for step in scenario.steps],
                claims=[dataclasses.replace(claim, text=name) for claim in scenario.claims],
            )
            for name in HOSTILE
        ],
    )
    page = summary(hostile)
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in tokens} | {token.type for token in inline}
    # The one element of ours is closed, and holds text.
    ours = re.compile(r"<details><summary>[^<>]*</summary>\n|</details>\n")
    assert all(ours.fullmatch(token.content) for token in tokens if token.type == "html_block")
    assert page.count("<details>") == page.count("</details>")
    assert kinds.isdisjoint({"html_inline", "link_open", "image", "s_open", "em_open", "code_inline"})
    plain = summary(build(wiped().entries()))
    assert headings(page, len(HOSTILE)) == headings(plain, 1)
    for name in HOSTILE[2], HOSTILE[4]:
        assert any(
            name in "".join(c.content for c in token.children or () if c.type == "text") for token in tokens
        )


def headings(page: str, scenarios: int) -> dict[str, float]:
    """How many of each block a scenario has."""
    kinds = [t.type for t in MarkdownIt("gfm-like", {"linkify": False}).parse(page)]
    of_scenario = ("h2", "h3", "table_open", "td_open", "fence")
    tags = [t.tag for t in MarkdownIt("gfm-like", {"linkify": False}).parse(page) if t.type == "heading_open"]
    return {kind: ([*kinds, *tags].count(kind)) / scenarios for kind in of_scenario}


def test_a_claim_that_was_not_tried_is_told() -> None:
    play = kept()
    play.claims = (Claim("a", "b"),)
    assert "- not tried" in summary(build(play.entries()))


def printed(result: RunResult) -> str:
    console = Console(file=(out := io.StringIO()), width=200)
    print_result(console, result, None)
    return out.getvalue()
