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

A name about which nothing is open is put away (`shelf`). `_names` has those that are not, and those that were touched
again: where it has a name, the shelf is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

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
    State,
    States,
    allowed,
    payload_of,
    versions,
)
from persistence_tests.model.name import Name
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
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
from persistence_tests.model.shelf import Overlay, Shelf
from persistence_tests.model.sightings import Looks, NameSet
from persistence_tests.model.step import Checkpoint, Step
from persistence_tests.model.versions import Version

WRITES_CONTENT = (OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND)


class Ledger:
    """See the module. Not thread-safe: feed it from one thread, or under the history's lock."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.looks = Looks()
        self.specs = Overlay(self.shelf, payload_of)
        self.outcomes = Overlay(self.shelf, lambda _: Outcome.OK)
        self.operations = Overlay(self.shelf, lambda operation: operation)
        self._kept: dict[int, tuple[int | None, str]] = {}
        self._promised: frozenset[PromiseClass] = frozenset(PromiseClass)
        self._stored: frozenset[str] = frozenset()
        self._expected: frozenset[str] = frozenset()
        self.row_rules: dict[int, str] = {}
        self._forget()

    def _forget(self) -> None:
        self.shelf.forget_names()
        self._names: dict[str, Name] = {}
        self._states: dict[str, States] = {}
        self._tried: dict[str, set[int]] = {}
        self.baseline: dict[str, frozenset[str]] = {}
        self.blind: set[str] = set()  # paths that cannot show an absence
        self._step = Step(self._promised, self.operations)
        self._pass: dict[tuple[str, str], Observation] = {}
        self._in_flight: set[int] = set()
        self._not_ok: set[int] = set()  # in flight, failed, or without an answer
        self._links: set[int] = set()
        self._overtaken: set[int] = set()  # operations that an event which replaced the files met
        self.doubled: dict[str, tuple[int, int]] = {}

    def record(self, record: Record) -> None:
        if not isinstance(record, PathObserved | FoundElsewhere):
            self._settle()
        match record:
            case ScenarioBegan():
                self._promised = frozenset(record.promised)
                self._stored = frozenset(path.name for path in record.paths if path.stored)
                self._expected = frozenset(name.strip("/") for name in record.directories)
                self.row_rules = {rule.index: rule.through for rule in record.rules if rule.rows}
            case StackReady():
                self._forget()
            case AbsenceProbed() if not record.shows_absence:
                self.blind.add(record.path)
            case BaselineListed():
                self.baseline[record.path] = frozenset(record.names)
                self._states.clear()
            case StepBegan():
                writing = record.options.get("while") == "writing"
                self._step = Step(self._promised, self.operations, record.promise, record.fate, writing)
            case Invoked():
                self._invoked(record.operation)
            case Completed():
                self._completed(record)
            case EventBegan():
                self._step.event_began, self._step.cutting = True, record.cuts
                self._step.concurrent = set(self._in_flight)
            case Checkpointed():
                self._step.checkpoint = Checkpoint(dict(self._names), self.shelf.end)
            case EventEnded():
                self._step.cutting = False
                self._event_ended()
            case PathObserved() if record.path in self._stored and record.problem is None:
                for name, seen in (record.directories | record.observations).items():
                    if name in self._names:
                        self._pass[record.path, name] = seen
                        self._keep(name, seen)
            case _:
                pass

    # What is asked of it

    def names(self) -> list[str]:
        """Names of files that an operation of this epoch may have touched, deleted ones included, sorted."""
        return sorted([*self.open_names(), *(n for n in self.shelf.names() if n not in self._names)])

    def no_names(self) -> NameSet:
        return NameSet(self.shelf)

    def open_names(self) -> list[str]:
        """Those of `names` that are not put away, in no order."""
        return [n for n in self._names if Directory() not in self.states(n)]

    def name_set(self) -> NameSet:
        """`names` as a set."""
        known = NameSet(self.shelf, self.shelf.put_away())
        for name in self._names:
            known.discard(name)
        for name in self.open_names():
            known.add(name)
        return known

    def knows(self, name: str) -> bool:
        """Whether an operation of this epoch may have touched it."""
        return name in self._names or self.is_put_away(name)

    def is_put_away(self, name: str) -> bool:
        """Whether nothing about it is open but whether it still holds what one create made it hold."""
        return name not in self._names and self.shelf.holds(name)

    def plainly(self, name: str, seen: Observation) -> int | None:
        """The number of a name that is put away, if `seen` is a file with just the bytes that it must have, or a row
        that says so."""
        if seen.kind not in (NodeKind.FILE, NodeKind.ROW) or name in self._names:
            return None
        return self.shelf.holding(name, seen.size, seen.sha256)

    def directories(self) -> list[str]:
        """Names that a `mkdir` of this epoch may have made, sorted."""
        return sorted(n for n in self._names if Directory() in self.states(n))

    def states(self, name: str) -> States:
        """The states the name may be in now; absent if nothing touched it, unknown if it was there before."""
        if name not in self._states:
            if name not in self._names and (made := self.shelf.named(name)) is not None:
                return frozenset({Exactly(_version(made))})
            states = self._names[name].states if name in self._names else self._initially(name)
            if Directory() in states and Absent() in states and self._has_children(name):
                states -= ABSENT
            self._states[name] = frozenset(map(self._as_kept, states))
        return self._states[name]

    def name(self, name: str) -> Name:
        if name not in self._names and (made := self.shelf.named(name)) is not None:
            return _settled(made)
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
        operations = self.operations_on(name) if self.knows(name) else self.unacknowledged()
        return [self.specs[i] for i in sorted(operations) if i in self.specs]

    def acknowledged(self, identity: int) -> Operation | None:
        """The operation, by now with its name, if it was acknowledged."""
        outcome = self.outcomes.open.get(identity)
        if outcome is None:
            return self.shelf.operation(identity)
        return self.operations[identity] if outcome is Outcome.OK else None

    def unacknowledged(self) -> frozenset[int]:
        """Writes of content of this epoch whose effect nothing promises."""
        weak = {o.operation.identity for n in self._names.values() for o in n.log if o.weak} | self._overtaken
        return frozenset(i for i in weak | self._not_ok if self.operations[i].kind in WRITES_CONTENT)

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
        return self.tried_on(name).union(*(version.operations for version in held))

    def tried(self, name: str) -> int:
        """How many operations of this epoch were on `name`, those that failed included."""
        return len(self.tried_on(name))

    def tried_on(self, name: str) -> frozenset[int]:
        if name not in self._tried and (made := self.shelf.named(name)) is not None:
            return frozenset({made.identity})
        return frozenset(self._tried.get(name, ()))

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
        made = (self.operations[i] for i in sorted(self._links))
        return [
            link
            for link in made
            if link.link is not None
            and self.outcomes.get(link.identity) is Outcome.OK
            and len(states := self.states(link.name)) == 1
            and states == self.states(link.link) != ABSENT
        ]

    # How it gets there

    def _initially(self, name: str) -> States:
        there = any(name in names for names in self.baseline.values())
        return frozenset({Anything()}) if there else ABSENT

    def _has_children(self, name: str) -> bool:
        inside = name.rstrip("/") + "/"
        children = (entry for child, entry in self._names.items() if child.startswith(inside))
        if any(Absent() not in entry.states for entry in children):
            return True
        return any(child not in self._names for child in self.shelf.below(inside))

    def _put(self, name: str, entry: Name) -> None:
        """Keep what is now known of `name`; whether a directory above it is there may follow from it."""
        self._names[name] = entry
        place = len(name)
        while place > 0:
            self._states.pop(name[:place], None)
            self._states.pop(name[: place + 1], None)  # a directory's name may end with a slash
            place = name.rfind("/", 0, place)

    def _invoked(self, operation: Operation) -> None:
        identity = operation.identity
        self.operations.open[identity] = operation
        self._in_flight.add(identity)
        self._not_ok.add(identity)
        if operation.kind is OperationKind.LINK:
            self._links.add(identity)
        if self._step.event_began:
            self._step.concurrent.add(identity)
        if operation.payload:
            self.specs.open[identity] = operation.payload
        elif operation.kind in WRITES_CONTENT:
            payload_of(operation)
        if operation.provisional:
            return  # nobody knows yet which name it is on
        self._log_on_names(operation)

    def _log_on_names(self, operation: Operation) -> None:
        for name in (operation.name, operation.target):
            if name is not None:
                self._take_up(name)
                self._tried[name].add(operation.identity)
        match operation.kind:
            case OperationKind.LINK if operation.link:
                self._log(operation.name, Logged(operation, moved=self.states(operation.link)))
            case OperationKind.RENAME if operation.target:
                moved = (self.states(operation.name) - ABSENT) or frozenset({Anything()})
                self._log(operation.name, Logged(operation))
                displaced = self.states(operation.target)
                self._log(operation.target, Logged(operation, moved=moved, displaced=displaced))
            case _:
                self._log(operation.name, Logged(operation))

    def _take_up(self, name: str) -> None:
        """Have a name among `_names`, be it that it was put away."""
        if name not in self._names:
            if (made := self.shelf.named(name)) is None:
                self.shelf.enter(name)
            self._names[name] = Name(base=self._initially(name)) if made is None else _settled(made)
            self._tried.setdefault(name, set() if made is None else {made.identity})

    def _log(self, name: str, logged: Logged) -> None:
        self._put(name, self._names[name].invoked(logged))

    def _completed(self, record: Completed) -> None:
        identity, outcome = record.operation, record.outcome
        if self._step.cutting and outcome is Outcome.OK:
            outcome = Outcome.INFO  # the answer came after the cut began
        operation = self.operations[identity]
        self.outcomes.open[identity] = outcome
        self._in_flight.discard(identity)
        if outcome is Outcome.OK:
            self._not_ok.discard(identity)
        if operation.provisional:
            if record.name is None:
                return  # its file, if there is one, is under a name that nobody knows
            operation = replace(operation, name=record.name, provisional=False)
            self.operations.open[identity] = operation
            if outcome is Outcome.OK:
                self._note_doubled(operation)
            self._log_on_names(operation)
        for name in dict.fromkeys((operation.name, operation.target)):
            if name is None or not self.knows(name):
                continue
            self._take_up(name)
            before = self._names[name]
            entry = before.completed(identity, outcome)
            if entry is not before and outcome is not Outcome.OK:
                self._not_ok.add(identity)
            self._put(name, entry)
            if entry.untouched and entry.base == self._initially(name):
                del self._names[name]
        self._put_away(operation)

    def _put_away(self, operation: Operation) -> None:
        """Put the name of an operation away, if nothing about it is open."""
        name, entry = operation.name, self._names.get(operation.name)
        if entry is None or entry.base != ABSENT or entry.pin or entry.undone or len(entry.acknowledged) != 1:
            return
        if len(entry.log) != 1 or entry.log[0].operation is not operation or not entry.log[0].resolved:
            return
        if name in self._expected or len(self._tried[name]) != 1 or not self.shelf.takes(operation):
            return
        self.shelf.put(operation)
        for known in (self.operations, self.specs, self.outcomes):
            known.open.pop(operation.identity)
        for of_names in (self._names, self._tried, self._states):
            of_names.pop(name, None)

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
        for name, before in [*self._names.items(), *self._put_away_and_met()]:
            entry = before
            match step.fate:
                case DataFate.KEPT:
                    entry = step.demoted(entry)
                case DataFate.DESTROYED:
                    entry = step.replaced(entry, ABSENT, entry.acknowledged)
                case DataFate.RESTORED if step.checkpoint is not None:
                    then = self._then(name, step.checkpoint)
                    log = [logged for logged in then.log if self._outcome(logged) is not Outcome.FAIL]
                    states = replace(then, log=tuple(log)).states if then.pin is None else then.states
                    entry = step.replaced(entry, states, then.acknowledged)
                case _:
                    pass
            if entry is not before:
                self._take_up(name)
                self._put(name, entry)

    def _put_away_and_met(self) -> Iterator[tuple[str, Name]]:
        """The names on the shelf that the event of this step can have changed."""
        if self._step.fate is DataFate.KEPT and not any(map(self._step.unpromised, self.shelf.likes)):
            return
        for made in self.shelf.operations():
            if made.name not in self._names:
                yield made.name, _settled(made)

    def _then(self, name: str, checkpoint: Checkpoint) -> Name:
        if name in checkpoint.names:
            return checkpoint.names[name]
        number, made = self.shelf.number(name), self.shelf.named(name)
        known = made is not None and number is not None and number < checkpoint.end
        return _settled(made) if made is not None and known else Name(base=self._initially(name))

    def _outcome(self, logged: Logged) -> Outcome | None:
        return self.outcomes.get(logged.operation.identity)

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


def _settled(operation: Operation) -> Name:
    """What is known of a name on which this create was acknowledged, and nothing else was done."""
    return Name(log=(Logged(operation, Outcome.OK),), acknowledged=frozenset({_version(operation)}))


def _version(operation: Operation) -> Version:
    return Version((payload_of(operation),))
