"""The media stack on a real engine: API, proxy and init script, as an operator meets them."""

import hashlib
import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import quote

import pytest
import requests

from persistence_tests.stack.exec_stream import run_any
from tests.stacks.media import LABEL, MAX_BYTES, ROOT, MediaStack, media_stack, poll

pytestmark = pytest.mark.engine

HOSTILE_NAMES = [
    "a b.bin", " leading and trailing .bin", "q'uo\"te.bin", "100%.bin", "%41%2f.bin", "ha#sh.bin",
    "que?ry=1&2.bin",
    "-rf.bin", ".hidden.bin", "..two.bin", "a..b.bin", "semi;colon,comma.bin", "back\\slash.bin", "+plus.bin",
    "$(id)`id`.bin", "nfc-\u00e9.bin", "nfd-e\u0301.bin",
    "\u65e5\u672c\u8a9e-\U0001f4be.bin", "n" * 251 + ".bin",
    "\u20ac" * 83 + ".bin", "UPPER.BIN",
]  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaStack]:
    with media_stack(tmp_path_factory.mktemp("stack") / "media") as stack:
        yield stack


def upload(
    stack: MediaStack, name: str, content: bytes, directory: str = "uploads", through: str = "api"
) -> requests.Response:
    return stack.session.post(
        f"{stack.url(through)}/api/v1/media/{directory}", files={"file": (name, content)}, timeout=30
    )


def raw_status(url: str, method: str, target: str, body: bytes = b"x") -> int:
    """The status for a request line exactly as given, which no client library normalises."""
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest(method, target)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


# --- the API, directly and through the proxy ------------------------------------------------------------


@pytest.mark.parametrize("through", ["api", "proxy"])
def test_every_name_and_size_comes_back_on_both_ways(stack: MediaStack, through: str) -> None:
    contents = {name: os.urandom(2000) for name in HOSTILE_NAMES}
    sizes = (0, 1, 4095, 4097, 65537, (1 << 20) + 1, MAX_BYTES)
    contents |= {f"{size} bytes.bin": os.urandom(size) for size in sizes}
    directory = {"api": "blog", "proxy": "member"}[through]
    for name, content in contents.items():
        answer = upload(stack, name, content, directory, through)
        assert answer.status_code == 201, (name, answer.text)
        assert answer.json() == {
            "name": name,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "url": f"/media-files/{directory}/{quote(name)}",
        }
    for way in ("api", "proxy"):
        for name, content in contents.items():
            url = f"{stack.url(way)}/media-files/{directory}/{quote(name, safe='')}"
            answer = stack.session.get(url, timeout=30)
            assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(content))), name
            assert answer.content == content, name
            assert stack.session.head(url, timeout=10).headers["content-length"] == str(len(content))
    listed = stack.session.get(f"{stack.url('proxy')}/media-files/{directory}/", timeout=10).json()
    assert {entry["name"]: entry["size"] for entry in listed["files"]} == {
        name: len(content) for name, content in contents.items()
    }
    names = stack.execute(f"ls -A {directory} | wc -l; find {directory} -type f ! -perm 644")
    assert names.split() == [str(len(contents))]


@pytest.mark.parametrize("through", ["api", "proxy"])
@pytest.mark.parametrize(
    ("directory", "name", "content", "status"),
    [
        ("uploads", "program.exe", b"MZ", 415),
        ("uploads", "no-extension", b"x", 415),
        ("uploads", "fake.png", b"GIF89a", 415),
        ("uploads", "fake.pdf", b"<html>", 415),
        ("uploads", "../escape.bin", b"x", 400),
        ("uploads", "..", b"x", 400),
        ("uploads", "tab\t.bin", b"x", 400),
        ("uploads", "n" * 252 + ".bin", b"x", 400),
        ("uploads", ".upload-1.part", b"x", 400),
        ("nowhere", "a.bin", b"x", 404),
        ("uploads", "large.bin", bytes(MAX_BYTES + 1), 413),
        ("uploads", "larger.bin", bytes(MAX_BYTES + (1 << 20)), 413),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str | int) else "",
)
def test_what_must_not_be_stored_is_refused(
    stack: MediaStack, through: str, directory: str, name: str, content: bytes, status: int
) -> None:
    before = stack.execute("find . | sort")
    assert upload(stack, name, content, directory, through).status_code == status
    assert stack.execute("find . | sort") == before


@pytest.mark.parametrize("through", ["api", "proxy"])
def test_no_path_leads_out_of_the_media_root(stack: MediaStack, through: str) -> None:
    url = stack.url(through)
    before = stack.execute(
        "find /home/app -newer /home/app/media-directories -type f ! -path '*/media-files/*'"
    )
    for path in ("%2e%2e/x.bin", "..%2fx.bin", "uploads%2f..%2f..%2fx.bin", "uploads/%00.bin", "/x.bin",
                 "uploads/%2e%2e/%2e%2e/x.bin", "uploads/a%0ab.bin"):  # fmt: skip
        assert raw_status(url, "PUT", f"/api/v1/media/{path}") == 400, path
        assert raw_status(url, "DELETE", f"/api/v1/media/{path}") == 400, path
    for path in (
        "../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
    ):
        assert raw_status(url, "GET", f"/media-files/{path}") == 400, path
    assert before == stack.execute(
        "find /home/app -newer /home/app/media-directories -type f ! -path '*/media-files/*'"
    )
    stack.execute("ln -sfn /etc admin/etc")
    assert stack.session.get(f"{url}/media-files/admin/etc/passwd", timeout=10).status_code == 404
    stack.execute("rm admin/etc")


@pytest.mark.parametrize("through", ["api", "proxy"])
def test_what_is_absent_is_404(stack: MediaStack, through: str) -> None:
    for path in (
        "/media-files/admin/never.bin",
        "/media-files/never/",
        "/never",
        "/media-files/admin/never/x.bin",
    ):
        assert stack.session.get(stack.url(through) + path, timeout=10).status_code == 404


@pytest.mark.parametrize("through", ["api", "proxy"])
def test_replacing_and_deleting(stack: MediaStack, through: str) -> None:
    target = f"{stack.url(through)}/api/v1/media/recipe/{through} it's.txt"
    shown = f"{stack.url('proxy')}/media-files/recipe/{through} it's.txt"
    assert stack.session.put(target, data=b"one", timeout=10).status_code == 201
    replaced = stack.session.put(target, data=b"other", timeout=10)
    assert (replaced.status_code, replaced.json()["sha256"]) == (200, hashlib.sha256(b"other").hexdigest())
    assert stack.session.get(shown, timeout=10).content == b"other"
    assert upload(stack, f"{through} it's.txt", b"third", "recipe", through).status_code == 409
    assert stack.session.get(shown, timeout=10).content == b"other"
    assert stack.session.delete(target, timeout=10).status_code == 204
    assert stack.session.delete(target, timeout=10).status_code == 404
    assert stack.session.get(shown, timeout=10).status_code == 404


@pytest.mark.parametrize("through", ["api", "proxy"])
def test_ranges_and_conditions(stack: MediaStack, through: str) -> None:
    url = stack.url(through)
    stack.session.put(f"{url}/api/v1/media/lovs/r.txt", data=b"0123456789", timeout=10)

    def get(**headers: str) -> requests.Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return stack.session.get(f"{url}/media-files/lovs/r.txt", headers=named, timeout=10)

    whole = get()
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    part = get(Range="bytes=2-4")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert get(Range="bytes=-2").content == b"89"
    assert get(Range="bytes=10-").status_code == 416
    assert get(If_None_Match=whole.headers["etag"]).status_code == 304
    stack.session.put(f"{url}/api/v1/media/lovs/r.txt", data=b"9876543210", timeout=10)
    assert get(If_None_Match=whole.headers["etag"]).content == b"9876543210"
    assert get(If_Modified_Since=get().headers["last-modified"]).content == b"9876543210"
    assert get(Range="bytes=0-1", If_Range=whole.headers["etag"]).content == b"9876543210"


def test_a_client_that_leaves_in_the_middle_leaves_nothing(stack: MediaStack) -> None:
    for through in ("api", "proxy"):
        host, port = stack.url(through).removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(
                b"PUT /api/v1/media/uploads/left.bin HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n"
                + bytes(2_000_000)
            )
            poll(lambda: _assert_leftovers(stack, 1))()
        poll(lambda: _assert_leftovers(stack, 0))()
        assert (
            stack.session.get(f"{stack.url('api')}/media-files/uploads/left.bin", timeout=10).status_code
            == 404
        )


def _assert_leftovers(stack: MediaStack, count: int) -> None:
    assert len(stack.execute("find . -name '.upload-*.part'").split()) == count


def test_a_full_volume_is_507_and_stays_usable(stack: MediaStack) -> None:
    full = stack.engine.containers.run(
        f"{stack.project}-api", detach=True, labels={LABEL: stack.project},
        ports={"8001/tcp": ("127.0.0.1", 0)}, tmpfs={ROOT: "size=2m,uid=10001,mode=755"},
        environment={"MEDIA_MAX_BYTES": str(MAX_BYTES)},
    )  # fmt: skip
    try:
        full.reload()
        bindings = full.ports["8001/tcp"]
        assert bindings is not None
        url = f"http://127.0.0.1:{bindings[0]['HostPort']}"
        poll(lambda: _assert_healthy(url))()
        files = {"file": ("big.bin", os.urandom(MAX_BYTES))}
        assert requests.post(f"{url}/api/v1/media/admin", files=files, timeout=30).status_code == 507
        assert run_any(full, ["find", ROOT, "-type", "f"]) == (b"", b"", 0)
        small = requests.post(f"{url}/api/v1/media/admin", files={"file": ("s.bin", b"small")}, timeout=30)
        assert small.status_code == 201
    finally:
        full.remove(force=True)


def _assert_healthy(url: str) -> None:
    assert requests.get(f"{url}/api/v1/health", timeout=5).status_code == 200


# --- start and stop -------------------------------------------------------------------------------------


def test_init_is_idempotent_and_touches_nothing_that_exists(stack: MediaStack) -> None:
    stack.execute(
        "echo kept > program/kept.txt; chmod 600 program/kept.txt; chmod 700 program; rmdir referrer"
    )
    before = stack.snapshot()
    said = stack.execute("/home/app/init-media-dirs.sh")
    assert "created referrer" in said
    assert "1 created, 13 already there" in said
    assert stack.execute("stat -c '%a %U' referrer").split() == ["755", "app"]
    assert "0 created, 14 already there" in stack.execute("/home/app/init-media-dirs.sh")
    assert before - stack.snapshot() == set()
    stack.execute("chmod 755 program")


def test_init_fails_loudly_on_a_volume_it_cannot_write(stack: MediaStack) -> None:
    refused = stack.engine.containers.run(
        f"{stack.project}-api",
        detach=True,
        labels={LABEL: stack.project},
        tmpfs={ROOT: "size=4m,uid=0,mode=755"},
    )
    try:
        assert refused.wait(timeout=30)["StatusCode"] == 1
        assert b"is the volume writable?" in refused.logs()
    finally:
        refused.remove(force=True)


def test_a_stop_is_quick_and_clean_and_the_proxy_follows_the_api(stack: MediaStack) -> None:
    api, proxy = stack.container("api"), stack.container("proxy")
    try:
        api.stop(timeout=5)
        assert stack.session.get(f"{stack.url('proxy')}/media-files/admin/", timeout=10).status_code == 502
        proxy.stop(timeout=5)
        for container in (api, proxy):
            container.reload()
            # 137 would be the kill that follows when SIGTERM did not arrive.
            assert container.attrs["State"]["ExitCode"] == 0
        proxy.start()
        stack.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "api")
        poll(lambda: _assert_healthy(stack.url("proxy")))()
        assert stack.container("proxy").id == proxy.id
    finally:
        stack.compose("up", "-d", "--wait")


def test_the_main_process_is_the_api_and_not_root(stack: MediaStack) -> None:
    assert stack.execute("tr '\\0' ' ' < /proc/1/cmdline; id -un").split() == [
        "python3",
        "-m",
        "media.server",
        "app",
    ]
    assert run_any(stack.container("proxy"), ["id", "-un"]) == (b"www-data\n", b"", 0)


def test_what_a_killed_upload_left_is_swept_at_the_next_start(stack: MediaStack) -> None:
    stack.execute("echo half > uploads/.upload-0123456789abcdef.part")
    stack.compose("restart", "api")
    stack.compose("up", "-d", "--wait")
    _assert_leftovers(stack, 0)
