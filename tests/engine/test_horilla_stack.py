"""The HR stack on a real engine, as those who use it meet it: logos, documents, pages, and how it starts and stops."""

import hashlib
import io
import json
import os
import re
import secrets
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from struct import pack
from urllib.parse import quote

import pytest
import requests
from PIL import Image

from persistence_tests.stack.exec_stream import run_any
from tests.stacks.horilla import ICONS, Client, HorillaStack, horilla_stack, poll

pytestmark = pytest.mark.engine

LIMIT = 5 << 20
DOCUMENT_LIMIT = 20 << 20
WAYS = ("nginx", "horilla")
PDF = b"%PDF-1.4\n" + b"1 0 obj <<>> endobj\n" * 50 + b"%%EOF\n"
MONTH = "public, max-age=2592000, immutable"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HorillaStack]:
    with horilla_stack(tmp_path_factory.mktemp("stack") / "horilla") as stack:
        yield stack


@pytest.fixture(scope="module")
def clients(stack: HorillaStack) -> dict[str, Client]:
    """The same person by way of nginx and directly."""
    return {way: stack.client(way).login() for way in WAYS}


@pytest.fixture(scope="module")
def client(clients: dict[str, Client]) -> Client:
    return clients["nginx"]


def image(kind: str = "PNG", size: tuple[int, int] = (300, 200), mode: str = "RGB") -> bytes:
    """An image that no other test has."""
    noise = Image.frombytes("RGB", (10, 10), os.urandom(300)).resize(size).convert(mode)
    encoded = io.BytesIO()
    noise.save(encoded, kind)
    return encoded.getvalue()


def png_header(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    header = pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def without_login(client: Client) -> Client:
    return Client(client.url, str(client.session.verify) if client.url.startswith("https") else "")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- logos ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("logo.png", image()),
        ("photo.jpeg", image("JPEG", mode="CMYK")),
        ("moving.gif", image("GIF", mode="P")),
        ("small.webp", image("WEBP", (1, 1))),
        ("clear.PNG", image("PNG", mode="RGBA")),
        ("largest.png", image().ljust(LIMIT, b"x")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_logo_is_the_same_on_every_way(
    stack: HorillaStack, clients: dict[str, Client], way: str, name: str, content: bytes
) -> None:
    answer = clients[way].upload(name, content, "Gfuture Tech")
    assert answer.status_code == 201, answer.text
    kept = answer.json()
    stem, extension = name.split(".")
    assert re.fullmatch(rf"{ICONS}/{stem}(_[A-Za-z0-9]{{7}})?\.{extension}", kept["icon"])
    assert kept | {"name": "Gfuture Tech", "sha256": sha256(content), "size": len(content)} == kept
    assert stack.rows(
        f"SELECT icon, icon_sha256, icon_size, icon_webp FROM base_company WHERE id = {kept['id']}"
    ) == [[kept["icon"], sha256(content), str(len(content)), kept["icon_webp"]]]
    for client in clients.values():
        shown = without_login(client).get(kept["url"])
        assert (shown.status_code, shown.content) == (200, content)
        variant = without_login(client).get("/media/" + kept["icon_webp"])
        small = Image.open(io.BytesIO(variant.content))
        assert (small.format, max(small.size) <= 256, variant.headers["content-type"]) == (
            "WEBP",
            True,
            "image/webp",
        )
    for service in ("horilla-replica", "guarded"):
        assert stack.execute(service, f"sha256sum < '/app/media/{kept['icon']}'").split()[0] == sha256(
            content
        )
    assert stack.execute("horilla", f"stat -c '%a %u %h' '/app/media/{kept['icon']}'").split() == [
        "644",
        "10001",
        "1",
    ]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a b's (1).png", "a_bs_1.png"),
        ("100%#?&.png", "100.png"),
        (".hidden.png", "hidden.png"),
        ("-rf.png", "-rf.png"),
        ("!!!.png", "upload.png"),
        ("\u65e5\u672c\u8a9e.png", "\u65e5\u672c\u8a9e.png"),
        ("\u20ac" * 3 + "e\u0301.png", "e.png"),
        ("../../../tmp/escape.png", "escape.png"),
        ("C:\\temp\\windows.png", "windows.png"),
        ("n" * 230 + ".png", "n" * 196 + ".png"),
        ("\u00fc" * 220 + ".png", "\u00fc" * 98 + ".png"),
    ],
)  # fmt: skip
def test_a_name_is_kept_as_far_as_an_address_allows(client: Client, sent: str, stored: str) -> None:
    content = image()
    kept = client.upload(sent, content).json()
    assert kept["icon"] == f"{ICONS}/{stored}"
    assert client.get("/media/" + quote(kept["icon"])).content == content
    assert client.post("/companies/delete/", {"icon": kept["icon"]}).status_code == 204


def test_the_same_name_twice_is_two_files(client: Client) -> None:
    contents = [image(), image()]
    kept = [client.upload("twice.png", content).json() for content in contents]
    assert kept[0]["icon"] != kept[1]["icon"]
    assert [client.get(one["url"]).content for one in kept] == contents


def test_replacing_keeps_the_new_logo_and_removes_the_old_one(stack: HorillaStack, client: Client) -> None:
    old = client.upload("old.png", image()).json()
    content = image("JPEG")
    answer = client.post(f"/companies/{old['id']}/icon/", icon=("new.jpg", content))
    new = answer.json()
    assert (answer.status_code, new["sha256"]) == (200, sha256(content))
    assert client.get(new["url"]).content == content
    assert client.get(old["url"]).status_code == 404
    files = stack.files()
    assert {new["icon"], new["icon_webp"]} <= files
    assert not files & {old["icon"], old["icon_webp"]}
    refused = client.post(f"/companies/{old['id']}/icon/", icon=("no.png", b"no image"))
    assert (refused.status_code, client.get(new["url"]).content) == (415, content)


def test_of_many_at_once_each_keeps_its_own(stack: HorillaStack, client: Client) -> None:
    """Uploads under one name, and replacements of one logo: no row refers to another's file, and no file is left."""

    def upload(content: bytes) -> dict[str, str]:
        kept: dict[str, str] = client.upload("rush.png", content).json()
        return kept

    def replace(content: bytes) -> int:
        return client.post(f"/companies/{first['id']}/icon/", icon=("rush.png", content)).status_code

    contents = [image() for _ in range(8)]
    before = stack.files()
    with ThreadPoolExecutor(8) as pool:
        first, *others = pool.map(upload, contents)
        assert set(pool.map(replace, [image() for _ in range(8)])) == {200}
    for kept, content in zip(others, contents[1:], strict=True):
        assert client.get(kept["url"]).content == content
    now = client.get(f"/companies/{first['id']}/", "application/json").json()
    assert stack.files() - before == {
        one[column] for one in (now, *others) for column in ("icon", "icon_webp")
    }


def test_a_deleted_company_takes_its_files_along(stack: HorillaStack, client: Client) -> None:
    by_id, by_name = (client.upload("gone.png", image()).json() for _ in range(2))
    assert client.post(f"/companies/{by_id['id']}/delete/").status_code == 204
    assert client.post("/companies/delete/", {"icon": by_name["icon"]}).status_code == 204
    for kept in (by_id, by_name):
        assert client.get(kept["url"]).status_code == 404
        assert client.post("/companies/delete/", {"icon": kept["icon"]}).status_code == 404
        assert not stack.files() & {kept["icon"], kept["icon_webp"]}
    assert client.post("/companies/delete/").status_code == 404


def test_the_admin_uploads_replaces_clears_and_deletes(stack: HorillaStack, client: Client) -> None:
    def save(page: str, name: str, **files: tuple[str, bytes]) -> None:
        clear = {} if files else {"icon-clear": "on"}
        answer = client.post(page, {"name": name, **clear}, "text/html", **files)
        assert answer.status_code == 302, answer.text

    name = f"Admin {secrets.token_hex(4)}"
    save("/admin/base/company/add/", name, icon=("admin.png", image()))
    row = f"SELECT id, icon, icon_sha256, icon_webp FROM base_company WHERE name = '{name}'"
    ((pk, first, _, first_webp),) = stack.rows(row)
    content = image()
    save(f"/admin/base/company/{pk}/change/", name, icon=("other.png", content))
    ((_, second, digest, second_webp),) = stack.rows(row)
    assert digest == sha256(content)
    assert not stack.files() & {first, first_webp}
    save(f"/admin/base/company/{pk}/change/", name)
    assert stack.rows(row) == [[pk, "", "", ""]]
    assert not stack.files() & {second, second_webp}
    save(f"/admin/base/company/{pk}/change/", name, icon=("last.png", image()))
    ((_, last, _, last_webp),) = stack.rows(row)
    chosen = {"action": "delete_selected", "_selected_action": pk, "post": "yes"}
    assert client.post("/admin/base/company/", chosen, "text/html").status_code == 302
    assert stack.rows(row) == []
    assert not stack.files() & {last, last_webp}


# --- pages ----------------------------------------------------------------------------------------------


def test_whoever_uploads_by_the_form_is_shown_the_logo(client: Client) -> None:
    answer = client.post("/companies/", {"name": "Blue <b> & Sons"}, "text/html", icon=("blue.png", image()))
    assert answer.status_code == 302
    page = client.get(answer.headers["location"]).text
    shown = re.search(r'<img class="logo" src="([^"]+)" alt="Logo of Blue &lt;b&gt; &amp; Sons"', page)
    assert shown
    assert client.get(shown[1]).headers["content-type"] == "image/png"
    assert re.search(r'<aside>.*<img src="[^"]+" alt="Logo of [^"]+"', page, re.DOTALL)


def test_the_avatar_stands_in_for_a_file_that_is_gone(stack: HorillaStack, client: Client) -> None:
    kept = client.upload("lost.png", image(), "Lost & Found").json()
    page = f"/companies/{kept['id']}/"
    assert kept["icon"] in client.get(page).text
    stack.execute("horilla", f"rm /app/media/{kept['icon']}")
    shown = re.search(r'<img class="logo" src="([^"]+)"', client.get(page).text)
    assert shown
    assert shown[1].startswith("/avatar/LF.svg?")
    drawn = without_login(client).get(shown[1])
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert ">LF</text>" in drawn.text
    # The row can still be mended, and removed.
    assert client.get(f"/admin/base/company/{kept['id']}/change/").status_code == 200
    assert client.post(f"/companies/{kept['id']}/icon/", icon=("found.png", image())).status_code == 200
    assert client.post(f"/companies/{kept['id']}/delete/").status_code == 204


def test_an_avatar_shows_the_initials(stack: HorillaStack) -> None:
    names = {
        "Gfuture Tech": "GT", "the company of many words": "TW", "acme": "A", "logo_of-us": "LO", "": "?", " ": "?",
        "\u00e9clair \u00fcber": "\u00c9\u00dc", "\u65e5\u672c \u4f1a\u793e": "\u65e5\u4f1a", "<b> & co": "BC",
        "7 days": "7D", "\u00dfa": "S",
    }  # fmt: skip
    program = f"import json; print(json.dumps([initials_of(name) for name in {json.dumps(list(names))}]))"
    shell = f"python manage.py shell -v 0 -c 'from base.avatar import initials_of; {program}'"
    assert json.loads(stack.execute("horilla", f"cd /app && {shell}")) == list(names.values())


def test_no_page_sends_anybody_elsewhere(client: Client) -> None:
    for page in ("/companies/", "/employees/", "/admin/", "/avatar/%3Cscript%3E.svg?hue=%22"):
        text = client.get(page).text
        assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", text), page
        assert "<script>" not in text


def test_programs_are_told_401_and_people_shown_the_login(stack: HorillaStack, client: Client) -> None:
    nobody = stack.client()
    for path in ("/companies/", "/companies/1/", "/employees/", "/documents/1/"):
        assert nobody.get(path, "application/json").status_code == 401
        assert nobody.get(path).headers["location"] == f"/login/?next={path}"
    nobody.get("/login/")
    assert nobody.upload("x.png", image()).status_code == 401
    wrong = nobody.post("/login/", {"username": "admin", "password": "wrong"}, "text/html")
    assert (wrong.status_code, "sessionid" in nobody.session.cookies) == (200, False)
    token = client.session.cookies.pop("csrftoken")
    assert client.upload("x.png", image()).status_code == 403
    client.session.cookies.set("csrftoken", token, domain="127.0.0.1", path="/", secure=True)


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("none.png", b"", 400),
        ("program.exe", b"MZ" * 500, 415),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
        ("text.png", b"no image", 415),
        ("jpeg.png", image("JPEG"), 415),
        ("png.jpg", image("PNG"), 415),
        ("cut.png", image()[:-300], 415),
        ("cut.jpg", image("JPEG")[:-300], 415),
        ("bomb.png", png_header(60000, 60000, b""), 413),
        ("bomb-within-limits.png", png_header(5001, 5000, b""), 413),
        ("large.png", image() + bytes(LIMIT), 413),
        ("larger.png", image() + bytes(DOCUMENT_LIMIT + 100_000), 413),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_must_not_be_kept_is_refused(
    stack: HorillaStack, clients: dict[str, Client], way: str, name: str, content: bytes, status: int
) -> None:
    before = stack.files()
    assert clients[way].upload(name, content).status_code == status
    assert stack.files() == before


@pytest.mark.parametrize("way", WAYS)
def test_no_address_leads_out_of_the_media_root(
    stack: HorillaStack, clients: dict[str, Client], way: str
) -> None:
    stack.execute("horilla", "echo half > /app/media/base/company/icon/.upload-test")
    for path in (
        "../manage.py", "%2e%2e/manage.py", "..%2fmanage.py", "%2e%2e%2f%2e%2e%2fetc/passwd", "/etc/passwd",
        "base/../../manage.py", "base/company/icon/.upload-test", "base/company/icon/%2eupload-test", "base", "",
        "base/company/icon/", "never.png", "a%00.png",
    ):  # fmt: skip
        assert clients[way].raw("GET", f"/media/{path}") in (400, 403, 404), path
    for path in ("/static/../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/"):
        assert clients[way].raw("GET", path) in (400, 403, 404), path
    stack.execute("horilla", "rm /app/media/base/company/icon/.upload-test")


# --- documents ------------------------------------------------------------------------------------------


def test_documents_are_for_those_who_may(stack: HorillaStack, clients: dict[str, Client]) -> None:
    client = clients["nginx"]
    person = {"first_name": "Ada", "last_name": "L\u00f8velace"}
    employee = client.post("/employees/", person, avatar=("ada.png", image())).json()
    assert employee | {"name": "Ada L\u00f8velace", "avatar": "employee/avatars/ada.png"} == employee
    contract, other = (
        client.post(f"/employees/{employee['id']}/documents/", file=(name, content)).json()
        for name, content in (("contract n\u00b0 1.pdf", PDF), ("scan.png", image()))
    )
    assert contract["sha256"] == sha256(PDF)
    said = stack.execute(
        "horilla", f"cd /app && python manage.py shell -v 0 -c '{_SIGN_EARLIER.format(contract['id'])}'"
    )
    nearly_expired, expired = said.split()
    for way, somebody in clients.items():
        nobody = without_login(somebody)
        own = f"/documents/{contract['id']}/"
        for entitled, address in ((nobody, contract["url"]), (nobody, nearly_expired), (somebody, own)):
            shown = entitled.get(address)
            assert (shown.status_code, shown.content) == (200, PDF), way
            assert shown.headers["content-type"] == "application/pdf"
            assert shown.headers["content-disposition"].startswith("attachment")
            assert shown.headers["cache-control"] == "private, no-store"
        token = contract["url"].partition("=")[2]
        for wrong in (token[:-1], "", f"{other['id']}{token[token.index(':') :]}"):
            assert nobody.get(f"{own}?token={wrong}").status_code == 403
        assert nobody.get(expired).status_code == 403
        assert nobody.get(f"/documents/{other['id']}/?token={token}").status_code == 403
        assert nobody.get(own).status_code == 302
        stored = quote(contract["file"].removeprefix("employee/documents/"))
        for prefix in (
            "/media/employee/documents/", "/media/employee//documents/", "/media/employee/./documents/",
            "/media/employee/%64ocuments/", "/media/x/../employee/documents/", "/protected/employee/documents/",
        ):  # fmt: skip
            assert somebody.raw("GET", prefix + stored) in (400, 404), (way, prefix)
    assert client.post(f"/documents/{contract['id']}/delete/").status_code == 204
    assert client.get(contract["url"]).status_code == 404
    assert contract["file"] not in stack.files()


_SIGN_EARLIER = """
import time
from unittest.mock import patch
from employee.models import Document
for seconds in 3000, 3601:
    with patch("time.time", return_value=time.time() - seconds):
        print(Document(pk={}).signed_url())
"""


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("page.html", b"<html>", 415),
        ("fake.pdf", b"<html>" * 300, 415),
        ("cut.pdf", PDF[:-10], 415),
        ("moving.gif", image("GIF", mode="P"), 415),
        ("scanned.pdf", PDF[:-6] + bytes(LIMIT) + PDF[-6:], 201),
        ("large.pdf", PDF[:-6] + bytes(DOCUMENT_LIMIT) + PDF[-6:], 413),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_documents_are_looked_at(client: Client, name: str, content: bytes, status: int) -> None:
    employee = client.post("/employees/", {"first_name": "A", "last_name": "B"}).json()["id"]
    assert client.post(f"/employees/{employee}/documents/", file=(name, content)).status_code == status


# --- limits and scanner ---------------------------------------------------------------------------------


def test_a_scanner_and_a_rate_where_they_are_switched_on(stack: HorillaStack) -> None:
    guarded = stack.client("guarded").login()
    infected = image() + b"EICAR"
    assert guarded.upload("infected.png", infected).status_code == 422
    kept = guarded.upload("clean.png", image())
    assert kept.status_code == 201
    # It is on the volume of them all, and only there is no scanner.
    assert stack.client().get(kept.json()["url"]).status_code == 200
    stack.container("clamd").kill()
    assert guarded.upload("unknown.png", image()).status_code == 503
    # The hour may have turned in between.
    answers = [guarded.upload("often.png", image()) for _ in range(4)]
    assert [answer.status_code for answer in answers][-1] == 429
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3600


# --- nginx ----------------------------------------------------------------------------------------------


def test_media_are_cached_a_week_and_revalidated(clients: dict[str, Client]) -> None:
    kept = clients["nginx"].upload("cached.png", image()).json()
    first = [client.get(kept["url"]) for client in clients.values()]
    for answer in first:
        assert answer.headers["cache-control"] == "public, max-age=604800"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert first[0].headers["etag"] == first[1].headers["etag"]
    for client in clients.values():
        again = client.get(kept["url"], If_None_Match=first[0].headers["etag"])
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(kept["url"], If_None_Match='"other"').status_code == 200
    part = clients["nginx"].get(kept["url"], Range="bytes=2-4")
    assert (part.status_code, part.content) == (206, first[0].content[2:5])


def test_headers_compression_and_the_way_to_https(stack: HorillaStack, client: Client) -> None:
    kept = client.upload("header.png", image()).json()
    page = client.get("/companies/", Accept_Encoding="gzip")
    style = re.search(r'href="(/static/css/horilla\.[0-9a-f]{12}\.css)"', page.text)
    assert style
    for path in (
        "/login/",
        "/companies/",
        kept["url"],
        style[1],
        "/media/never.png",
        "/static/never.css",
        "/nowhere",
    ):
        headers = client.get(path).headers
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert headers["referrer-policy"] == "same-origin"
        assert headers["server"] == "nginx"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    css = client.get(style[1], Accept_Encoding="gzip")
    assert (page.headers["content-encoding"], css.headers["content-encoding"]) == ("gzip", "gzip")
    assert css.headers["cache-control"] == MONTH
    assert client.get("/static/css/horilla.css").headers["cache-control"] == "no-cache"
    for cookie in client.session.cookies:
        assert cookie.secure
    plain = stack.url("nginx", 80)
    moved = requests.get(f"{plain}/companies/?page=2", allow_redirects=False, timeout=10)
    assert (moved.status_code, moved.headers["location"]) == (301, "https://127.0.0.1/companies/?page=2")
    health = requests.get(f"{plain}/health/", allow_redirects=False, timeout=10)
    assert (health.status_code, health.json()) == (200, {"status": "ok", "database": True, "media": True})


# --- start, stop, and new releases ----------------------------------------------------------------------


def test_a_new_release_reaches_the_browser_and_sweeps_what_a_killed_upload_left(
    stack: HorillaStack, client: Client
) -> None:
    def style() -> str:
        found = re.search(r"/static/css/horilla\.[0-9a-f]{12}\.css", client.get("/companies/").text)
        assert found
        return found[0]

    before = style()
    source = stack.directory / "horilla/static/css/horilla.css"
    source.write_text(source.read_text() + "main { color: teal; }\n")
    # As a file from a package is: its time is that of its release, long before the volume's copy.
    os.utime(source, (1e9, 1e9))
    kept = client.upload("release.png", image()).json()
    stack.execute("horilla", f"echo half > /app/media/{ICONS}/.upload-0123456789abcdef")
    stack.compose("up", "-d", "--build", "--wait")
    assert not any(".upload-" in name for name in stack.files())
    client.url = stack.url("nginx", 443)
    after = style()
    assert after != before
    assert client.get(after).text.endswith("main { color: teal; }\n")
    assert client.get("/static/css/horilla.css").text.endswith("main { color: teal; }\n")
    # Pages that were loaded before the release still find theirs.
    assert client.get(before).status_code == 200
    assert client.get(f"/companies/{kept['id']}/", "application/json").json() == kept


def test_one_replica_serves_while_the_other_is_away(stack: HorillaStack, client: Client) -> None:
    kept = client.upload("away.png", image()).json()
    stack.container("horilla").stop(timeout=10)
    assert client.get(f"/companies/{kept['id']}/", "application/json").json() == kept
    assert client.upload("meanwhile.png", image()).status_code == 201
    replica = stack.container("horilla-replica")
    replica.stop(timeout=10)
    for container in (stack.container("horilla"), replica):
        container.reload()
        # 137 would be the kill that follows when SIGTERM did not arrive.
        assert container.attrs["State"]["ExitCode"] == 0
    assert client.get("/companies/").status_code == 502
    assert client.get(kept["url"]).status_code == 200
    stack.compose("up", "-d", "--wait")


def test_without_its_database_it_says_so_and_comes_back(stack: HorillaStack, client: Client) -> None:
    database = stack.container("db")
    database.stop(timeout=10)
    try:
        assert client.get("/health/").json() == {"status": "unavailable", "database": False, "media": True}
        assert client.get("/companies/", "application/json").status_code == 503
    finally:
        database.start()
    poll(lambda: _assert_status(client, "/companies/", 200))()


def _assert_status(client: Client, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_the_processes_are_what_they_should_be(stack: HorillaStack) -> None:
    assert stack.execute("horilla", "id -un; head -c 200 /proc/1/cmdline | tr '\\0' ' '").startswith(
        "app\n/opt/venv/bin/python3 /opt/venv/bin/gunicorn config.wsgi"
    )
    assert stack.execute("nginx", "id -un; cat /proc/1/comm").split() == ["www-data", "nginx"]
    assert stack.execute("db", "id -un; cat /proc/1/comm").split() == ["postgres", "postgres"]
    settings = "SHOW fsync; SHOW synchronous_commit; SHOW full_page_writes; SHOW data_checksums"
    assert [stack.rows(query) for query in settings.split(";")] == [[["on"]]] * 4
    stack.execute("horilla", "python manage.py makemigrations --check --dry-run")
    said = stack.execute("horilla", "python manage.py check --deploy --fail-level WARNING")
    assert said.startswith("System check identified no issues")


def test_nginx_does_not_start_without_a_certificate(stack: HorillaStack) -> None:
    refused = stack.engine.containers.run(
        f"{stack.project}-nginx", detach=True, labels={"horilla-stack-test": stack.project},
        environment={"TLS_SELF_SIGNED": "no", "SERVER_NAME": "x", "HTTPS_PORT": "443"},
    )  # fmt: skip
    try:
        assert refused.wait(timeout=30)["StatusCode"] == 1
        assert b"set TLS_SELF_SIGNED=yes" in refused.logs()
    finally:
        refused.remove(force=True)


def test_an_interrupted_first_start_of_the_database_heals(stack: HorillaStack) -> None:
    volume = stack.engine.volumes.create(f"{stack.project}_first")
    database = stack.engine.containers.run(
        f"{stack.project}-db", detach=True, environment={"POSTGRES_PASSWORD": "it's"},
        volumes={volume.name: {"bind": "/var/lib/postgresql/data"}},
    )  # fmt: skip
    data = "/var/lib/postgresql/data"
    try:
        poll(lambda: _assert_runs(database, f"test -s {data}/.initdb/PG_VERSION"))()
        database.kill()
        database.start()
        login = "PGPASSWORD=\"it's\" psql -h 127.0.0.1 -U horilla -d horilla -c 'CREATE TABLE t ()'"
        poll(lambda: _assert_runs(database, login))()
        _assert_runs(database, f"test ! -e {data}/.initdb && test -d {data}/pgdata")
    finally:
        database.remove(force=True)
        volume.remove()


def _assert_runs(container: object, command: str) -> None:
    assert run_any(container, ["sh", "-ec", command])[2] == 0  # type: ignore[arg-type]


def test_rows_and_files_agree_after_all_of_it(stack: HorillaStack) -> None:
    columns = {
        "base_company": ("icon", "icon_webp"),
        "employee_employee": ("avatar",),
        "employee_document": ("file",),
    }
    named = [
        name
        for table, of in columns.items()
        for column in of
        for (name,) in stack.rows(f"SELECT {column} FROM {table}")
    ]
    referred = [name for name in named if name]
    assert len(set(referred)) == len(referred) > 20
    assert set(referred) == stack.files()
