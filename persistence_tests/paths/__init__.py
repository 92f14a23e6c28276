"""The ways to reach the files of a stack. To add one: a module, and a line in PATHS."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from persistence_tests.paths.base import ReadingPath
    from persistence_tests.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class PathKind:
    """One kind of path. Its module is imported when its configuration or a path of it is asked for."""

    name: str
    summary: str
    module: str
    config_class: str
    path_class: str

    @property
    def config(self) -> type[BaseModel]:
        """The pydantic model of what a scenario says about such a path."""
        found: type[BaseModel] = getattr(import_module(self.module), self.config_class)
        return found

    def open(self, name: str, config: BaseModel, stack: Stack) -> ReadingPath:
        """The path called `name` in the scenario. Nothing of the stack is touched before it is used."""
        make: Any = getattr(import_module(self.module), self.path_class)
        path: ReadingPath = make(name, config, stack)
        return path


_HTTP = ("persistence_tests.paths.http", "HttpConfig", "HttpPath")

PATHS: dict[str, PathKind] = {
    kind.name: kind
    for kind in (
        PathKind(
            "volume", "the bytes in a volume or bind mount, also while the stack is down",
            "persistence_tests.paths.volume", "VolumeConfig", "VolumePath",
        ),
        PathKind(
            "direct", "a directory in a service's containers, as the service's own user",
            "persistence_tests.paths.direct", "DirectConfig", "DirectPath",
        ),
        PathKind("api", "HTTP, straight from the service that keeps the files", *_HTTP),
        PathKind("proxy", "HTTP, through what stands in front of it", *_HTTP),
        PathKind(
            "database", "rows that refer to files, and what they say of them",
            "persistence_tests.paths.database", "DatabaseConfig", "DatabasePath",
        ),
    )
}  # fmt: skip


def kind(name: str) -> PathKind:
    """The kind of path called `name`; UsageError where there is none."""
    try:
        return PATHS[name]
    except KeyError:
        raise UsageError(
            f"there is no kind of path called {name!r}", remedy=f"one of: {', '.join(PATHS)}"
        ) from None
