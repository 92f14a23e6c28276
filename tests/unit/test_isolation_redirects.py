"""A stack's server that redirects to a server of the user's: no request of the harness goes there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.scripted_server import Server, path_to, says
from tests.unit.test_paths_http_writes import pending, send

STATUSES = [301, 302, 303, 307, 308]


@pytest.fixture
def users() -> Iterator[Server]:
    canary = Server()
    canary.script = says(200, b"of the user")
    yield canary
    canary.close()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "user@127.0.0.1"])
def test_nothing_is_asked_of_anybody_else(status: int, host: str, server: Server, users: Server) -> None:
    server.script = says(status, Location=f"http://{host}:{users.port}/f")
    path = path_to(server.port)
    assert path.ask("/health") == f"/health: HTTP {status}"
    assert path.probe_absence("f")[0] is False
    many = [f"f{number}" for number in range(40)]
    assert {seen.status for seen in path.observe(many).observations.values()} == {status}
    assert path.read("f", 10) == b""
    assert ("ok", 1) not in send(server.port, pending(1, "d/f", b"content")).lines
    path.close()
    assert users.connections == 0
