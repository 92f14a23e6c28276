"""The table of DESIGN, section 4: which states a name may be in.

    class            acknowledged             indeterminate or in flight
    create           exactly new              absent or new; if not atomic also empty or a prefix
    overwrite        new                      old or new; if not atomic also empty, a prefix of new, a mix
    atomic replace   new                      old or new
    append           old + all acknowledged   old + any prefix of the rest
    delete           absent                   old or absent
    rename a to b    only b                   only a or only b   (two names: see `oracle.passes`)
    mkdir            exists                   either
    symlink          exactly this link        absent or the link
    hard link        what the other name is   absent or the same

`after` is the column "acknowledged"; `unresolved` is the column "indeterminate": the state before, the state
after, and the states `between`. An acknowledged operation that is not promised under the event at hand
(`exit-0` under power loss) is unresolved, and leaves holes of zeros as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from persistence_tests.model.observation import NodeKind, Observation, Span, SpanSource
from persistence_tests.model.operation import Operation, OperationKind, Outcome, PayloadSpec
from persistence_tests.model.versions import Specs, Version, in_place, is_prefix


@dataclass(frozen=True, slots=True)
class Absent:
    pass


@dataclass(frozen=True, slots=True)
class Directory:
    pass


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that says `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Exactly:
    version: Version


@dataclass(frozen=True, slots=True)
class Partial:
    """`new` while it is being written: any prefix, or its bytes mixed with those of `over`, each in place.

    The first `kept` bytes are `new`'s in any case (what an append adds to). `zeros` allows holes.
    """

    new: Version
    over: tuple[Version, ...] = ()
    kept: int = 0
    zeros: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """Content known from having been observed."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class AsStored:
    """What the server made of a payload: any whole file, until the first one is read where it is stored."""

    spec: PayloadSpec
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Anything:
    """What was there before the run wrote: present, its content unknown."""


State = Absent | Directory | Link | Exactly | Partial | Seen | AsStored | Anything
States = frozenset[State]

ABSENT: States = frozenset({Absent()})


@dataclass(frozen=True, slots=True)
class Logged:
    """An operation as one name sees it.

    For a rename, as its target sees it: `moved` are the states that it brings, `displaced` those it replaces. For
    a hard link `moved` are those of the other name.

    `outcome` is None while it is in flight. `weak`: acknowledged, but not promised under an event since.
    """

    operation: Operation
    outcome: Outcome | None = None
    weak: bool = False
    moved: States | None = None
    displaced: States | None = None

    @property
    def resolved(self) -> bool:
        return self.outcome is Outcome.OK and not self.weak


def after(logged: Logged, state: State) -> States:
    """The column "acknowledged"."""
    operation = logged.operation
    match operation.kind:
        case OperationKind.CREATE | OperationKind.OVERWRITE if operation.as_stored:
            return frozenset({AsStored(payload_of(operation))})
        case OperationKind.CREATE | OperationKind.OVERWRITE:
            return frozenset({Exactly(Version((payload_of(operation),)))})
        case OperationKind.APPEND:
            return frozenset({_appended(payload_of(operation), state)})
        case OperationKind.DELETE:
            return ABSENT
        case OperationKind.RENAME | OperationKind.LINK:
            return ABSENT if logged.moved is None else logged.moved - ABSENT
        case OperationKind.SYMLINK:
            return frozenset({Link(operation.link or "")})
        case OperationKind.MKDIR:
            return frozenset({Directory()})


def between(logged: Logged, state: State) -> States:
    """What lies between the state before and the state after, where a reader can see it."""
    operation, weak = logged.operation, logged.weak
    match operation.kind, state:
        case OperationKind.CREATE | OperationKind.OVERWRITE, _ if weak or not operation.atomic:
            if operation.as_stored:
                return frozenset({Anything()})
            partial = Partial(Version((payload_of(operation),)), over=_versions(state), zeros=weak)
            # Over content that no payload explains, a mix cannot be told from damage.
            return frozenset(
                {partial, Anything()} if isinstance(state, Seen | AsStored | Anything) else {partial}
            )
        case OperationKind.APPEND, Exactly(old):
            return frozenset({Partial(old.extended(payload_of(operation)), kept=old.size, zeros=weak)})
        case OperationKind.APPEND, Partial():
            new = state.new.extended(payload_of(operation))
            return frozenset({Partial(new, state.over, state.kept, state.zeros or weak)})
        case OperationKind.APPEND, Absent():
            return frozenset({Partial(Version((payload_of(operation),)), zeros=weak)})
        case _:
            return frozenset()


def unresolved(logged: Logged, state: State) -> States:
    """The column "indeterminate or in flight"."""
    return frozenset({state}) | between(logged, state) | after(logged, state)


def closure(states: States, log: Iterable[Logged]) -> States:
    """The states that a name may be in after `log`, having been in one of `states`.

    What nobody knows to be over may still come to pass after a later operation was acknowledged.
    """
    late: list[Logged] = []
    pending: list[Logged] = []
    for logged in log:
        if logged.resolved:
            late, pending = late + pending, []
            states = _each(after, logged, states)
        else:
            pending += [logged] if logged.outcome is not Outcome.OK else []
            states = _each(unresolved, logged, states)
    for logged in late:
        states = _each(unresolved, logged, states)
    return states


def _each(step: Callable[[Logged, State], States], logged: Logged, states: States) -> States:
    return frozenset().union(*(step(logged, state) for state in states))


def payload_of(operation: Operation) -> PayloadSpec:
    if operation.payload is None:
        raise ValueError(f"operation {operation.identity} ({operation.kind}) has no payload")
    return operation.payload


def _appended(piece: PayloadSpec, state: State) -> State:
    match state:
        case Exactly(old):
            return state if piece in old.pieces else Exactly(old.extended(piece))
        case Partial(new, over, kept, zeros):
            return Partial(new.extended(piece), over, kept, zeros)
        case Absent():
            return Exactly(Version((piece,)))
        case Directory():
            return state
        case _:
            return Anything()


def _versions(state: State) -> tuple[Version, ...]:
    match state:
        case Exactly(version):
            return (version,)
        case Partial(new, over):
            return (*over, new)
        case _:
            return ()


def versions(states: States) -> frozenset[Version]:
    """Every version of which something may be there."""
    return frozenset(version for state in states for version in _versions(state))


class Match(Enum):
    YES = auto()
    NO = auto()
    UNDECIDED = auto()  # not enough of the content was attributed to say


def match(state: State, seen: Observation, specs: Specs) -> Match:
    """Whether `seen` shows `state`."""
    match state:
        case Absent():
            return _yes(seen.kind is NodeKind.ABSENT)
        case Directory():
            return _yes(seen.kind is NodeKind.DIRECTORY)
        case Link(text):
            return _yes(seen.kind is NodeKind.SYMLINK and seen.target in (None, text))
        case Anything():
            return _yes(seen.kind not in (NodeKind.ABSENT, NodeKind.ERROR))
        case Exactly(version):
            right_size = seen.size is None or seen.size == version.size
            return _yes(seen.kind is NodeKind.FILE and right_size and seen.sha256 == version.sha256)
        case Seen(size, sha256):
            return _yes(seen.kind is NodeKind.FILE and (seen.size, seen.sha256) == (size, sha256))
        case AsStored(spec, _, None):
            whole = seen.kind is NodeKind.FILE and seen.flaw is None
            return _yes(whole and (seen.size != 0 or spec.size == 0))
        case AsStored(_, size, sha256):
            right_size = seen.size is None or seen.size == size
            return _yes(seen.kind is NodeKind.FILE and right_size and seen.sha256 == sha256)
        case Partial():
            return _match_partial(state, seen, specs) if seen.kind is NodeKind.FILE else Match.NO


def _match_partial(state: Partial, seen: Observation, specs: Specs) -> Match:
    size = seen.size
    if size is None or size < state.kept or size > max(v.size for v in (state.new, *state.over)):
        return Match.NO
    if is_prefix(state.new, size, seen.sha256):
        return Match.YES
    if not state.over and not state.zeros:
        return Match.NO
    if seen.spans is None:
        return Match.UNDECIDED
    # An old file cut short before it is written again shows a prefix of new only, never a shorter mix.
    over = [v for v in state.over if state.zeros or size >= min(v.size, state.new.size)]
    for span in _split(seen.spans, state.kept):
        if in_place(span, state.new, specs):
            continue
        if span.offset < state.kept:
            return Match.NO
        hole = state.zeros and span.source is SpanSource.ZEROS
        if not hole and not any(in_place(span, version, specs) for version in over):
            return Match.NO
    return Match.YES if covered(seen) else Match.UNDECIDED


def _split(spans: Iterable[Span], at: int) -> Iterator[Span]:
    for span in spans:
        head = at - span.offset
        if 0 < head < span.length:
            yield replace(span, length=head)
            origin = None if span.origin is None else span.origin + head
            yield replace(span, offset=at, length=span.length - head, origin=origin)
        else:
            yield span


def covered(seen: Observation) -> bool:
    """Whether the spans account for every byte."""
    end = 0
    for span in seen.spans or ():
        if span.offset != end:
            return False
        end += span.length
    return end == seen.size


def allowed(states: States, seen: Observation, specs: Specs) -> Match:
    """Whether `seen` shows one of `states`."""
    if len(states) == 1:
        (state,) = states
        return match(state, seen, specs)
    found = {match(state, seen, specs) for state in states}
    return next((m for m in (Match.YES, Match.UNDECIDED) if m in found), Match.NO)


def _yes(condition: bool) -> Match:
    return Match.YES if condition else Match.NO
