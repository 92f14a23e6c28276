"""HTTP paths against a scripted server in this process."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.http import HttpConfig
from persistence_tests.paths.origin import fill, quoted
from tests.unit.scripted_server import Request, Server, path_to, says


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def look(server: Server, script: Callable[[Request], bool], **config: Any) -> Observation:
    server.script = script
    return path_to(server.port, **config).observe(["f"]).observations["f"]


def says_raw(content: bytes) -> Callable[[Request], bool]:
    def script(request: Request) -> bool:
        request.peer.say(content)
        return False

    return script


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Names in URLs


@settings(deadline=None)
@given(st.binary(min_size=1).map(lambda name: name.replace(b"\0", b"_").decode(errors="surrogateescape")))
def test_a_quoted_name_is_plain_ascii_and_reads_back(name: str) -> None:
    url = quoted(name)
    assert unquote_to_bytes(url) == name.encode(errors="surrogateescape")
    assert url.count("/") == name.count("/")
    assert all(33 <= ord(character) <= 126 and character not in '?#"<>\\^`{|}' for character in url)


def test_a_filled_template_does_not_fill_what_it_filled() -> None:
    values = {"directory": "{filename}", "filename": "a b"}
    assert fill("/x/{directory}/{filename}", values) == "/x/%7Bfilename%7D/a%20b"


# Reading


@pytest.mark.parametrize("status", [200, 201, 206, 299])
def test_2xx_is_a_file_with_what_came(server: Server, status: int) -> None:
    seen = look(server, says(status, b"content", Content_Type="image/png"))
    assert seen == Observation(
        NodeKind.FILE, size=7, sha256=digest(b"content"), status=status, content_type="image/png"
    )


@pytest.mark.parametrize("status", [404, 410])
def test_404_and_410_show_absence(server: Server, status: int) -> None:
    seen = look(server, says(status, b"<html>not found", Content_Type="text/html"))
    assert (seen.kind, seen.status, seen.size) == (NodeKind.ABSENT, status, None)


@pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 416, 429, 500, 502, 503, 504])
def test_every_other_status_is_an_error(server: Server, status: int) -> None:
    seen = look(server, says(status, b"" if status == 304 else b"why"))
    assert (seen.kind, seen.status) == (NodeKind.ERROR, status)
    assert str(status) in (seen.error or "")


def test_an_index_page_for_every_name_is_a_file_and_cannot_show_absence(server: Server) -> None:
    seen = look(server, says(200, b"<html>", Content_Type="text/html"))
    assert (seen.kind, seen.sha256, seen.content_type) == (NodeKind.FILE, digest(b"<html>"), "text/html")
    assert path_to(server.port).probe_absence("never") == (False, "200 with 6 bytes of text/html")


def test_absence_is_probed(server: Server) -> None:
    server.script = says(404)
    assert path_to(server.port).probe_absence("never") == (True, "404")
    server.script = says(403)
    assert path_to(server.port).probe_absence("never") == (False, "HTTP 403")
    assert path_to(None).probe_absence("never")[0] is False


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n6\r\n",
    ],
)
def test_a_body_cut_short_is_an_error_that_keeps_what_came(server: Server, answer: bytes) -> None:
    seen = look(server, says_raw(answer))
    assert (seen.kind, seen.status, seen.size, seen.sha256) == (NodeKind.ERROR, 200, 4, digest(b"half"))
    assert "after 4 bytes" in (seen.error or "")
    assert path_to(server.port).read("f", 10) == b"half"


def test_a_reset_inside_the_body_is_an_error(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        request.peer.reset()
        return False

    seen = look(server, script)
    assert seen.kind is NodeKind.ERROR and "broke off" in (seen.error or "")


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nX"]
)
def test_what_is_no_answer_is_an_error(server: Server, said: bytes) -> None:
    seen = look(server, says_raw(said))
    assert seen.kind is NodeKind.ERROR or seen.size == 0
    if not said.endswith(b"X"):
        assert seen.kind is NodeKind.ERROR and (seen.error or "").startswith("no answer: ")


def test_nobody_listening_is_an_error_for_each_name() -> None:
    view = path_to(free_port()).observe(["a", "b"])
    assert {seen.kind for seen in view.observations.values()} == {NodeKind.ERROR}
    assert "refused" in (view.observations["a"].error or "")
    assert path_to(None).observe(["a"]).observations["a"].error == "port 8001 of api is not published"


def test_silence_is_an_error(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("persistence_tests.paths.origin.ANSWERING", 0.1)
    over = threading.Event()
    seen = look(server, lambda request: not over.wait(10))
    over.set()
    assert seen.kind is NodeKind.ERROR and "timed out" in (seen.error or "")


def test_a_redirect_on_the_same_server_is_followed(server: Server) -> None:
    def script(request: Request) -> bool:
        if request.target.startswith("/media-files/"):
            request.peer.answer(302, b"moved", Location="/elsewhere/f%20g?x=1")
        else:
            request.peer.answer(200, request.target.encode())
        return True

    assert look(server, script).sha256 == digest(b"/elsewhere/f%20g?x=1")
    assert server.connections == 1


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:{other}/f", "https://127.0.0.1:{port}/f", "//localhost:{port}/f", "http://example.org/f",
     "file:///etc/passwd", "http://127.0.0.1:99999/f", ""],
)  # fmt: skip
def test_a_redirect_to_anywhere_else_is_not_followed(server: Server, location: str) -> None:
    other = Server()
    other.script = says(200, b"other")
    seen = look(server, says(302, Location=location.format(other=other.port, port=server.port)))
    other.close()
    assert (seen.kind, seen.status) == (NodeKind.ERROR, 302)
    assert other.connections == 0 and len(server.requests) == 1


def test_a_redirect_to_the_declared_host_stays_on_this_server(server: Server) -> None:
    def script(request: Request) -> bool:
        assert request.headers["host"] == "media.example"
        if request.target == "/done":
            request.peer.answer(200, b"done")
        else:
            request.peer.answer(307, Location="http://media.example/done")
        return True

    assert look(server, script, host="media.example").sha256 == digest(b"done")


def test_redirects_without_an_end_end(server: Server) -> None:
    seen = look(server, says(302, Location="/media-files/f"))
    assert seen.kind is NodeKind.ERROR and len(server.requests) == 6


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
def test_a_compressed_body_is_hashed_as_what_it_says(server: Server, coding: str) -> None:
    content = b"many many many " * 100
    packed = gzip.compress(content) if coding == "gzip" else zlib.compress(content)
    packed = content if coding == "identity" else packed
    seen = look(server, says(200, packed, Content_Encoding=coding))
    assert (seen.kind, seen.size, seen.sha256) == (NodeKind.FILE, len(content), digest(content))
    if coding != "identity":
        assert look(server, says(200, packed[:-9], Content_Encoding=coding)).kind is NodeKind.ERROR
    assert look(server, says(200, packed, Content_Encoding="br")).kind is NodeKind.ERROR


def test_many_names_share_few_connections_and_each_pass_makes_its_own(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(200, request.target.encode())
        return True

    server.script = script
    path = path_to(server.port)
    names = [f"directory/file {number}" for number in range(100)]

    view = path.observe([*names, *names])

    assert list(view.observations) == names
    assert {name: seen.sha256 for name, seen in view.observations.items()} == {
        name: digest(f"/media-files/{quoted(name)}".encode()) for name in names
    }
    assert len(server.requests) == 100 and 1 <= server.connections <= 8
    before = server.connections
    path.observe(names[:1])
    assert server.connections == before + 1


@pytest.mark.parametrize("announced", [True, False])
def test_a_server_that_closes_after_each_answer_is_read_all_the_same(server: Server, announced: bool) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(200, b"x", **({"Connection": "close"} if announced else {}))
        return False

    server.script = script
    view = path_to(server.port).observe([str(number) for number in range(30)])
    assert {seen.kind for seen in view.observations.values()} == {NodeKind.FILE}


def test_headers_of_the_scenario_are_sent(server: Server) -> None:
    def script(request: Request) -> bool:
        request.peer.answer(
            200, f"{request.headers['x-token']} {request.headers['accept-encoding']}".encode()
        )
        return True

    seen = look(server, script, headers={"X-Token": "secret", "accept-encoding": "br"})
    assert seen.sha256 == digest(b"secret br")


@pytest.mark.parametrize(
    "wrong",
    [{"url": "media/{name}"}, {"url": "/media"}, {"url": "/{name}/{other}"}, {"url": "/a b/{name}"},
     {"url": "/é/{name}"}, {"port": 0}, {"port": 70000},
     {"scheme": "ftp"}, {"within": "soon"}, {"headers": {"a b": "c"}}, {"headers": {"a": "b\r\nc: d"}},
     {"extra": 1}],
)  # fmt: skip
def test_wrong_configurations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpConfig(**{"service": "api", "port": 80, "url": "/{name}", **wrong})
