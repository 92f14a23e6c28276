"""Follows the records of one scenario and keeps, for each step, all that its verdict rests on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field

from persistence_tests.model.closure import Absent, AsStored, Directory, Exactly, Link, States
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.operation import (
    Acknowledgement,
    Also,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PromiseClass,
)
from persistence_tests.model.oracle.facts import Facts, Wrong
from persistence_tests.model.oracle.known import Known
from persistence_tests.model.oracle.meanwhile import masked
from persistence_tests.model.oracle.passes import Batch, Judgement, judge_batch
from persistence_tests.model.records import (
    AbsenceProbed,
    Checkpointed,
    Completed,
    ControlsChecked,
    EventBegan,
    EventEnded,
    FoundElsewhere,
    Invoked,
    PathObserved,
    Phase,
    ReadMeanwhile,
    Record,
    ScenarioBegan,
    StackReady,
    StackReadyAgain,
    StepBegan,
    StepEnded,
    StepFaulted,
    StepSkipped,
)
from persistence_tests.model.sightings import NameSet

OPENING = "up"
"""The first step: bringing the stack up. Its verification is its BEFORE pass; it has no event."""


@dataclass(slots=True)
class Made:
    """Operations by identity, and the size of the largest payload by rule."""

    identities: array[int] = field(default_factory=lambda: array("q"))
    largest: dict[int, int] = field(default_factory=dict)

    def add(self, operation: Operation) -> None:
        self.identities.append(operation.identity)
        if operation.payload is not None:
            self.largest[operation.rule] = max(self.largest.get(operation.rule, 0), operation.payload.size)


@dataclass(slots=True)
class Account:
    """One step.

    `made` are its operations, but for those that were acknowledged and seen right on every path before the event: of
    these `shown` has rule and kind. `levels` are those of all that were acknowledged by then. `seen_right` holds, by
    acknowledged operation, the paths that showed its bytes before the event; `refused`, by rule, what was said last of
    an operation that was not acknowledged; `marks`, by rule, the paths that could show the modes and attributes of its
    files.
    """

    step: str
    began: StepBegan | None = None
    stack: StackReady | None = None
    event_began: bool = False
    checkpointed: bool = False
    read_meanwhile: bool = False
    event: EventEnded | None = None
    again: StackReadyAgain | None = None
    controls: ControlsChecked | None = None
    faults: list[str] = field(default_factory=list)
    skipped: StepSkipped | None = None
    ended: bool = False
    made: Made = field(default_factory=Made)
    shown: set[tuple[int, OperationKind]] = field(default_factory=set)
    levels: set[Acknowledgement] = field(default_factory=set)
    seen_right: dict[int, set[str]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    before: list[Judgement] = field(default_factory=list)
    after: list[Judgement] = field(default_factory=list)
    to_be_seen: NameSet | None = None
    marks: dict[tuple[int, Also], set[str]] = field(default_factory=dict)

    @property
    def opening(self) -> bool:
        return self.step == OPENING

    @property
    def looks(self) -> list[Judgement]:
        return self.before if self.opening else self.after


class Scenario:
    """What the records of one scenario come to; `day` is that of the run, None where nobody knows it."""

    def __init__(self, began: ScenarioBegan, day: str | None = None) -> None:
        self.began = began
        self.known = Known(began.known, day)
        self.ledger = Ledger()
        self.facts = Facts(began)
        self.accounts: dict[str, Account] = {}
        self.before_events: list[Wrong] = []
        self.stack: StackReady | None = None
        self._current: Account | None = None
        self._batch: Batch | None = None
        self._epoch = Made()

    def follow(self, record: Record) -> None:
        if isinstance(record, PathObserved | FoundElsewhere):
            self._observe(record)
        else:
            self.flush()
            self._note(record)
        self.ledger.record(record)

    def account(self, step: str) -> Account:
        return self.accounts.setdefault(step, Account(step))

    def _note(self, record: Record) -> None:
        match record:
            case StackReady():
                self.stack = record
                self.facts.forget()
                self._epoch = Made()
                self._current = None
            case AbsenceProbed():
                self.facts.shows_absence[record.path] = record.shows_absence
            case StepBegan():
                self._current = self.account(record.step)
                self._current.began = record
                self._current.stack = self.stack
                self.facts.fate = record.fate
                self.facts.power_was_lost |= record.promise is PromiseClass.POWER_LOSS
                if self._current.opening:
                    self._current.made = deepcopy(self._epoch)
            case Invoked():
                self._epoch.add(record.operation)
                if self._current is not None and not self._current.event_began:
                    self._current.made.add(record.operation)
            case Completed() if record.outcome is not Outcome.OK and self._current is not None:
                rule = self.ledger.operations[record.operation].rule
                self._current.refused[rule] = f"{record.status or ''} {record.detail}".strip()
            case EventBegan():
                self.account(record.step).event_began = True
            case ReadMeanwhile() if self._current is not None and self._current.began is not None:
                promise = self._current.began.promise
                wrong = list(masked(record, promise, self.ledger, self.facts))
                self._current.after.append(Judgement(Phase.AFTER, wrong=wrong))
                self._current.read_meanwhile = True
            case Checkpointed():
                self.account(record.step).checkpointed = True
            case EventEnded():
                self.account(record.step).event = record
            case StackReadyAgain():
                self.account(record.step).again = record
            case ControlsChecked():
                self.account(record.step).controls = record
            case StepSkipped():
                self.account(record.step).skipped = record
            case StepFaulted():
                self.account(record.step).faults.append(record.what)
            case StepEnded():
                account = self.account(record.step)
                account.ended = True
                account.to_be_seen = self.ledger.name_set()
                for directory in self.facts.directories:
                    account.to_be_seen.discard(directory)
            case _:
                pass

    def _observe(self, record: PathObserved | FoundElsewhere) -> None:
        if isinstance(record, PathObserved):
            if self._batch is not None and self._batch.phase is not record.phase:
                self.flush()
            if self._batch is None:
                self._batch = Batch(record.phase, self.ledger)
        if self._batch is not None:
            self._batch.add(record)

    def flush(self) -> None:
        """Judge what has been observed since the last other record."""
        batch, account, self._batch = self._batch, self._current, None
        if batch is None or account is None:
            return
        down = batch.phase is Phase.AFTER and account.again is not None and not account.again.ready
        judgement = judge_batch(batch, self.ledger, self.facts, down)
        if batch.phase is Phase.AFTER:
            account.after.append(judgement)
            return
        account.before.append(judgement)
        self.before_events += judgement.wrong
        self._credit(account, judgement, batch)
        for vantage in self.facts.vantages:
            if vantage.stored and vantage.path in batch.files:
                path = vantage.path
                self.facts.remember(path, batch.directories[path], batch.files[path], self.ledger)

    def _credit(self, account: Account, judgement: Judgement, batch: Batch) -> None:
        """Note which acknowledged operations of this step were seen, and where; let go what was seen everywhere."""
        declared = {path.name for path in self.began.paths}
        without_rows = declared - {path.name for path in self.began.paths if path.refers}
        rows = {rule.index for rule in self.began.rules if rule.rows}
        left = array("q")
        for identity in account.made.identities:
            if (operation := self.ledger.acknowledged(identity)) is None:
                left.append(identity)
                continue
            account.levels.add(operation.acknowledgement)
            name = operation.target or operation.name
            paths = account.seen_right.pop(identity, set())
            if self.ledger.is_put_away(name) or shows(operation, self.ledger.states(name)):
                now = {path for path, names in judgement.right.items() if name in names}
                _mark(account, operation, batch, now)
                paths |= now
            if paths >= (declared if operation.rule in rows else without_rows):
                account.shown.add((operation.rule, operation.kind))
            else:
                left.append(identity)
                account.seen_right[identity] = paths
        account.made.identities = left


def _mark(account: Account, operation: Operation, batch: Batch, paths: Iterable[str]) -> None:
    """Note on which of these paths the mode and the attributes of a file could be seen, and a hole."""
    sparse = operation.payload is not None and operation.payload.kind is PayloadKind.SPARSE
    if not (operation.mode or operation.xattr or sparse):
        return
    for path in paths:
        seen = batch.on(path).get(operation.target or operation.name)
        if seen is not None and operation.mode and seen.mode is not None:
            account.marks.setdefault((operation.rule, Also.MODES), set()).add(path)
        if seen is not None and operation.xattr and seen.xattrs is not None:
            account.marks.setdefault((operation.rule, Also.XATTRS), set()).add(path)
        if sparse:
            account.marks.setdefault((operation.rule, Also.SPARSE), set()).add(path)


def shows(operation: Operation, states: States) -> bool:
    """Whether the name surely is what the operation made of it."""
    if len(states) != 1:
        return False
    (state,) = states
    if operation.kind is OperationKind.DELETE:
        return isinstance(state, Absent)
    if operation.kind is OperationKind.MKDIR:
        return isinstance(state, Directory)
    if isinstance(state, AsStored):
        return operation.identity == state.spec.operation
    if operation.kind is OperationKind.SYMLINK:
        return isinstance(state, Link)
    moved = operation.kind in (OperationKind.RENAME, OperationKind.LINK)
    return isinstance(state, Exactly) and (moved or operation.identity in state.version.operations)
