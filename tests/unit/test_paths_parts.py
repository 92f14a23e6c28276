"""Uploads that are cut short, and those in parts; against servers in this process."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.operation import (
    PayloadKind,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths.answer import Taking
from persistence_tests.paths.uploading import Parts
from tests.unit.scripted_server import Request, Server
from tests.unit.uploads import pending, send, stored_as

# Cut connections


class Keeping:
    """Keeps what comes: an atomic one only what is whole."""

    def __init__(self, atomic: bool) -> None:
        self.atomic = atomic
        self.files: dict[str, bytes] = {}

    def __call__(self, request: Request) -> bool:
        name, wanted, content = unquote(request.target), int(request.headers["content-length"]), b""
        while len(content) < wanted:
            try:
                content += request.peer.exactly(1)
            except EOFError:
                break
        if len(content) == wanted or not self.atomic:
            self.files[name] = content
        request.peer.answer(201 if len(content) == wanted else 400)
        return True


@settings(max_examples=25, deadline=None)
@given(size=st.integers(2, 20_000), data=st.data())
def test_exactly_so_many_bytes_are_sent(size: int, data: st.DataObject) -> None:
    after = data.draw(st.integers(1, size - 1))
    server = Server()
    try:
        server.script = keeping = Keeping(atomic=False)
        journal = send(server, pending(1, size, cut_after=after), pending(2, 50))
    finally:
        server.close()
    assert journal.ended[1] == ("info", f"the connection was cut after {after} of {size} bytes", None)
    assert journal.ended[2][0] == "ok"
    assert keeping.files["/files/uploads/f 1"] == Payload.make("run", 1, PayloadKind.BYTES, size).slice(
        0, after
    )


def test_what_is_left_of_a_cut_upload_is_there_when_the_writer_goes_on(server: Server) -> None:
    server.script = keeping = Keeping(atomic=True)
    journal = send(server, pending(1, 5000, cut_after=4999))
    assert journal.ended[1][0] == "info"
    assert keeping.files == {}


def test_a_form_is_cut_in_its_file(server: Server) -> None:
    bodies: list[bytes] = []

    def script(request: Request) -> bool:
        content = b""
        try:
            while True:
                content += request.peer.exactly(1)
        except EOFError:
            bodies.append(content)
        return False

    server.script = script
    send(server, pending(1, 500, cut_after=123), request="POST /", multipart="file")
    assert bodies[0].partition(b"\r\n\r\n")[2] == Payload.make("run", 1, PayloadKind.BYTES, 500).slice(0, 123)


# Parts


class Assembling:
    """Takes parts in any order, and has the file once it is told that it is whole, or all bytes are there.

    `forgets` is the number of the part that it drops, of each file.
    """

    def __init__(self, forgets: int | None = None) -> None:
        self.parts: dict[str, dict[int, bytes]] = {}
        self.files: dict[str, bytes] = {}
        self.offsets: list[int] = []
        self.forgets = forgets
        self.broken_at: int | None = None

    def __call__(self, request: Request) -> bool:
        body, url = request.body(), urlsplit(request.target)
        name = unquote(url.path)
        if request.method == "POST" and url.path == "/start":
            upload = f"/up/{len(self.parts) + 1}"
            self.parts[upload] = {}
            request.peer.answer(201, Location=f"http://media.example{upload}?key=k")
        elif request.method == "PATCH":
            offset = int(request.headers["upload-offset"])
            self.offsets.append(offset)
            if self.broken_at == len(self.offsets):
                request.peer.answer(500)
                return True
            if self.forgets != len(self.parts.setdefault(name, {})):
                self.parts[name][offset] = body
            else:
                self.parts[name][offset] = bytes(len(body))
            request.peer.answer(204)
        else:
            got = self.parts[name]
            whole = b"".join(got[offset] for offset in sorted(got))
            right = len(whole) == int(parse_qs(url.query)["size"][0])
            if right:
                self.files[name] = whole
            request.peer.answer(201 if right else 409)
        return True


PARTS: dict[str, Any] = {
    "size": 1000,
    "request": "PATCH /files/{name}",
    "headers": {"Upload-Offset": "{offset}"},
    "finish": "POST /files/{name}?size={size}",
}


@settings(max_examples=20, deadline=None)
@given(
    size=st.integers(0, 6000), part=st.integers(500, 7000), chance=st.integers(0, 99), shuffled=st.booleans()
)
def test_parts_make_the_whole(size: int, part: int, chance: int, shuffled: bool) -> None:
    server = Server()
    try:
        server.script = assembling = Assembling()
        parts = Parts(**{**PARTS, "size": part, "shuffled": shuffled})
        journal = send(server, pending(1, size, chance=chance), parts=parts)
    finally:
        server.close()
    assert journal.ended == {1: ("ok", "", None)}
    assert assembling.files == {"/files/uploads/f 1": Payload.make("run", 1, PayloadKind.BYTES, size).bytes()}
    count = max(1, -(-size // part))
    assert sorted(assembling.offsets) == [number * part for number in range(count)]
    assert shuffled or assembling.offsets == sorted(assembling.offsets)


def test_a_shuffled_order_is_decided_by_chance_alone(server: Server) -> None:
    orders = []
    for chance in (1, 1, 2):
        server.script = assembling = Assembling()
        send(server, pending(1, 10_000, chance=chance), parts=Parts(**PARTS, shuffled=True))
        orders.append(tuple(assembling.offsets))
    assert orders[0] == orders[1] != orders[2]


def test_an_upload_that_begins_with_a_request_of_its_own(server: Server) -> None:
    server.script = assembling = Assembling()
    parts = Parts(
        size=400,
        request="PATCH {upload}",
        headers={"Upload-Offset": "{offset}"},
        start="POST /start",
        take={"upload": Taking(header="Location")},
    )
    journal = send(server, pending(1, 1000), parts=parts)
    assert journal.ended == {1: ("ok", "", None)}
    assert [target for _, target in server.requests] == ["/start", *["/up/1?key=k"] * 3]
    assert assembling.offsets == [0, 400, 800]


def test_a_part_left_out_is_never_acknowledged_whatever_is_answered(server: Server) -> None:
    server.script = assembling = Assembling()
    journal = send(server, pending(1, 5000, left_out=True, chance=3), parts=Parts(**PARTS))
    assert journal.ended[1][0] == "info"
    assert "a part was left out" in journal.ended[1][1]
    assert len(assembling.offsets) == 4
    assert server.requests[-1][0] == "POST", "the server was told that this is all"

    def agreeable(request: Request) -> bool:
        request.body()
        request.peer.answer(201)
        return True

    server.script = agreeable
    assert send(server, pending(1, 5000, left_out=True), parts=Parts(**PARTS)).ended[1][0] == "info"


def test_a_cut_ends_an_upload_in_the_part_where_it_is(server: Server) -> None:
    server.script = assembling = Assembling()
    journal = send(server, pending(1, 5000, cut_after=2500), parts=Parts(**PARTS))
    assert journal.ended[1] == ("info", "the connection was cut after 500 of 1000 bytes", None)
    assert sorted(assembling.parts["/files/uploads/f 1"]) == [0, 1000]
    assert [method for method, _ in server.requests] == ["PATCH"] * 3


@pytest.mark.parametrize(("at", "outcome"), [(1, "info"), (3, "info")])
def test_an_upload_that_fails_on_the_way_is_unknown(server: Server, at: int, outcome: str) -> None:
    server.script = assembling = Assembling()
    assembling.broken_at = at
    journal = send(server, pending(1, 5000), parts=Parts(**PARTS))
    assert journal.ended[1][0] == outcome
    assert f"part {at} of 5 was answered 500" in journal.ended[1][1]
    assert len(server.requests) == at


@pytest.mark.parametrize(("refused_at", "outcome"), [(1, "fail"), (2, "info"), (6, "info")])
def test_only_the_first_request_refused_is_positive_knowledge(
    server: Server, refused_at: int, outcome: str
) -> None:
    def script(request: Request) -> bool:
        request.body()
        request.peer.answer(409 if len(server.requests) == refused_at else 204)
        return True

    server.script = script
    journal = send(server, pending(1, 5000), parts=Parts(**PARTS))
    assert journal.ended[1][0] == outcome


def test_the_name_may_be_in_the_first_answer(server: Server) -> None:
    server.script = Assembling()
    parts = Parts(
        size=400,
        request="PATCH {upload}",
        headers={"Upload-Offset": "{offset}"},
        start="POST /start",
        take={"upload": Taking(header="Location")},
    )
    journal = send(
        server,
        pending(1, 1000, provisional=True),
        parts=parts,
        stored_as=stored_as(header="Location", under="/up/"),
    )
    assert journal.ended == {1: ("ok", "kept as 1", "1")}
