"""What unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.scripted_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """Answers as the test's script says."""
    made = Server()
    yield made
    made.close()
