"""`build --no-cache`, then `up -d`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence_tests.events.base import During
from persistence_tests.events.configuration import building
from persistence_tests.events.new_images import BUILD_SECONDS, NewImages

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class Rebuild(NewImages):
    name = "rebuild"
    summary = "`docker compose build --no-cache`, then `up -d`"

    def prepare(self, stack: Stack) -> None:
        self._builds(stack, building(stack.config))

    def apply(self, stack: Stack, during: During) -> None:
        stack.compose.run("build", "--no-cache", timeout=BUILD_SECONDS)
        stack.up()
