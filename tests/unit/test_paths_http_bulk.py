"""Many names over few connections: the same observations as one by one, and no request more than needed."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.http_bulk import _end_of_head, read_plain
from persistence_tests.paths.http_reader import Reader
from tests.unit.scripted_server import Request, Server, path_to

NAMES = [f"directory/name {number}.bin" for number in range(40)]


def whole(status: int, body: bytes, *fields: bytes) -> bytes:
    head = [b"HTTP/1.1 %d Said" % status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*head, b"", b""]) + body


def one_by_one(server: Server, name: str) -> Observation:
    path = path_to(server.port)
    with Reader(path._origin, ("127.0.0.1", server.port)) as reader:
        return reader.observe(path._target(name))


def says(answers: dict[str, bytes], keeps: Callable[[bytes], bool]) -> Callable[[Request], bool]:
    """Each target's answer, in pieces of 7 KiB; `keeps` says after which the connection stays."""
    by_target = {path_to(1)._target(name): answer for name, answer in answers.items()}

    def script(request: Request) -> bool:
        answer = by_target[request.target]
        for start in range(0, len(answer), 7 << 10):
            request.peer.say(answer[start : start + (7 << 10)])
        return keeps(answer)

    return script


PLAIN = [
    whole(200, b""),
    whole(200, b"content", b"Content-Type: image/png"),
    whole(206, b"x" * 100_000, b"content-TYPE:text/plain; charset=utf-8", b"Connection: keep-alive"),
    whole(200, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"Content-Encoding: identity"),
    whole(404, b"not here", b"Content-Type: text/html"),
    whole(410, b""),
    whole(403, b"no"),
    whole(500, b"sorry" * 1000),
    whole(502, b""),
]
OTHER = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nto the end of the connection",
    b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nold!",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\nConnection: close\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbare",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: a\r\n folded\r\n\r\nbody",
    b"HTTP/1.1 100 Continue\r\n\r\n" + whole(200, b"after all"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n\r\n",
    whole(200, gzip.compress(b"packed"), b"Content-Encoding: gzip"),
    whole(200, b"not packed", b"Content-Encoding: gzip"),
    whole(302, b"", b"Location: http://example.org/"),
    whole(200, b"body", b"Connection: close"),
    b"",
]
MIXED = [*PLAIN * 3, *OTHER]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, len(MIXED) - 1), min_size=len(NAMES), max_size=len(NAMES)))
def test_many_names_show_what_each_shows_alone(chosen: list[int]) -> None:
    answers = [MIXED[index] for index in chosen]
    server = Server()
    try:
        server.script = says(dict(zip(NAMES, answers, strict=True)), PLAIN.__contains__)
        expected = {name: one_by_one(server, name) for name in NAMES}
        seen = path_to(server.port).observe(NAMES)
    finally:
        server.close()
    assert seen.observations == expected
    assert list(seen.observations) == NAMES and seen.method == "http"


def test_what_is_plain_is_asked_for_once_over_few_connections(server: Server) -> None:
    server.script = says({name: PLAIN[at % len(PLAIN)] for at, name in enumerate(NAMES)}, lambda _: True)
    seen = path_to(server.port).observe(NAMES)
    assert set(Counter(target for _, target in server.requests).values()) == {1}
    assert 1 < server.connections <= 8
    assert {found.kind for found in seen.observations.values()} == {
        NodeKind.FILE,
        NodeKind.ABSENT,
        NodeKind.ERROR,
    }


def test_a_second_answer_behind_the_first_is_not_taken_for_the_next_one(server: Server) -> None:
    twice = whole(200, b"right") + whole(200, b"wrong")
    server.script = says(dict.fromkeys(NAMES, twice), lambda _: True)
    path = path_to(server.port)
    targets = {name: path._target(name) for name in NAMES}
    assert read_plain(path._origin, ("127.0.0.1", server.port), targets, 4) == {}


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/é", "/\x7f"])
def test_no_request_is_made_for_what_is_no_target(server: Server, target: str) -> None:
    origin = path_to(server.port)._origin
    assert read_plain(origin, ("127.0.0.1", server.port), {"name": target}, 1) == {}
    assert server.requests == []


def test_a_server_that_says_nothing_more_is_left_to_the_reader(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence_tests.paths.http_bulk.ANSWERING", 0.1)
    path = path_to(server.port)
    targets = {name: path._target(name) for name in NAMES}
    silent = targets[NAMES[7]]

    def script(request: Request) -> bool:
        if request.target != silent:
            request.peer.say(whole(200, b"content"))
        return True

    server.script = script
    seen = read_plain(path._origin, ("127.0.0.1", server.port), targets, 4)
    assert set(NAMES) - set(seen) == {NAMES[7]}


def test_nobody_there_is_nothing_seen() -> None:
    origin = path_to(1)._origin
    assert read_plain(origin, ("127.0.0.1", 1), {"name": "/name"}, 4) == {}


@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"a: b"]), max_size=12).map(b"".join))
def test_the_end_of_a_head_is_where_the_first_empty_line_ends(content: bytes) -> None:
    lines = content.split(b"\n")
    empty = [at for at, line in enumerate(lines[:-1]) if at and line in (b"", b"\r")]
    ends = [len(b"\n".join(lines[: at + 1])) + 1 for at in empty]
    assert _end_of_head(content) == (ends[0] if ends else None)
