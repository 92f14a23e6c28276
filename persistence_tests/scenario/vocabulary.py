"""The kinds of paths and events that a scenario can name, as the tables of this package have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from persistence_tests.model.operation import Acknowledgement

if TYPE_CHECKING:
    from persistence_tests.events.base import Event
    from persistence_tests.paths import PathKind


@dataclass(frozen=True, eq=False)
class Vocabulary:
    paths: Mapping[str, PathKind]
    events: Mapping[str, type[Event]]

    def is_http(self, path: str) -> bool:
        """Whether a path is a server's: then its configuration has the URL under which a name is read."""
        kind = self.paths.get(path)
        return kind is not None and "url" in kind.config.model_fields and not self.refers(path)

    def refers(self, path: str) -> bool:
        """Whether a path shows rows that refer to files, and no files."""
        kind = self.paths.get(path)
        return kind is not None and "references" in kind.config.model_fields

    def acknowledgements(self, path: str) -> tuple[Acknowledgement, ...]:
        """What a write through this path can be acknowledged by, the default first; none if it only reads."""
        if self.is_http(path):
            return (Acknowledgement.HTTP_2XX,)
        kind = self.paths.get(path)
        # A directory inside a container: what a program there has written, and may sync.
        if kind is not None and "root" in kind.config.model_fields:
            return (Acknowledgement.EXIT_0, Acknowledgement.FSYNC)
        return ()

    @staticmethod
    @lru_cache(maxsize=1)
    def installed() -> Vocabulary:
        from persistence_tests.events import EVENTS
        from persistence_tests.paths import PATHS

        return Vocabulary(PATHS, EVENTS)
