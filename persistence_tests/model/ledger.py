"""What each name of one scenario may show, as far as the history has got.

A `Ledger` is fed every record of a scenario in order and forgets everything at each `StackReady`. The runner
asks it which observations need a second look; the oracle judges with it.

    Completed(fail)              the operation vanishes
    Completed(info), none        the operation stays unresolved; so does one that is answered after a cut began
    EventEnded, destroyed        every name written before is absent
    EventEnded, restored         every name is as at `Checkpointed`
    the two, `while: writing`    nobody knows of an operation that the event met whether it came before or after
    EventEnded, kept             what the step's class of event does not promise becomes unresolved again
    PathObserved, stored path    settles an unresolved write that was seen, until the next power loss; of a file that
                                 the server made anew, the first whole one is what must be kept
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from persistence_tests.model.closure import (
    ABSENT,
    Absent,
    Anything,
    AsStored,
    Directory,
    Exactly,
    Link,
    Logged,
    Match,
    Partial,
    State,
    States,
    allowed,
    payload_of,
    versions,
)
from persistence_tests.model.name import Name
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadSpec,
    PromiseClass,
)
from persistence_tests.model.records import (
    AbsenceProbed,
    BaselineListed,
    Checkpointed,
    Completed,
    DataFate,
    EventBegan,
    EventEnded,
    FoundElsewhere,
    Invoked,
    PathObserved,
    Record,
    ScenarioBegan,
    StackReady,
    StepBegan,
)
from persistence_tests.model.versions import Version

WRITES_CONTENT = (OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND)


@dataclass(slots=True)
class _Step:
    promise: PromiseClass = PromiseClass.PROCESS_CRASH
    fate: DataFate = DataFate.KEPT
    writing: bool = False
    event_began: bool = False
    cutting: bool = False
    concurrent: set[int] = field(
        default_factory=set
    )  # operations in flight as the event began, or begun since
    checkpoint: dict[str, Name] | None = None


class Ledger:
    """See the module. Not thread-safe: feed it from one thread, or under the history's lock."""

    def __init__(self) -> None:
        self.specs: dict[int, PayloadSpec] = {}
        self.outcomes: dict[int, Outcome] = {}
        self.operations: dict[int, Operation] = {}
        self._kept: dict[int, tuple[int | None, str]] = {}
        self._promised: frozenset[PromiseClass] = frozenset(PromiseClass)
        self._stored: frozenset[str] = frozenset()
        self._forget()

    def _forget(self) -> None:
        self._names: dict[str, Name] = {}
        self._states: dict[str, States] = {}
        self._tried: dict[str, set[int]] = {}
        self.baseline: dict[str, frozenset[str]] = {}
        self.blind: set[str] = set()  # paths that cannot show an absence
        self._step = _Step()
        self._pass: dict[tuple[str, str], Observation] = {}
        self.epoch_operations: set[int] = set()
        self._overtaken: set[int] = set()  # operations that an event which replaced the files met
        self.doubled: dict[str, tuple[int, int]] = {}

    def record(self, record: Record) -> None:
        if not isinstance(record, PathObserved | FoundElsewhere):
            self._settle()
        match record:
            case ScenarioBegan():
                self._promised = frozenset(record.promised)
                self._stored = frozenset(path.name for path in record.paths if path.stored)
            case StackReady():
                self._forget()
            case AbsenceProbed() if not record.shows_absence:
                self.blind.add(record.path)
            case BaselineListed():
                self.baseline[record.path] = frozenset(record.names)
                self._states.clear()
            case StepBegan():
                writing = record.options.get("while") == "writing"
                self._step = _Step(record.promise, record.fate, writing)
            case Invoked():
                self._invoked(record.operation)
            case Completed():
                self._completed(record)
            case EventBegan():
                self._step.event_began, self._step.cutting = True, record.cuts
                self._step.concurrent = self.epoch_operations - self.outcomes.keys()
            case Checkpointed():
                self._step.checkpoint = dict(self._names)
            case EventEnded():
                self._step.cutting = False
                self._event_ended()
            case PathObserved() if record.path in self._stored and record.problem is None:
                for name, seen in (record.directories | record.observations).items():
                    self._pass[record.path, name] = seen
                    self._keep(name, seen)
            case _:
                pass

    # What is asked of it

    def names(self) -> list[str]:
        """Names of files that an operation of this epoch may have touched, deleted ones included, sorted."""
        return sorted(n for n in self._names if Directory() not in self.states(n))

    def directories(self) -> list[str]:
        """Names that a `mkdir` of this epoch may have made, sorted."""
        return sorted(n for n in self._names if Directory() in self.states(n))

    def states(self, name: str) -> States:
        """The states the name may be in now; absent if nothing touched it, unknown if it was there before."""
        if name not in self._states:
            states = self._names[name].states if name in self._names else self._initially(name)
            if Directory() in states and Absent() in states and self._has_children(name):
                states -= ABSENT
            self._states[name] = frozenset(map(self._as_kept, states))
        return self._states[name]

    def name(self, name: str) -> Name:
        return self._names.get(name, Name())

    def is_settled(self, name: str) -> bool:
        """Whether the name can be in one state only, and everything done to it is known to be over."""
        return len(self.states(name)) == 1 and all(logged.resolved for logged in self.name(name).log)

    def allows(self, name: str, seen: Observation, stored: bool) -> bool:
        """Whether `seen` is surely right; False where it is wrong or its bytes must be attributed to tell.

        An error on a served path (`stored` false) says nothing about a name that need not be there, and no answer
        anything about a symbolic link.
        """
        if not stored and any(isinstance(state, Link) for state in self.states(name)):
            return True
        if seen.kind is NodeKind.ERROR and not stored:
            return self.states(name) == ABSENT
        return allowed(self.states(name), seen, self.specs) is Match.YES

    def candidates(self, name: str) -> list[PayloadSpec]:
        """The payloads to try first on the bytes of `name`: its own; for an unknown name, unresolved ones."""
        operations = self.operations_on(name) if name in self._names else self.unacknowledged()
        return [self.specs[i] for i in sorted(operations) if i in self.specs]

    def unacknowledged(self) -> frozenset[int]:
        """Writes of content of this epoch whose effect nothing promises."""
        weak = {o.operation.identity for n in self._names.values() for o in n.log if o.weak} | self._overtaken
        return frozenset(
            i
            for i in self.epoch_operations
            if self.operations[i].kind in WRITES_CONTENT
            and (i in weak or self.outcomes.get(i) is not Outcome.OK)
        )

    def unread(self, name: str) -> PayloadSpec | None:
        """The payload of which the server made a file that nobody has read yet; None where there is none."""
        unread = (s.spec for s in self.states(name) if isinstance(s, AsStored) and s.sha256 is None)
        return next(unread, None)

    def kept_of(self, identity: int) -> tuple[int | None, str] | None:
        """Size and digest of what the server made of an operation's payload, once they were read."""
        return self._kept.get(identity)

    def may_have_been_made_anew(self, identity: int) -> bool:
        """Whether a server may have made a file of an operation's payload, unknown bytes under any name."""
        return self.operations[identity].as_stored and self.outcomes.get(identity) is not Outcome.FAIL

    def maker(self, seen: Observation) -> int | None:
        """The operation of whose payload the server made these very bytes."""
        return next((i for i, kept in self._kept.items() if kept == (seen.size, seen.sha256)), None)

    def operations_on(self, name: str) -> frozenset[int]:
        """Operations whose bytes `name` may have held, and those that were tried on it."""
        entry = self.name(name)
        held = versions(self.states(name)) | entry.acknowledged | entry.undone
        return frozenset(self._tried.get(name, ())).union(*(version.operations for version in held))

    def tried(self, name: str) -> int:
        """How many operations of this epoch were on `name`, those that failed included."""
        return len(self._tried.get(name, ()))

    def renames(self) -> list[Logged]:
        """Renames that may or may not have happened, as their targets see them."""
        return [
            logged
            for entry in self._names.values()
            for logged in entry.log
            if logged.operation.kind is OperationKind.RENAME
            and logged.moved is not None
            and (logged.outcome is not Outcome.OK or self._taken_back(logged))
        ]

    def _taken_back(self, rename: Logged) -> bool:
        """Whether a power loss has made an acknowledged rename unresolved, and nothing was done or seen since."""
        ends = (self.name(rename.operation.name), self.name(rename.operation.target or ""))
        return rename.weak and all(
            end.pin is None and end.log and end.log[-1].operation == rename.operation for end in ends
        )

    def links(self) -> list[Operation]:
        """Hard links that were acknowledged, and are by right what the name of which they are another is."""
        made = (self.operations[i] for i in sorted(self.epoch_operations))
        return [
            link
            for link in made
            if link.kind is OperationKind.LINK
            and link.link is not None
            and self.outcomes.get(link.identity) is Outcome.OK
            and len(states := self.states(link.name)) == 1
            and states == self.states(link.link) != ABSENT
        ]

    # How it gets there

    def _initially(self, name: str) -> States:
        there = any(name in names for names in self.baseline.values())
        return frozenset({Anything()}) if there else ABSENT

    def _has_children(self, name: str) -> bool:
        return any(
            Absent() not in self._names[child].states
            for child in self._names
            if child.startswith(name.rstrip("/") + "/")
        )

    def _put(self, name: str, entry: Name) -> None:
        """Keep what is now known of `name`; whether a directory above it is there may follow from it."""
        self._names[name] = entry
        place = len(name)
        while place > 0:
            self._states.pop(name[:place], None)
            self._states.pop(name[: place + 1], None)  # a directory's name may end with a slash
            place = name.rfind("/", 0, place)

    def _invoked(self, operation: Operation) -> None:
        self.operations[operation.identity] = operation
        self.epoch_operations.add(operation.identity)
        if self._step.event_began:
            self._step.concurrent.add(operation.identity)
        if operation.payload:
            self.specs[operation.identity] = operation.payload
        elif operation.kind in WRITES_CONTENT:
            payload_of(operation)
        if operation.provisional:
            return  # nobody knows yet which name it is on
        self._log_on_names(operation)

    def _log_on_names(self, operation: Operation) -> None:
        for name in (operation.name, operation.target):
            if name is not None:
                self._tried.setdefault(name, set()).add(operation.identity)
        moved = (self.states(operation.name) - ABSENT) or frozenset({Anything()})
        if operation.kind is OperationKind.LINK and operation.link:
            self._log(operation.name, Logged(operation, moved=self.states(operation.link)))
            return
        self._log(operation.name, Logged(operation))
        if operation.kind is OperationKind.RENAME and operation.target:
            displaced = self.states(operation.target)
            self._log(operation.target, Logged(operation, moved=moved, displaced=displaced))

    def _log(self, name: str, logged: Logged) -> None:
        entry = self._names.get(name) or Name(base=self._initially(name))
        self._put(name, entry.invoked(logged))

    def _completed(self, record: Completed) -> None:
        identity, outcome = record.operation, record.outcome
        if self._step.cutting and outcome is Outcome.OK:
            outcome = Outcome.INFO  # the answer came after the cut began
        self.outcomes[identity] = outcome
        operation = self.operations[identity]
        if operation.provisional:
            if record.name is None:
                return  # its file, if there is one, is under a name that nobody knows
            operation = replace(operation, name=record.name, provisional=False)
            self.operations[identity] = operation
            if outcome is Outcome.OK:
                self._note_doubled(operation)
            self._log_on_names(operation)
        for name in self._names.keys() & {operation.name, operation.target}:
            entry = self._names[name].completed(identity, outcome)
            self._put(name, entry)
            if entry.untouched and entry.base == self._initially(name):
                del self._names[name]

    def _note_doubled(self, operation: Operation) -> None:
        """A name for which two different files were acknowledged: one of them is gone, whatever is there."""
        for state in self.states(operation.name):
            match state:
                case Exactly(version):
                    same, other = version.sha256 == payload_of(operation).sha256, version.pieces[-1].operation
                case AsStored(spec):
                    same, other = spec.sha256 == payload_of(operation).sha256, spec.operation
                case _:
                    return
            if same:
                return
            self.doubled[operation.name] = (other, operation.identity)

    def _keep(self, name: str, seen: Observation) -> None:
        """The first whole file where it is stored is what the server made of a payload."""
        states = self.states(name) if name in self._names else frozenset()
        if len(states) != 1 or seen.sha256 is None:
            return
        (state,) = states
        if (
            isinstance(state, AsStored)
            and state.sha256 is None
            and allowed(states, seen, self.specs) is Match.YES
        ):
            self._kept[state.spec.operation] = (seen.size, seen.sha256)
            del self._states[name]

    def _as_kept(self, state: State) -> State:
        if isinstance(state, AsStored) and (kept := self._kept.get(state.spec.operation)):
            return AsStored(state.spec, *kept)
        return state

    def _event_ended(self) -> None:
        step = self._step
        if step.writing and step.fate is not DataFate.KEPT:
            self._overtaken |= step.concurrent
        for name, before in list(self._names.items()):
            entry = before
            match step.fate:
                case DataFate.KEPT:
                    entry = self._demoted(entry)
                case DataFate.DESTROYED:
                    entry = self._replaced(entry, ABSENT, entry.acknowledged)
                case DataFate.RESTORED if step.checkpoint is not None:
                    then = step.checkpoint.get(name, Name(base=self._initially(name)))
                    log = [logged for logged in then.log if self._outcome(logged) is not Outcome.FAIL]
                    states = replace(then, log=tuple(log)).states if then.pin is None else then.states
                    entry = self._replaced(entry, states, then.acknowledged)
                case _:
                    pass
            if entry is not before:
                self._put(name, entry)

    def _outcome(self, logged: Logged) -> Outcome | None:
        return self.outcomes.get(logged.operation.identity)

    def _replaced(self, entry: Name, states: States, acknowledged: frozenset[Version]) -> Name:
        """The name begins again from `states`, or from what operations left of it that the event met."""
        undone = entry.acknowledged - acknowledged
        if self._step.writing:
            destroyed = self._step.fate is DataFate.DESTROYED
            concurrent = self._step.concurrent
            states |= entry.overwritten(concurrent) if destroyed else entry.copied(concurrent)
        return Name(base=states, acknowledged=acknowledged, undone=entry.undone | undone)

    def _demoted(self, entry: Name) -> Name:
        power_loss = self._step.promise is PromiseClass.POWER_LOSS
        forget = power_loss or self._step.promise not in self._promised
        return entry.demoted(self._unpromised, self._weakened, power_loss, forget)

    def _weakened(self, states: States) -> States:
        """With what may be left of content of which only the beginning is promised, or nothing."""
        parts: set[State] = set()
        for state in states:
            if not isinstance(state, Exactly):
                continue
            sizes = [piece.size for piece in state.version.pieces]
            while sizes and self._unpromised(self.operations[state.version.pieces[len(sizes) - 1].operation]):
                sizes.pop()  # a promised piece brings everything before it to the disk
            if len(sizes) < len(state.version.pieces):
                parts.add(Partial(state.version, kept=sum(sizes), zeros=True))
            if not sizes:
                parts.add(Absent())
        return states | parts

    def _unpromised(self, operation: Operation) -> bool:
        if self._step.promise not in self._promised:
            return True
        power_loss = self._step.promise is PromiseClass.POWER_LOSS
        return power_loss and operation.acknowledgement is Acknowledgement.EXIT_0

    def _settle(self) -> None:
        """An unresolved write that every stored path showed is known from then on."""
        seen: dict[str, list[Observation]] = {}
        for (_, name), observation in self._pass.items():
            if observation.kind is not NodeKind.ERROR:
                seen.setdefault(name, []).append(observation)
        self._pass = {}
        for name, observations in seen.items():
            if name in self._names and len(self.states(name)) > 1:
                self._put(name, self._names[name].settled(observations, self.specs))
