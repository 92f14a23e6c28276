"""The logo of the HR stack in a browser: shown while its file is there, and an avatar in its place when it is not."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import docker
import pytest
from PIL import Image
from tenacity import retry, retry_if_exception, stop_after_attempt

from tests.stacks.horilla import ICONS, Client, HorillaStack, horilla_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

# Containers come and go on this machine, and Chromium gives up what it is loading each time an interface does.
DISTURBED = "ERR_NETWORK_CHANGED"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HorillaStack]:
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    with horilla_stack(tmp_path_factory.mktemp("stack") / "horilla") as stack:
        yield stack


@pytest.fixture
def client(stack: HorillaStack) -> Client:
    return stack.client().login()


class Visitor:
    """A browser of somebody; `page` is what was visited last, `asked` every address that it ever asked for."""

    page: Page

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.asked: list[str] = []

    @retry(
        stop=stop_after_attempt(20),
        retry=retry_if_exception(lambda error: DISTURBED in str(error)),
        reraise=True,
    )
    def visit(self, path: str) -> list[str]:
        """The address of each logo on the page, as it stands there; each was drawn, and nothing went wrong."""
        wrong: list[str] = []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", lambda request: wrong.append(f"{request.failure} {request.url}"))
        self.page.on("pageerror", lambda error: wrong.append(str(error)))
        self.page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        self.page.goto(path, wait_until="networkidle")
        assert not wrong, wrong
        logos = self.page.locator("img:not([src*='/static/'])").all()
        for logo in logos:
            assert logo.evaluate("image => image.complete && image.naturalWidth > 0"), logo.get_attribute(
                "src"
            )
        return [str(logo.get_attribute("src")) for logo in logos]


@pytest.fixture
def visitor(browser: Browser, client: Client) -> Iterator[Visitor]:
    context = browser.new_context(base_url=client.url, ignore_https_errors=True)
    context.add_cookies(
        [{"name": c.name, "value": str(c.value), "url": client.url} for c in client.session.cookies]
    )
    visitor = Visitor(context)
    yield visitor
    context.close()
    # Nothing about anybody's company was told to anybody else.
    assert {re.sub(r"(?<=\d)/.*", "", url) for url in visitor.asked} == {client.url}


def test_a_logo_is_shown_and_an_avatar_when_its_file_is_gone(
    stack: HorillaStack, client: Client, visitor: Visitor
) -> None:
    (nobody,) = visitor.visit("/companies/")
    assert nobody.startswith("/avatar/%3F.svg")  # a question mark: there is no company yet
    logo = io.BytesIO()
    Image.new("RGB", (120, 60), "teal").save(logo, "PNG")
    kept = client.upload("gfuture_tech_logo.png", logo.getvalue(), "Gfuture Tech").json()
    company = f"/companies/{kept['id']}/"
    assert {source.partition("?")[0] for source in visitor.visit(company)} == {kept["url"]}
    assert visitor.page.get_by_role("img", name="Logo of Gfuture Tech").count() == 2

    stack.execute("horilla", f"find /app/media/{ICONS} -type f -delete")
    admin = "/admin/base/company/"
    for elsewhere in (company, "/companies/", admin, f"{admin}{kept['id']}/change/", "/login/"):
        if elsewhere == "/login/":
            visitor.context.clear_cookies()
        shown = visitor.visit(elsewhere)
        assert shown, elsewhere
        assert {source.partition("?")[0] for source in shown} == {"/avatar/GT.svg"}, elsewhere
        named = visitor.page.get_by_role("img", name="Logo of Gfuture Tech").count()
        assert named == (0 if elsewhere.startswith(admin) else 2 if elsewhere == company else 1), elsewhere
