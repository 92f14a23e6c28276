"""The bytes in a volume or a bind mount, read past every service, also while the stack is down."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from persistence_tests.errors import StackError
from persistence_tests.model.observation import Observation
from persistence_tests.model.records import PathDeclared
from persistence_tests.paths.base import View, inner_directory
from persistence_tests.paths.directory import read_directory
from persistence_tests.paths.replica import CannotList, list_by_archive, read_by_archive
from persistence_tests.paths.tree import Tree

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.stack import Stack

_WITHIN = 2.0
"""Seconds: an answer may come before its bytes, and that alone loses nothing."""
_WHERE_MOUNTED = "where a container has it mounted"
_BY_ARCHIVE = "archive API"


class VolumeConfig(BaseModel):
    """Where the bytes are kept: a volume of the Compose file, or a bind mount."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    volume: str | None = Field(
        default=None, description="The volume's key under `volumes:` in the Compose file."
    )
    bind: str | None = Field(
        default=None, description="The source of a bind mount, as the Compose file writes it."
    )
    under: str | None = Field(
        default=None, description="A directory inside it; names are relative to that one."
    )
    title: str | None = Field(default=None, description="What reports call this path.")

    @field_validator("under")
    @classmethod
    def _stays_inside(cls, under: str | None) -> str | None:
        return inner_directory(under)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.volume is None) == (self.bind is None):
            raise ValueError("needs either `volume` or `bind`")
        return self


class VolumePath:
    """Reads what a running container has mounted where that can be had, else an archive that the engine makes of it."""

    def __init__(self, name: str, config: VolumeConfig, stack: Stack) -> None:
        self._stack = stack
        self._config = config
        where = {"volume": config.volume} if config.volume is not None else {"bind": config.bind or ""}
        self.declared = PathDeclared(
            name,
            kind="volume",
            stored=True,
            lists=True,
            while_down=True,
            root="/".join(filter(None, (*where.values(), config.under))),
            detail={key: value for key, value in {**where, "title": config.title}.items() if value},
        )
        self.within = _WITHIN

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        """All names in one go. A volume, bind or `under` that is not there holds no names."""
        method, files = _BY_ARCHIVE, {} if into is None else into
        try:
            source = self._source()
            if not self._is_there(source):
                return View(Tree(files).observations(names), f"{source} is not there")
            tree = self._tree_where_mounted(source, files)
            if tree is not None:
                method = _WHERE_MOUNTED
            else:
                with self._opened(source) as (container, place):
                    tree = list_by_archive(container, self._root_in(place), files)
        except CannotList as error:
            return View({}, method, problem=str(error))
        except StackError as error:
            return View({}, method, problem=error.what)
        return View(tree.observations(names), method, directories=tree.directories)

    def read(self, name: str, limit: int) -> bytes:
        try:
            source = self._source()
            if not self._is_there(source):
                return b""
            with self._opened(source) as (container, place):
                return read_by_archive(container, self._root_in(place), name, limit)
        except StackError:
            return b""

    def close(self) -> None:
        """Nothing is kept open between passes: a helper left behind would keep the volume in use."""

    def _tree_where_mounted(self, source: str | Path, files: MutableMapping[str, Observation]) -> Tree | None:
        """None where no running container shows it, or not all of it can be read: the archive has the last word."""
        from persistence_tests.stack.mounted import opened_directory

        if isinstance(source, Path):
            return None  # what a container has mounted may be another directory than the one that is there by now
        mounted = self._stack.mounted(source)
        if mounted is None:
            return None
        with opened_directory(mounted, source, self._config.under) as directory:
            try:
                return None if directory is None else read_directory(directory, files)
            except OSError:
                files.clear()
                return None

    def _source(self) -> str | Path:
        source: str | Path = (
            self._stack.bind_source(self._config.bind or "")
            if self._config.volume is None
            else self._stack.volume(self._config.volume)
        )
        return source

    def _is_there(self, source: str | Path) -> bool:
        from docker.errors import NotFound

        from persistence_tests.stack.engine import engine_answers

        if isinstance(source, Path):
            return self._stack.holds(source)
        with engine_answers(f"looking for the volume {source}"):
            try:
                self._stack.engine.client.api.inspect_volume(source)
            except NotFound:
                return False
        return True

    def _opened(self, source: str | Path) -> AbstractContextManager[tuple[Container, str]]:
        return self._stack.opened(source)

    def _root_in(self, place: str) -> str:
        return "/".join(filter(None, (place, self._config.under)))
