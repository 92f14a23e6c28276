"""report.html: everything is in it and findable, nothing in it acts, and it stays small and quick."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.observation import ABSENT
from persistence_tests.model.operation import Outcome
from persistence_tests.model.payload import Payload
from persistence_tests.model.records import (
    Entry,
    EventEnded,
    Evidence,
    Invoked,
    PathObserved,
    Phase,
    RunBegan,
)
from persistence_tests.report.build import build
from persistence_tests.report.files import write_reports
from persistence_tests.report.html import page as pages
from persistence_tests.report.html import render
from persistence_tests.report.html.allowance import COMPARISONS_A_FINDING, OPERATIONS_DRAWN, Allowance
from persistence_tests.report.html.hexdump import Comparison
from persistence_tests.report.html.page import make_page
from persistence_tests.report.html.recorded import recorded_steps
from persistence_tests.report.result import RunResult
from tests.unit.oracle_histories import JUNK, ZEROS, Content
from tests.unit.report_histories import PATHS, RunPlay, faulted, kept, run_play, skipped, wiped

ENDS: dict[str, Callable[[], RunPlay]] = {
    "kept": kept,
    "lost": wiped,
    "skipped": skipped,
    "inconclusive": faulted,
}
VOID = frozenset({"meta", "input", "br", "hr", "img", "link"})
HOSTILE = (
    "admin/<script>alert(1)</script>.png",
    'admin/"><img src=x onerror=alert(1)>.png',
    "admin/</title></style></script><svg onload=alert(1)>",
    "admin/{{ 7*7 }}{% raw %}.png",
    "admin/javascript:alert(1)//'`",
    "admin/\x1b]0;owned\x07\x1b[2J.png",
    "admin/invoice\u202egnp.exe",
    "admin/\udcff.png",
    "admin/&lt;b&gt;&amp;.png",
)


class Parsed(HTMLParser):
    """The elements of a page as (tag, attributes), and the text of each place that is not code."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.code: dict[str, list[str]] = {"style": [], "script": []}
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> does not close what is open"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.code:
            self.code[self._open[-1]].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def all(self, tag: str, css: str = "") -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and (not css or css in a.get("class", "").split())]

    def assert_well_formed(self) -> None:
        assert self._open == []


def shown(
    play: RunPlay,
    logs: Mapping[str, str] | None = None,
    change: Callable[[RunResult], RunResult] | None = None,
) -> Parsed:
    entries = play.entries()
    result = build(entries)
    parsed = Parsed(render(change(result) if change else result, entries, logs or {}))
    parsed.assert_well_formed()
    return parsed


def after_restart(contents: Mapping[str, Callable[[Content, Mapping[str, Content]], Content]]) -> RunPlay:
    """Names of 40 tiles are written, and after a restart every path shows what the functions make of them."""
    play = run_play()
    play.begin_step("restart")
    operations = {name: play.write(name, 40) for name in contents}
    play.observe()
    play.event()
    tiles = {name: play.tiles(operation.identity) for name, operation in operations.items()}
    found = {name: made(tiles[name], tiles) for name, made in contents.items()}
    play.observe({p.name: {n: play.content(c, p.stored) for n, c in found.items()} for p in PATHS})
    play.end_step()
    return play


@pytest.mark.parametrize("end", ENDS)
def test_the_verdict_comes_first_then_the_matrix(end: str) -> None:
    parsed = shown(ENDS[end]())
    text = parsed.text
    assert f"{end}" in text[: text.index("names wrong")]
    assert (
        text.index("names wrong")
        < text.index("What the documentation promises")
        < text.index("Events and paths")
    )
    assert parsed.all("h1")


def test_every_cell_of_the_matrix_leads_to_its_step() -> None:
    parsed = shown(wiped())
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    links = [a["href"] for a in parsed.all("a") if a.get("href", "").startswith("#")]
    assert len(ids) == len(set(ids))
    assert {"step-up", "step-restart"} <= set(ids)
    assert {link[1:] for link in links} <= set(ids)
    cells = parsed.all("td", "cell")
    assert len(cells) == 2 * len(PATHS)
    assert [cell["data-path"] for cell in cells[: len(PATHS)]] == [path.name for path in PATHS]
    assert [("c-lost" in cell["class"]) for cell in cells] == [False] * 4 + [True] * 4


def test_what_is_not_kept_stands_open_and_the_rest_is_folded() -> None:
    html = render(build(entries := wiped().entries()), entries, {})
    assert re.search(r'id="step-restart"[^>]*>\s*<details open>', html)
    assert re.search(r'id="step-up"[^>]*>\s*<details>', html)


def test_nothing_is_fetched_and_no_code_runs_but_its_own() -> None:
    parsed = shown(wiped(HOSTILE))
    for tag, attributes in parsed.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        assert not {
            name for name in attributes if name.startswith("on") or name in {"src", "style", "srcset"}
        }
        assert re.match(r"#|[\w.]+$", attributes.get("href", "#")), attributes
    (style,), (script,) = parsed.code["style"], parsed.code["script"]
    policy = next(
        m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    for code in (style, script):
        assert base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() in policy
    assert "http" not in style and "http" not in script and "url(" not in style and "@import" not in style


def test_hostile_names_are_text() -> None:
    parsed = shown(wiped(HOSTILE))
    assert len(parsed.all("script")) == 1
    assert "admin/<script>alert(1)</script>.png" in parsed.text
    assert "{{ 7*7 }}" in parsed.text
    assert r"invoice\u202egnp.exe" in parsed.text
    assert r"\x1b]0;owned\x07" in parsed.text
    assert r"\udcff" in parsed.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", parsed.text)


@given(text=st.text(max_size=40))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_anywhere_is_text(text: str) -> None:
    def everywhere(result: RunResult) -> RunResult:
        step = dataclasses.replace(result.scenarios[0].steps[1], title=text, reasons=[text])
        finding = dataclasses.replace(step.findings[0], names=[text], evidence=[text], reproduce=text)
        step = dataclasses.replace(step, findings=[finding])
        scenario = dataclasses.replace(
            result.scenarios[0],
            source=text,
            notes=[text],
            changes=[text],
            steps=[result.scenarios[0].steps[0], step],
        )
        return dataclasses.replace(result, run_id=text, stopped=text, complete=False, scenarios=[scenario])

    plain = [tag for tag, _ in shown(wiped(), {"shop-api.log": "plain\n"}, everywhere_plain).elements]
    hostile = [tag for tag, _ in shown(wiped(), {"shop-api.log": text + "x\n"}, everywhere).elements]
    # A log may have more lines; no text makes an element of its own, but for the second line of a reason.
    assert set(hostile) <= set(plain) | {"pre"}
    assert hostile.count("script") == plain.count("script") == 1


def everywhere_plain(result: RunResult) -> RunResult:
    return dataclasses.replace(result, complete=False)


def test_bytes_are_those_that_were_written_and_the_others_are_unknown() -> None:
    play = after_restart({"admin/junk": lambda own, _: own[:10] + (JUNK,) * 4 + own[14:]})
    spec = next(
        r.operation.payload
        for r in play.records
        if isinstance(r, Invoked) and r.operation.name == "admin/junk"
    )
    assert spec is not None
    entries = play.entries()
    comparison = _comparisons(entries)[0]
    assert (comparison.name, comparison.path) == ("admin/junk", "volume")
    assert [(span.start, span.end, span.look) for span in comparison.spans] == [
        (0, 640, "own"), (640, 896, "unknown"), (896, 2560, "own"),
    ]  # fmt: skip
    for row in comparison.rows:
        offset = int(row.offset, 16)
        expected = " ".join(piece.hex for piece in row.expected)
        assert expected == Payload.of(spec).slice(offset, 16).hex(" ")
        found = " ".join(piece.hex for piece in row.found)
        assert found == (" ".join(["??"] * 16) if 640 <= offset < 896 else expected)
    offsets = [int(row.offset, 16) for row in comparison.rows]
    assert 640 in offsets and 880 in offsets and 896 in offsets
    assert sum(row.skipped for row in comparison.rows) + 16 * len(offsets) + comparison.rest == 2560


def test_each_span_says_who_wrote_it() -> None:
    play = after_restart(
        {
            "admin/foreign": lambda own, all_: own[:4] + all_["admin/whole"][4:20] + own[20:],
            "admin/whole": lambda own, _: own,
            "admin/zeroed": lambda own, _: own[:8] + (ZEROS,) * 8 + own[16:],
            "admin/short": lambda own, _: own[:9],
            "admin/empty": lambda own, _: (),
        }
    )
    shown_by_name = {comparison.name: comparison for comparison in _comparisons(play.entries())}
    assert sorted(shown_by_name) == ["admin/empty", "admin/foreign", "admin/short", "admin/zeroed"]
    assert "create of admin/whole" in shown_by_name["admin/foreign"].spans[1].said
    assert shown_by_name["admin/zeroed"].spans[1].look == "zeros"
    assert shown_by_name["admin/short"].found_width == pytest.approx(22.5)
    assert shown_by_name["admin/short"].expected_width == 100
    assert shown_by_name["admin/empty"].rows[0].found == []
    zeros = [r for r in shown_by_name["admin/zeroed"].rows if int(r.offset, 16) == 512]
    assert [(piece.look, piece.differs) for piece in zeros[0].found] == [("zeros", True)]


def _comparisons(entries: Sequence[Entry]) -> list[Comparison]:
    view = make_page(build(entries), entries, {})
    return [c for s in view.scenarios for step in s.steps for f in step.findings for c in f.comparisons]


def test_the_timeline_has_a_mark_for_every_operation_and_what_became_of_it() -> None:
    play = run_play()
    play.begin_step("restart")
    play.write("admin/a")
    play.write("admin/b", outcome=Outcome.INFO)
    play.write("admin/c", outcome=None)
    play.observe()
    play.event()
    play.observe()
    play.end_step()
    view = make_page(build(entries := play.entries()), entries, {})
    step = view.scenarios[0].steps[1]
    assert step.timeline is not None
    lanes = {(lane.label, lane.note): lane for lane in step.timeline.lanes}
    writes = lanes["api", "writes"].marks
    assert sorted(mark.look for mark in writes) == ["op-info", "op-ok", "op-open"]
    assert all(mark.width > 0 and mark.x >= 0 and mark.x + mark.width <= 100.1 for mark in writes)
    assert {label for label, note in lanes if note == "checks"} == {path.name for path in PATHS}
    (window,) = step.timeline.windows
    (event,) = [span for span in step.phases if span.title == "event"]
    assert window.width == pytest.approx(event.seconds / step.timeline.seconds * 100, abs=0.1)
    assert [write.outcome for write in step.answers] == [Outcome.INFO, None]


def test_a_container_is_away_from_its_death_to_its_start() -> None:
    play = kept()
    facts = (
        Evidence("stream", "api: kill with signal 9, die with exit code 137, start (container 0123456789ab)"),
    )
    play.records[:] = [
        dataclasses.replace(r, proof=facts) if isinstance(r, EventEnded) else r for r in play.records
    ]
    view = make_page(build(entries := play.entries()), entries, {})
    timeline = view.scenarios[0].steps[1].timeline
    assert timeline is not None
    (lane,) = [lane for lane in timeline.lanes if lane.note == "runs"]
    running = [mark for mark in lane.marks if mark.look == "running"]
    doings = [mark for mark in lane.marks if mark.look != "running"]
    assert [mark.title for mark in doings] == [
        "api: kill with signal 9", "api: die with exit code 137", "api: start",
    ]  # fmt: skip
    assert running[0].x + running[0].width == pytest.approx(doings[1].x, abs=0.01)
    assert running[1].x == pytest.approx(doings[2].x, abs=0.01)


def test_logs_show_what_was_said_around_the_event() -> None:
    play = wiped()
    entries = play.entries()
    began = next(e.record for e in entries if isinstance(e.record, RunBegan))
    event = next(e.at for e in entries if type(e.record).__name__ == "EventBegan")
    day = began.started.split("T", 1)[0]
    stamps = {f"{day}T03:04:{5 + second:02d}.250000000Z": second for second in range(40)}
    log = "".join(f"{stamp} said at {second}\n" for stamp, second in stamps.items())
    view = make_page(
        build(entries),
        entries,
        {"shop-api.log": log, "shop-proxy.log": "no time\nat all\n", "other-x.log": "?"},
    )
    restart = view.scenarios[0].steps[1]
    (excerpt,) = restart.logs
    assert excerpt.service == "api"
    said = [line.text for line in excerpt.lines]
    assert f"said at {event:.0f}" in said
    assert "said at 0" not in said and "said at 39" not in said
    assert [tail.service for tail in view.scenarios[0].logs] == ["api", "proxy"]


def test_caps_are_kept_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "NAMES_SHOWN", 3)
    names = [f"admin/{number:03d}" for number in range(30)]
    play = after_restart(dict.fromkeys(names, lambda own, _: own[:3]))
    entries = play.entries()
    view = make_page(build(entries), entries, {})
    finding = view.scenarios[0].steps[1].findings[0]
    assert len(finding.names) == 3 and finding.names_left_out == 27
    assert len(finding.comparisons) == COMPARISONS_A_FINDING
    said = Parsed(render(build(entries), entries, {})).text
    assert "Not everything is on this page" in said
    assert "27 wrong names are counted, not listed" in said
    assert "27 wrong names are not shown" in said


def test_operations_that_are_not_drawn_are_counted() -> None:
    play = run_play()
    play.begin_step("restart")
    for number in range(40):
        play.write(f"admin/{number}", outcome=Outcome.INFO if number == 39 else Outcome.OK)
    play.end_step()
    entries = play.entries()
    allowance = Allowance(drawn=10)
    result = build(entries)
    own = [entry for entry in entries if entry.scenario]
    view = pages._Scenario(result, result.scenarios[0], own, {}, allowance).view(several=False)
    drawn = [step.timeline for step in view.steps if step.timeline]
    marks = [mark for t in drawn for lane in t.lanes for mark in lane.marks if mark.look.startswith("op-")]
    assert len(marks) == 10
    assert any(mark.look == "op-info" for mark in marks)
    assert sum(t.left_out for t in drawn) == allowance.operations_left_out == 42 - 10


def test_two_hundred_steps_of_a_hundred_names() -> None:
    play = run_play()
    for number in range(200):
        play.epoch(number + 2)
        names = [f"admin/{number:03d}-{n:03d}.png" for n in range(100)]
        play.begin_step(f"restart-{number}")
        for name in names:
            play.write(name)
        play.event()
        gone = dict.fromkeys(names, ABSENT) | {name: play.content((JUNK, ZEROS)) for name in names[:5]}
        play.add(*(PathObserved(play.step, Phase.AFTER, path.name, "", gone) for path in PATHS))
        play.end_step()
    entries = play.entries()
    result = build(entries)
    assert sum(finding.count for finding in result.findings) >= 200 * 100
    logs = {"shop-api.log": "2027-01-02T03:04:20.0Z a line of a log\n" * 5000}
    began = time.process_time()
    html = render(result, entries, logs)
    seconds = time.process_time() - began
    assert len(html.encode()) < 10_000_000
    assert seconds < 3, f"rendered in {seconds:.1f} s"
    assert 0 < html.count('class="op-') <= OPERATIONS_DRAWN


def test_a_history_that_breaks_off_is_still_a_page() -> None:
    entries = wiped().entries()
    for length in range(2, len(entries)):
        part = entries[:length]
        parsed = Parsed(render(build(part), part, {}))
        parsed.assert_well_formed()
        assert "This run is not complete" in parsed.text
    assert "not complete" in Parsed(render(build(()), (), {})).text


def test_a_page_that_cannot_be_drawn_takes_no_verdict_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise ValueError("<b>no page</b>")

    monkeypatch.setattr("persistence_tests.report.html.render", fails)
    entries = wiped().entries()
    write_reports(build(entries), entries, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["verdict"] == "lost"
    text = (tmp_path / "report.html").read_text()
    assert "lost" in text and "&lt;b&gt;no page&lt;/b&gt;" in text


def test_all_looks_of_a_pass_began_together() -> None:
    entries = kept().entries()
    step = recorded_steps([entry for entry in entries if entry.scenario])["restart"]
    for phase in Phase:
        own = [look for look in step.looks if look.phase is phase]
        assert [look.path for look in own] == [path.name for path in PATHS]
        assert len({look.start for look in own}) == 1
        assert [look.end for look in own] == sorted({look.end for look in own})


def test_of_a_name_that_is_gone_no_bytes_are_shown() -> None:
    """What was seen before the event is no evidence of what was lost by it."""
    entries = wiped().entries()
    page = make_page(build(entries), entries, {})
    (finding,) = [finding for step in page.scenarios[0].steps for finding in step.findings]
    assert finding.result.symptom == "missing"
    assert finding.comparisons == []
