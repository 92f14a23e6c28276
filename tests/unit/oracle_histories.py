"""Histories as a run would write them, over a simulated store of short symbolic contents.

A content is a tuple of tiles of 64 bytes. A tile is (operation, place in its payload), zeros or junk, so that
who wrote what is known by construction: spans need no attribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any

from persistence_tests.model.finding import ScenarioJudgement, StepJudgement
from persistence_tests.model.observation import ABSENT, NodeKind, Observation, Span, SpanSource
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
    PromiseClass,
)
from persistence_tests.model.oracle import judge
from persistence_tests.model.payload import Payload
from persistence_tests.model.records import (
    AbsenceProbed,
    BaselineListed,
    Checkpointed,
    Completed,
    ControlCheck,
    ControlsChecked,
    DataFate,
    Duty,
    Entry,
    EventBegan,
    EventEnded,
    Evidence,
    FoundElsewhere,
    Invoked,
    PathDeclared,
    PathObserved,
    Phase,
    Record,
    RuleDeclared,
    RunEnded,
    ScenarioBegan,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
    StepPlanned,
)

RUN = "run-1"
TILE = 64
Tile = tuple[int, int]
Content = tuple[Tile, ...]
ZEROS: Tile = (0, -1)
JUNK: Tile = (-1, -1)

VOLUME = PathDeclared("volume", "volume", stored=True, lists=True, while_down=True, root="/")
DIRECT = PathDeclared("direct", "direct", stored=True, lists=True, while_down=False, root="/data")
API = PathDeclared("api", "http", stored=False, lists=False, while_down=False, root="/media-files")
PROXY = PathDeclared("proxy", "http", stored=False, lists=False, while_down=False, root="/media-files")
DATABASE = PathDeclared(
    "database", "database", stored=False, lists=False, while_down=False, root="picture.file", refers=True
)
FOUR = (VOLUME, DIRECT, API, PROXY)
INDEX_PAGE = Observation(NodeKind.FILE, 17, sha256(b"<html>index</html>").hexdigest(), status=200)


@lru_cache(maxsize=100_000)
def payload(identity: int, tiles: int) -> PayloadSpec:
    return Payload.make(RUN, identity, PayloadKind.BYTES, tiles * TILE).spec


@lru_cache(maxsize=100_000)
def tile_bytes(tile: Tile, tiles: int) -> bytes:
    identity, place = tile
    if identity == 0:
        return bytes(TILE)
    if identity < 0:
        return b"junk" * (TILE // 4)
    return Payload.make(RUN, identity, PayloadKind.BYTES, tiles * TILE).slice(place * TILE, TILE)


@dataclass
class Play:
    """Writes the records of one scenario; `disk` is what the one store behind all paths holds, `table` its rows."""

    paths: tuple[PathDeclared, ...] = FOUR
    promised: tuple[PromiseClass, ...] = tuple(PromiseClass)
    directories: tuple[str, ...] = ("admin",)
    ignore: tuple[str, ...] = ("**/*.ignored",)
    steps: tuple[tuple[str, str], ...] = (("up", "up"), ("restart", "restart"))
    baseline: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)
    disk: dict[str, Content] = field(default_factory=dict)
    table: dict[str, Observation] = field(default_factory=dict)
    strange_rows: tuple[str, ...] = ()
    lengths: dict[int, int] = field(default_factory=dict)
    identity: int = 0
    step: str = ""

    def add(self, *records: Record) -> None:
        self.records.extend(records)

    def begin(self, ready: bool = True) -> None:
        planned = tuple(StepPlanned(step, event, event) for step, event in self.steps)
        rows = any(path.refers for path in self.paths)
        rules = (RuleDeclared(0, "api", Acknowledgement.HTTP_2XX, "POST /media", rows=rows),)
        self.add(
            ScenarioBegan(
                name="s",
                source="s.yaml",
                sha256="",
                paths=self.paths,
                rules=rules,
                promised=self.promised,
                directories=self.directories,
                directory_mode="0755",
                ignore=self.ignore,
                steps=planned,
            )
        )
        self.epoch(1, ready)

    def epoch(self, number: int, ready: bool = True) -> None:
        self.add(StackReady(number, ready, 1.0, None if ready else "no answer on /health"))
        self.disk, self.table = {}, {}
        if ready:
            served = [path for path in self.paths if not (path.stored or path.refers)]
            self.add(*(AbsenceProbed(p.name, p.name not in self.blind, "") for p in served))
            listing = [path for path in self.paths if path.lists]
            self.add(*(BaselineListed(p.name, self.baseline, self.directories) for p in listing))
            self.add(*(BaselineListed(p.name, self.strange_rows, ()) for p in self.paths if p.refers))

    def begin_step(
        self,
        step: str,
        promise: PromiseClass = PromiseClass.PROCESS_CRASH,
        fate: DataFate = DataFate.KEPT,
        **options: Any,
    ) -> None:
        self.step = step
        self.add(StepBegan(step, step, step, promise, fate, options))

    def operation(
        self,
        kind: OperationKind,
        name: str,
        tiles: int = 1,
        target: str | None = None,
        atomic: bool = True,
        acknowledgement: Acknowledgement = Acknowledgement.HTTP_2XX,
    ) -> Operation:
        self.identity += 1
        content = kind in (OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND)
        spec = payload(self.identity, tiles) if content else None
        self.lengths[self.identity] = tiles
        return Operation(self.identity, kind, name, "api", 0, acknowledgement, atomic, spec, target)

    def invoke(self, operation: Operation, outcome: Outcome | None) -> None:
        self.add(Invoked(operation))
        if outcome is not None:
            self.add(Completed(operation.identity, outcome))

    def tiles(self, identity: int) -> Content:
        return tuple((identity, place) for place in range(self.lengths[identity]))

    def write(
        self, name: str, tiles: int = 1, outcome: Outcome | None = Outcome.OK, **details: Any
    ) -> Operation:
        """Create or overwrite a name and let it come to pass."""
        kind = OperationKind.OVERWRITE if name in self.disk else OperationKind.CREATE
        operation = self.operation(kind, name, tiles, **details)
        self.invoke(operation, outcome)
        self.disk[name] = self.tiles(operation.identity)
        self.table[name] = self.row(self.disk[name])
        return operation

    def append(self, name: str, tiles: int = 1, outcome: Outcome = Outcome.OK, **details: Any) -> Operation:
        operation = self.operation(OperationKind.APPEND, name, tiles, **details)
        self.invoke(operation, outcome)
        self.disk[name] += self.tiles(operation.identity)
        return operation

    def delete(self, name: str, outcome: Outcome = Outcome.OK) -> None:
        self.invoke(self.operation(OperationKind.DELETE, name), outcome)
        self.disk.pop(name)
        self.table.pop(name, None)

    def rename(self, name: str, target: str, outcome: Outcome = Outcome.OK, **details: Any) -> None:
        self.invoke(self.operation(OperationKind.RENAME, name, target=target, **details), outcome)
        self.disk[target] = self.disk.pop(name)

    def event(self, landed: bool = True, ready: bool = True, checkpoint: bool = False) -> None:
        self.add_event_began()
        if checkpoint:
            self.add(Checkpointed(self.step))
        self.end_event(landed, ready)

    def add_event_began(self, cuts: bool = False) -> None:
        self.add(EventBegan(self.step, cuts))

    def end_event(self, landed: bool = True, ready: bool = True) -> None:
        problems = () if landed else ("no container was restarted",)
        checks = tuple(ControlCheck(f"{duty} store", duty, True, "") for duty in Duty)
        self.add(
            EventEnded(self.step, landed, 0.5, (Evidence("stream", "die, start"),), problems),
            StackReadyAgain(self.step, ready, 0.7, None if ready else "exit 1"),
            ControlsChecked(self.step, tuple(Duty), checks),
        )

    def content(self, content: Content | None, stored: bool = True) -> Observation:
        if content is None:
            return ABSENT
        return _observation(content, tuple(self.lengths.get(tile[0], 1) for tile in content), stored)

    def row(self, content: Content, beside: str | None = None) -> Observation:
        """A row that says size and digest of a file with this content."""
        file = self.content(content)
        return Observation(NodeKind.ROW, file.size, file.sha256, row="picture.file", beside=beside)

    def touched(self, name: str) -> bool:
        """Whether an operation was made on it that did not surely fail."""
        failed = {r.operation for r in self.records if isinstance(r, Completed) and r.outcome is Outcome.FAIL}
        made = [record.operation for record in self.records if isinstance(record, Invoked)]
        return any(operation.name == name and operation.identity not in failed for operation in made)

    def names(self) -> list[str]:
        operations = [record.operation for record in self.records if isinstance(record, Invoked)]
        return sorted({o.name for o in operations} | {o.target for o in operations if o.target})

    def look(self, path: PathDeclared, changed: Mapping[str, Observation] | None = None) -> PathObserved:
        phase = Phase.AFTER if self._event_is_over() else Phase.BEFORE
        if path.refers:
            rows = {**dict.fromkeys(self.names(), ABSENT), **self.table, **(changed or {})}
            return PathObserved(self.step, phase, path.name, "SQL", rows)
        names = {*self.names(), *self.disk}
        seen = {name: self.content(self.disk.get(name), path.stored) for name in sorted(names)}
        directory = Observation(NodeKind.DIRECTORY, mode="0755", owner="1000:1000")
        directories = dict.fromkeys(self.directories, directory) if path.lists else {}
        changed = dict(changed or {})
        for name in self.directories:
            if f"{name}/" in changed:
                directories[name] = changed.pop(f"{name}/")
        return PathObserved(self.step, phase, path.name, "", seen | changed, directories)

    def observe(self, changed: Mapping[str, Mapping[str, Observation]] | None = None) -> None:
        """A pass over every path; `changed` says, by path and name, what it shows other than the disk."""
        self.add(*(self.look(path, (changed or {}).get(path.name)) for path in self.paths))

    def _event_is_over(self) -> bool:
        began = max(i for i, r in enumerate(self.records) if isinstance(r, StepBegan))
        return any(isinstance(r, EventEnded) for r in self.records[began:])

    def end_step(self) -> None:
        self.add(StepEnded(self.step, 1.0))

    def elsewhere(self, name: str, volume: str) -> None:
        self.add(FoundElsewhere(self.step, name, volume))

    def entries(self, complete: bool = True) -> list[Entry]:
        own = [Entry(float(i), "s", record) for i, record in enumerate(self.records)]
        return [*own, Entry(float(len(own)), None, RunEnded(complete))]

    def judged(self, complete: bool = True) -> ScenarioJudgement:
        (judgement,) = judge(self.entries(complete))
        return judgement

    def judgement(self, step: str = "restart", complete: bool = True) -> StepJudgement:
        return next(judged for judged in self.judged(complete).steps if judged.step == step)

    def opened(self, names: Iterable[str] = ("admin/first",)) -> Play:
        """The stack is up, and a write was seen on every path."""
        self.begin()
        self.begin_step("up")
        for name in names:
            self.write(name, 2)
        self.observe()
        self.end_step()
        return self


@lru_cache(maxsize=10_000)
def _observation(content: Content, lengths: tuple[int, ...], stored: bool) -> Observation:
    whole = b"".join(tile_bytes(tile, length) for tile, length in zip(content, lengths, strict=True))
    digest = sha256(whole).hexdigest()
    if stored:
        return Observation(NodeKind.FILE, len(whole), digest, "0644", "1000:1000", spans=spans(content))
    return Observation(NodeKind.FILE, len(whole), digest, status=200, spans=spans(content))


def spans(content: Sequence[Tile]) -> tuple[Span, ...]:
    runs: list[Span] = []
    for place, (identity, tile) in enumerate(content):
        last = runs[-1] if runs else None
        if identity > 0:
            span = Span(place * TILE, TILE, SpanSource.OPERATION, identity, tile * TILE)
            adjoins = last is not None and last.operation == identity and last.origin is not None
            joined = adjoins and last is not None and (last.origin or 0) + last.length == tile * TILE
        else:
            span = Span(place * TILE, TILE, SpanSource.ZEROS if identity == 0 else SpanSource.UNKNOWN)
            joined = last is not None and last.source is span.source
        if joined and last is not None:
            runs[-1] = replace(last, length=last.length + TILE)
        else:
            runs.append(span)
    return tuple(runs)
