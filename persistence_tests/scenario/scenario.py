"""A scenario as it is run: what its file says, checked, with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from persistence_tests.model.finding import KnownLoss
from persistence_tests.model.names import NameTrait
from persistence_tests.model.operation import Acknowledgement, Also, OperationKind, PayloadKind, PromiseClass
from persistence_tests.model.records import Claim, StepPlanned
from persistence_tests.paths.frames import Overwriting
from persistence_tests.stack.spec import StackSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

    from persistence_tests.events.base import Event
    from persistence_tests.paths.request import RequestTemplate
    from persistence_tests.paths.uploading import Uploading
    from persistence_tests.scenario.document import Document


@dataclass(frozen=True, slots=True)
class Ready:
    """`path` is the name of an HTTP path, `url` is relative to its server; both are None where only the
    stack's own health checks count. `within` in seconds."""

    path: str | None
    url: str | None
    within: float


@dataclass(frozen=True, slots=True)
class WriteRule:
    """Files written in each step, before its event; `index` is the rule's place in the file, from 0.

    `files` is the number of new files a step; `into` (relative to the root of the paths, "" is that root),
    `kinds` and `sizes` (bytes) are taken in turn. `requests` has one for each of the `operations`, and none
    for a path that is not HTTP. Of `cut` files a step the connection is cut, of `left_out` files a part is not
    sent. `traits` are what hostile names may have. `rows`: what it writes has a row that refers to it, and the scenario
    a path that shows it.
    """

    index: int
    through: str
    into: tuple[str, ...]
    files: int
    kinds: tuple[PayloadKind, ...]
    sizes: tuple[int, ...]
    names: Literal["plain", "hostile"]
    traits: tuple[NameTrait, ...]
    title: str
    operations: tuple[OperationKind, ...]
    also: tuple[Also, ...]
    overwriting: Overwriting
    requests: Mapping[OperationKind, RequestTemplate]
    writers: int
    uploading: Uploading
    as_stored: bool
    cut: int
    left_out: int
    acknowledgement: Acknowledgement
    atomic: bool
    rows: bool = False

    @property
    def served(self) -> bool:
        return bool(self.requests) or self.uploading.parts is not None


@dataclass(frozen=True, slots=True)
class Promise:
    """`acknowledged` and `atomic` hold every path that is written through."""

    acknowledged: dict[str, Acknowledgement]
    atomic: dict[str, bool]
    classes: tuple[PromiseClass, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """`mode` is that of `directories`, four octal digits; `ignore` are patterns of names."""

    directories: tuple[str, ...]
    mode: str | None
    ignore: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One step to come; `step` is the event's name, from its second use on with "-2", "-3".

    `entry` is its place in the file's list, where one entry may stand for several steps.
    """

    step: str
    event: Event
    planned: StepPlanned
    entry: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file.

    `up` is the step that comes before all others: bringing the stack up from nothing. `steps` are the
    listed events. `paths` maps a path's name to its kind and its configuration. `source` is the file as it
    was given, `sha256` the digest of its bytes.
    """

    name: str
    source: Path
    sha256: str
    stack: StackSpec
    ready: Ready | None
    paths: dict[str, tuple[str, BaseModel]]
    rules: tuple[WriteRule, ...]
    promise: Promise
    expect: Expectation
    up: StepPlanned
    steps: tuple[PlannedEvent, ...]
    claims: tuple[Claim, ...]
    known: tuple[KnownLoss, ...]
    document: Document = field(repr=False, compare=False)
