"""What happened to one name, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from persistence_tests.model.closure import (
    ABSENT,
    Absent,
    Directory,
    Exactly,
    Link,
    Logged,
    Match,
    Seen,
    State,
    States,
    closure,
    match,
)
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import Operation, Outcome
from persistence_tests.model.versions import Specs, Version


@dataclass(frozen=True, slots=True)
class Pin:
    """The first `count` operations of a name are known, from an observation, to have led to `states`."""

    states: States
    count: int


@dataclass(frozen=True, slots=True)
class Name:
    """Where a name began, what was done to it since, and the versions it once had by right.

    `undone` are versions that an event had to take back.
    """

    base: States = ABSENT
    log: tuple[Logged, ...] = ()
    pin: Pin | None = None
    acknowledged: frozenset[Version] = frozenset()
    undone: frozenset[Version] = frozenset()

    @property
    def states(self) -> States:
        if self.pin is not None:
            return closure(self.pin.states, self.log[self.pin.count :])
        return closure(self.base, self.log)

    @property
    def untouched(self) -> bool:
        return not (self.log or self.acknowledged or self.undone)

    def invoked(self, logged: Logged) -> Name:
        return replace(self, log=(*self.log, logged))

    def completed(self, identity: int, outcome: Outcome) -> Name:
        """An operation that failed vanishes; what a later answer contradicts is no longer known."""
        places = [i for i, logged in enumerate(self.log) if logged.operation.identity == identity]
        if not places:
            return self
        log = [replace(o, outcome=outcome) if i in places else o for i, o in enumerate(self.log)]
        if outcome is Outcome.FAIL:
            log = [logged for i, logged in enumerate(log) if i not in places]
        pin = self.pin if self.pin and places[0] >= self.pin.count else None
        return replace(self, log=tuple(log), pin=pin).remembered()

    def remembered(self) -> Name:
        """Keep the version that the name now has by right, to know it should it come back later."""
        states = self.states
        if len(states) == 1 and isinstance(only := next(iter(states)), Exactly):
            return replace(self, acknowledged=self.acknowledged | {only.version})
        return self

    def demoted(
        self,
        unpromised: Callable[[Operation], bool],
        weakened: Callable[[States], States],
        power_loss: bool,
        forget: bool,
    ) -> Name:
        """What an event does not promise is unresolved again, unless a promised operation came after it.

        `weakened` are the states that content may be in of which not every byte is promised: a name that it was moved
        to promises no more. `power_loss` leaves holes in what was not acknowledged; `forget` drops what was only
        observed.
        """
        log = list(self.log)
        for place in range(len(log) - 1, -1, -1):
            if (moved := log[place].moved) is not None:
                log[place] = replace(log[place], moved=weakened(moved))
            logged = log[place]
            acknowledged = logged.outcome is Outcome.OK
            if acknowledged and not unpromised(logged.operation):
                break
            if acknowledged or (power_loss and not logged.operation.atomic):
                log[place] = replace(logged, weak=True)
        pin = None if forget else self.pin
        return self if pin is self.pin and tuple(log) == self.log else replace(self, log=tuple(log), pin=pin)

    def overwritten(self, concurrent: Collection[int]) -> States:
        """After an event that took everything away: of the operations that it met, the last few came after it."""
        met = self.log[self._first(concurrent) :]
        return frozenset().union(*(closure(ABSENT, met[place:]) for place in range(len(met))))

    def copied(self, concurrent: Collection[int]) -> States:
        """After an event that copied everything and put it back: nobody knows what the copy has of the operations
        that it met, be they acknowledged."""
        first = self._first(concurrent)
        if first == len(self.log):
            return frozenset()
        met = [replace(logged, outcome=Outcome.INFO) for logged in self.log[first:]]
        pin = self.pin if self.pin and self.pin.count <= first else None
        return replace(self, log=(*self.log[:first], *met), pin=pin).states

    def _first(self, concurrent: Collection[int]) -> int:
        """The place in the log from which on operations are concurrent; its length where none is."""
        places = (place for place, o in enumerate(self.log) if o.operation.identity in concurrent)
        return next(places, len(self.log))

    def settled(self, observations: Sequence[Observation], specs: Specs) -> Name:
        """What every stored path showed of an unresolved operation is known from then on.

        The state before says nothing: an unresolved operation may still come to pass. Neither does a part
        of it: whoever gives up on a write may clean up after itself.
        """
        states = self._known(observations, specs)
        return replace(self, pin=Pin(states, len(self.log))).remembered() if states else self

    def _known(self, observations: Sequence[Observation], specs: Specs) -> States:
        def shown(states: Iterable[State]) -> States:
            return frozenset(s for s in states if all(match(s, o, specs) is Match.YES for o in observations))

        if self.log and all(logged.outcome is Outcome.OK for logged in self.log):
            # Nothing is under way any more: an event left one of several states, and this is it.
            first = observations[0]
            if not shown(self.states) or any(_content(o) != _content(first) for o in observations):
                return frozenset()
            exact = frozenset(
                s for s in shown(self.states) if isinstance(s, Exactly | Absent | Directory | Link)
            )
            return exact or frozenset({Seen(first.size, first.sha256)})
        done = [replace(logged, outcome=Outcome.OK, weak=False) for logged in self.log]
        unknown = [place for place, logged in enumerate(self.log) if not logged.resolved]
        if len(unknown) != 1:
            return frozenset()
        happened = shown(closure(self.base, done))
        did_not = shown(closure(self.base, [o for place, o in enumerate(done) if place not in unknown]))
        return frozenset() if did_not else happened


def _content(seen: Observation) -> tuple[NodeKind, int | None, str | None]:
    return seen.kind, seen.size, seen.sha256
