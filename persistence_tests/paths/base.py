"""The protocol of a path: a way to reach the files.

A path observes all names in one pass. A path that can write has a writer as well. To add a path: one
module with a configuration (pydantic) and a class, and one line in `paths.PATHS`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from persistence_tests.model.observation import Observation
from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.records import PathDeclared


@dataclass(frozen=True, slots=True)
class View:
    """What one pass showed.

    `observations` holds every name asked for, and every other file where the path lists: in what the pass was told to
    put them into.
    `method` names how it was read ("archive", "exec sha256sum", "http") and by which user.
    `problem` is set where the pass as a whole could not be made; `observations` is then empty.
    """

    observations: MutableMapping[str, Observation]
    method: str
    directories: dict[str, Observation] = field(default_factory=dict)
    problem: str | None = None


class ReadingPath(Protocol):
    @property
    def declared(self) -> PathDeclared: ...

    @property
    def within(self) -> float:
        """Seconds for which a read that is not yet right is tried again."""
        ...

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        """Look at `names` on fresh connections, all in one pass; never raises for what the stack does.

        What is seen is put into `into`, by default a dictionary. Where there is a problem, that may be a part of it.
        """
        ...

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a name, for attribution; empty where it cannot be read."""
        ...

    def close(self) -> None: ...


def inner_directory(under: str | None) -> str | None:
    """`under` as a plain relative path, None for the root itself; ValueError where it leads out."""
    if under is None:
        return None
    parts = [part for part in under.split("/") if part not in ("", ".")]
    if under.startswith("/") or ".." in parts:
        raise ValueError("must be a relative path that stays inside")
    return "/".join(parts) or None


class LiveReader(Protocol):
    """Reads one name after the other while an event is applied, and is never in its way."""

    def read(self, name: str) -> Observation:
        """What one read shows; an ERROR for whatever the stack does meanwhile."""
        ...

    def surely_whole(self) -> bool:
        """Whether the file that was just read surely is all that this very stack answered."""
        ...

    def close(self) -> None: ...


class Content(Protocol):
    """A payload, as a writer needs it."""

    @property
    def size(self) -> int: ...

    def chunks(self) -> Iterator[bytes]: ...

    def slice(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PendingWrite:
    """An operation to be made; `content` is what it writes, None for delete, rename and mkdir.

    `cut_after`: the harness cuts the connection after so many bytes of the content. `left_out`: one part of those
    that it is sent in is not. `chance` decides what else is left to chance, as the order of parts.
    """

    operation: Operation
    content: Content | None
    cut_after: int | None = None
    left_out: bool = False
    chance: int = 0


class Journal(Protocol):
    """Where a writer says what it does. Thread-safe. `invoked` returns once the record is written."""

    def invoked(self, operation: Operation) -> None: ...

    def completed(
        self,
        operation: int,
        outcome: Outcome,
        detail: str = "",
        status: int | None = None,
        name: str | None = None,
    ) -> None: ...


class WritingPath(Protocol):
    """Within its context, what it has opened may stay open from one batch to the next."""

    def __enter__(self) -> WritingPath: ...

    def __exit__(self, *_: object) -> None: ...

    def write(self, batch: Iterable[PendingWrite], journal: Journal, stop: threading.Event) -> None:
        """Make the operations, in parallel where the path can; returns when all writers have ended.

        `batch` may make them as they are asked for, and never end.

        Every operation begun is completed in the journal, as `info` where its fate is not known. Once
        `stop` is set no further one is begun. Nothing is ever tried twice.
        """
        ...
