"""What tests on a real engine share: the engine, and a tiny stack built from the helper image."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from persistence_tests.errors import PersistenceError
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack

TINY = """
services:
  app:
    build: .
    init: true
    restart: always
    volumes: [data:/data, ./files:/files, /cache]
  idle:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    init: true
volumes:
  data: {}
"""
DOCKERFILE = 'FROM debian:bookworm-slim\nVOLUME /declared\nCMD ["sleep", "infinity"]\n'

MakeStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    try:
        connected = Engine.connect()
    except PersistenceError as error:
        pytest.skip(str(error))
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def make_stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeStack]:
    """Makes stacks from the text of a Compose file, which are closed in the end whatever happens."""
    made: list[Stack] = []

    def make(
        compose: str, *, dockerfile: str = DOCKERFILE, directory: Path | None = None, **spec: object
    ) -> Stack:
        home = directory or tmp_path_factory.mktemp("project")
        for name, text in (("Dockerfile", dockerfile), ("compose.yaml", compose)):
            if not (home / name).exists():
                (home / name).write_text(text)
        stack = Stack.prepare(
            StackSpec((home / "compose.yaml",), **spec),  # type: ignore[arg-type]
            engine,
            run=f"t{secrets.token_hex(3)}",
            scenario="engine-test",
        )
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.close()


@pytest.fixture(scope="module")
def tiny_stack(make_stack: MakeStack) -> Stack:
    """Up and running: `app`, built, with a named and an anonymous volume and a bind; `idle`, from an image."""
    stack = make_stack(TINY)
    stack.start()
    return stack
