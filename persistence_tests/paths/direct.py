"""A directory in a service's containers, as the service's own user sees it and writes to it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from persistence_tests.duration import Duration
from persistence_tests.errors import StackError
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.records import PathDeclared
from persistence_tests.paths.base import LiveReader, View, WritingPath, inner_directory
from persistence_tests.paths.frames import Overwriting
from persistence_tests.paths.listing import ToolsMissing
from persistence_tests.paths.replica import (
    CannotList,
    attributes_by_exec,
    list_by_archive,
    list_by_exec,
    read_by_archive,
    read_by_exec,
)
from persistence_tests.paths.tree import Tree

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.stack import Stack

_BY_ARCHIVE = "archive API: cannot see tmpfs, knows no user"


class DirectConfig(BaseModel):
    """A directory inside the containers of a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service in whose containers the files are read and written.")
    root: str = Field(description="The directory, an absolute path in the container.")
    under: str | None = Field(
        default=None,
        description="A directory inside it, made where it is missing; names are relative to that one.",
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="Who reads and writes there, as `docker exec --user` takes it; by default the container's "
        "user. Name it where the service gives up root when it starts.",
        examples=["postgres", "www-data"],
    )
    within: Duration = Field(
        default=5.0,
        description="How long a read that is not yet right is tried again.",
        validate_default=True,
    )
    atomic: bool = Field(
        default=False,
        description="Whether a write shows either the old state or the new one, nothing between.",
    )
    title: str | None = Field(default=None, description="What reports call this path.")

    @field_validator("root")
    @classmethod
    def _absolute(cls, root: str) -> str:
        if not root.startswith("/"):
            raise ValueError("must be an absolute path in the container")
        return root.rstrip("/") or "/"

    @field_validator("under")
    @classmethod
    def _stays_inside(cls, under: str | None) -> str | None:
        return inner_directory(under)


class DirectPath:
    """Reads by one program run in every running replica, writes by others in the first."""

    def __init__(self, name: str, config: DirectConfig, stack: Stack) -> None:
        self._stack = stack
        self._config = config
        self._root = posixpath.join(config.root, config.under) if config.under else config.root
        self._user = config.user or ""
        detail = {"service": config.service, "title": config.title}
        self.declared = PathDeclared(
            name,
            kind="direct",
            stored=True,
            lists=True,
            while_down=False,
            root=self._root,
            detail={key: value for key, value in detail.items() if value},
        )
        self.within = config.within
        self.atomic = config.atomic
        self.shows_attributes = False
        """Whether extended attributes are looked at, where the container has `getfattr`: a program run more."""

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        """All names in one program run in each replica; where replicas differ on one, it is an ERROR."""
        try:
            containers = self.replicas()
            if not containers:
                return View({}, "exec", problem=f"the service {self._config.service} has no container")
            listed = [self._list(container) for container in containers]
        except CannotList as error:
            return View({}, "exec", problem=str(error))
        except StackError as error:
            return View({}, "exec", problem=error.what)
        trees, methods = [tree for tree, _ in listed], list(dict.fromkeys(method for _, method in listed))
        asked = list({*names, *(name for tree in trees for name in tree.files)})
        labels = [str(container.name) for container in containers]
        directories = list({name for tree in trees for name in tree.directories})
        seen = {} if into is None else into
        seen.update(_agreed(labels, [tree.observations(asked) for tree in trees]))
        return View(
            seen,
            "; ".join(methods),
            directories=_agreed(
                labels, [{name: tree.directories.get(name, ABSENT) for name in directories} for tree in trees]
            ),
        )

    def read(self, name: str, limit: int) -> bytes:
        try:
            for container in self.replicas()[:1]:
                content = read_by_exec(container, self._root, name, limit, self._user)
                if content is None:
                    content = read_by_archive(container, self._root, name, limit)
                return content
        except StackError:
            pass
        return b""

    def live_reader(self, received: Callable[[int], None]) -> LiveReader:
        """A reader that goes on while an event is applied; `received` is told of the bytes that come."""
        from persistence_tests.paths.live import LiveExecReader

        return LiveExecReader(self.running, self._root, self._user, received)

    def writer(self, overwriting: Overwriting = Overwriting.TRUNCATE, writers: int = 1) -> WritingPath:
        from persistence_tests.paths.shell_writer import DirectWriter, Place

        config = self._config
        place = Place(self.replicas, config.root, config.under or "", self._user)
        return DirectWriter(place, overwriting, writers)

    def close(self) -> None:
        """Nothing is kept open between passes."""

    def replicas(self) -> list[Container]:
        """The running containers of the service, by number; all of them where none runs."""
        return self.running() or self._stack.containers(self._config.service)

    def running(self) -> list[Container]:
        """The running containers of the service, by number."""
        containers: list[Any] = self._stack.containers(self._config.service)
        return [container for container in containers if container.status == "running"]

    def _list(self, container: Container) -> tuple[Tree, str]:
        if container.status == "running":
            try:
                own = ((container.attrs or {}).get("Config") or {}).get("User") or "root"
                tree = list_by_exec(container, self._root, self._user)
                if self.shows_attributes:
                    self._add_attributes(container, tree)
                return tree, f"exec as {self._user or own}"
            except ToolsMissing as error:
                return list_by_archive(container, self._root), f"{_BY_ARCHIVE} ({error})"
        reason = f"{container.name} is {container.status}"
        return list_by_archive(container, self._root), f"{_BY_ARCHIVE} ({reason})"

    def _add_attributes(self, container: Container, tree: Tree) -> None:
        found = attributes_by_exec(container, self._root, self._user)
        if found is not None:
            for name, seen in tree.files.items():
                if seen.kind is NodeKind.FILE:
                    tree.files[name] = replace(seen, xattrs=found.get(name, ()))


def _agreed(labels: Sequence[str], seen: Sequence[Mapping[str, Observation]]) -> dict[str, Observation]:
    """What all replicas show, by name; where one shows something else than the first, both in words."""
    first = dict(seen[0])
    for label, others in zip(labels[1:], seen[1:], strict=True):
        for name, other in others.items():
            if other != seen[0][name] and first[name].kind is not NodeKind.ERROR:
                first[name] = Observation(
                    NodeKind.ERROR,
                    error=f"replicas disagree: {labels[0]} {_words(seen[0][name])}, {label} {_words(other)}",
                )
    return first


def _words(seen: Observation) -> str:
    size = None if seen.size is None else f"{seen.size} bytes"
    digest = seen.sha256 and f"sha256 {seen.sha256[:12]}"
    facts = (seen.kind.value, size, digest, seen.mode, seen.owner, seen.error)
    return " ".join(fact for fact in facts if fact)
