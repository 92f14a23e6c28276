"""report.html in a browser: the filter, the links, the commands to copy, light and dark, and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from persistence_tests.model.records import ScenarioEnded, StackKept
from persistence_tests.report.build import build
from persistence_tests.report.html import render
from tests.unit.report_histories import PATHS, RunPlay, kept, known_to_be_lost, spread, wiped

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser

HOSTILE = "admin/<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LOG = "2027-01-02T03:04:20.000000000Z <script>document.title='owned'</script> said\n"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run in which the restart loses everything, as the address of its page."""
    entries = wiped((HOSTILE, "blog/logo.png")).entries()
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(build(entries), entries, {"shop-api.log": LOG}), encoding="utf-8")
    return file.as_uri()


def test_variants_of_an_entry_are_one_row_of_which_the_filter_leaves_what_fits(
    browser: Browser, tmp_path: Path
) -> None:
    entries = spread().entries()
    file = tmp_path / "report.html"
    file.write_text(render(build(entries), entries, {}), encoding="utf-8")
    for page in opened(browser, file.as_uri()):
        row = page.locator(".matrix tbody tr", has_text="power-loss")
        assert row.locator(".variants li").count() == 3
        page.fill("#filter", "s:lost")
        assert row.is_visible()
        left = [li.inner_text() for li in row.locator(".variants li").all() if li.is_visible()]
        assert [" ".join(text.split()) for text in left] == ["✗ after 7s idle : lost"]
        page.fill("#filter", "@restart")
        assert not row.is_visible()
        page.fill("#filter", "")
        row.locator(".cell.c-lost a").first.click()
        assert page.url.endswith("#step-power-loss-2")


@pytest.fixture
def page(browser: Browser, report: str) -> Iterator[Page]:
    """The page, of which nothing was asked for but itself and in which nothing went wrong."""
    yield from opened(browser, report)


def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    shown = context.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    shown.goto(address)
    yield shown
    context.close()
    assert {url.split("#")[0] for url in asked} == {address.split("#", maxsplit=1)[0]}
    assert wrong == []


def steps(page: Page) -> list[str]:
    """The steps that the filter leaves, in the list and in the matrix alike."""
    articles = [a.get_attribute("data-step") for a in page.locator(".step").all() if a.is_visible()]
    rows = [r.get_attribute("data-steps") for r in page.locator(".matrix tbody tr").all() if r.is_visible()]
    assert rows == [f"step-{step}" for step in articles]
    return [step or "" for step in articles]


def test_nothing_in_it_acts(page: Page) -> None:
    assert page.title() == "✗ lost · persistence 20270102-030405-abcd"
    assert page.locator("img").count() == 0
    page.locator("#step-restart .fold > summary", has_text="Names").click()
    assert page.locator("#step-restart .names").get_by_text("onerror").is_visible()
    assert page.title().startswith("✗ lost")


@pytest.mark.parametrize(
    ("tokens", "left"),
    [
        ("", ["up", "restart"]),
        ("s:lost", ["restart"]),
        ("s:kept", ["up"]),
        ("s:lost s:kept", ["up", "restart"]),
        ("@restart", ["restart"]),
        ("p:proxy s:lost", ["restart"]),
        ("p:nowhere", []),
        ("PV001", ["restart"]),
        ("-s:kept", ["restart"]),
        ("logo.png PV001", ["restart"]),
        ("nothing-like-it", []),
    ],
)
def test_the_filter(page: Page, tokens: str, left: list[str]) -> None:
    page.fill("#filter", tokens)
    assert steps(page) == left
    assert page.locator("#none").is_visible() is (not left)


def test_the_filter_of_a_path_leaves_its_column(page: Page) -> None:
    page.fill("#filter", "p:proxy")
    heads = [
        head.inner_text() for head in page.locator(".matrix thead [data-path]").all() if head.is_visible()
    ]
    assert heads == ["proxy"]


def test_a_verdict_is_one_click(page: Page) -> None:
    page.locator(".chip", has_text="lost").click()
    assert steps(page) == ["restart"]
    assert page.url.endswith("#?s%3Alost")
    page.locator(".chip", has_text="lost").click()
    assert steps(page) == ["up", "restart"]


def test_a_filter_is_a_link(browser: Browser, report: str) -> None:
    for page in opened(browser, f"{report}#?s%3Akept"):
        assert page.input_value("#filter") == "s:kept"
        assert steps(page) == ["up"]


def test_a_cell_of_the_matrix_opens_its_step(page: Page) -> None:
    assert not page.locator("#step-up > details").evaluate("node => node.open")
    page.locator('.matrix tr[data-steps="step-up"] td[data-path="volume"] a').click()
    page.wait_for_function("document.querySelector('#step-up > details').open")
    assert page.url.endswith("#step-up")
    assert page.locator("#step-up").is_visible()


def test_a_deep_link_opens_what_is_folded(browser: Browser, report: str) -> None:
    for page in opened(browser, f"{report}#step-up"):
        assert page.locator("#step-up > details").evaluate("node => node.open")
        top = page.locator("#step-up").evaluate("node => node.getBoundingClientRect().top")
        assert 0 <= top < 900


def test_a_finding_is_a_link(browser: Browser, report: str) -> None:
    for page in opened(browser, f"{report}#step-restart-PV001"):
        assert page.locator("#step-restart > details").evaluate("node => node.open")
        assert page.locator("#step-restart-PV001 h4").is_visible()
        top = page.locator("#step-restart-PV001").evaluate("node => node.getBoundingClientRect().top")
        assert 0 <= top < 900


def test_a_command_is_copied(browser: Browser, report: str) -> None:
    for page in opened(browser, report, permissions=["clipboard-read", "clipboard-write"]):
        command = page.locator("#step-restart .command").first
        command.get_by_role("button").click()
        command.get_by_text("copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
        assert command.locator("code").inner_text().startswith("persistence run ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, report: str, scheme: str) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    for page in opened(browser, report, color_scheme=scheme):
        was = page.evaluate(background)
        assert (sum(map(int, was[4:-1].split(","))) > 384) is (scheme == "light")
        page.click("#theme")
        assert page.evaluate(background) != was
        page.reload()
        assert page.evaluate(background) != was, "the choice is remembered"


def test_known_losses_are_one_click(browser: Browser, tmp_path: Path) -> None:
    play = known_to_be_lost()
    play.add(
        ScenarioEnded("shop", StackKept("persistence-1-shop", None, "/tmp/w", ("api",), ("shop_media",)))
    )
    entries = play.entries()
    file = tmp_path / "report.html"
    file.write_text(render(build(entries), entries, {}), encoding="utf-8")
    for page in opened(browser, file.as_uri()):
        assert page.locator("h1").inner_text() == "✓ kept, with 1 known loss"
        page.locator(".chip", has_text="known").click()
        assert steps(page) == ["restart"]
        assert page.locator("#step-restart p.known").is_visible()
        assert page.locator("#step-restart").get_by_text("no volume yet, see #12").is_visible()
        cell = page.locator('.matrix tr[data-steps="step-restart"] td[data-path="volume"]')
        assert "c-known" in (cell.get_attribute("class") or "")
        assert page.get_by_text("docker compose -p persistence-1-shop ps --all").is_visible()


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out(browser: Browser, report: str, width: int) -> None:
    for page in opened(browser, report):
        page.set_viewport_size({"width": width, "height": 900})
        page.locator("details").evaluate_all("all => all.forEach(details => { details.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_javascript_all_can_be_read(browser: Browser, report: str) -> None:
    for page in opened(browser, report, java_script_enabled=False):
        assert page.locator(".tools").is_hidden()
        assert page.locator(".matrix").is_visible()
        assert page.locator("#step-restart .timeline").is_visible()
        page.locator("#step-up summary").first.click()
        assert page.locator("#step-up .phases").first.is_visible()


def test_paper_shows_what_is_folded(page: Page) -> None:
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".tools").is_hidden()
    assert page.locator("#step-up .phases").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


@pytest.mark.parametrize("play", [kept, wiped])
def test_the_timeline_is_drawn(browser: Browser, tmp_path: Path, play: Callable[[], RunPlay]) -> None:
    entries = play().entries()
    file = tmp_path / "report.html"
    file.write_text(render(build(entries), entries, {}), encoding="utf-8")
    for page in opened(browser, f"{file.as_uri()}#step-restart"):
        timeline = page.locator("#step-restart .timeline svg").first
        checks = timeline.locator("rect.look, rect.look-wrong")
        assert checks.count() == 2 * len(PATHS)
        for check in checks.all():
            box, whole = check.bounding_box(), timeline.bounding_box()
            assert box and whole
            assert box["width"] > 0 and whole["x"] - 2 <= box["x"] <= whole["x"] + whole["width"]
