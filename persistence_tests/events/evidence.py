"""What the engine's event stream and its states show of an event, in plain words.

An event says which change it expects of every container and which entries the stream must hold for a
container that ends and for one that begins; a `Case` finds them, in their order and for the very
containers that were there, and says what is missing.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from persistence_tests.events.base import Proof
from persistence_tests.model.records import Evidence
from persistence_tests.stack.difference import difference
from persistence_tests.stack.state import Change, ContainerState, Delta, EngineEvent, EngineState

STREAM = "stream"
INSPECT = "inspect"

DISTURBANCES = ("kill", "die", "stop", "start", "restart", "pause", "unpause", "destroy")

WORDS = {
    Change.SAME: "unchanged",
    Change.RESTARTED: "the same container, started again",
    Change.RECREATED: "made anew",
    Change.STOPPED: "there, but not running",
    Change.GONE: "gone",
    Change.NEW: "new",
}


def signal_number(text: str) -> int | None:
    """The number of a signal that the engine names as "9", "KILL" or "SIGKILL"."""
    if text.isdigit():
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    return signal.Signals[name].value if name in signal.Signals.__members__ else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry that the stream must hold; `signal` and `exit_code` None accept any."""

    action: str
    signal: int | None = None
    exit_code: int | None = None

    def met_by(self, event: EngineEvent) -> bool:
        if event.action != self.action:
            return False
        if self.signal is not None and signal_number(event.attributes.get("signal", "")) != self.signal:
            return False
        return self.exit_code is None or event.attributes.get("exitCode") == str(self.exit_code)

    def __str__(self) -> str:
        if self.signal is not None:
            return f"`{self.action}` with signal {self.signal}"
        if self.exit_code is not None:
            return f"`{self.action}` with exit code {self.exit_code}"
        return f"`{self.action}`"


KILL, DIE, STOP, START, RESTART = (Wanted(a) for a in ("kill", "die", "stop", "start", "restart"))
CREATE, DESTROY = Wanted("create"), Wanted("destroy")


def unchanged(before: EngineState) -> Delta:
    """The delta of an event that changes nothing."""
    return Delta(
        containers=dict.fromkeys(before.containers, Change.SAME),
        images=dict.fromkeys(before.containers, Change.SAME),
        volumes=dict.fromkeys(named_volumes(before), Change.SAME),
    )


def changed(
    before: EngineState,
    *,
    containers: Mapping[str, Change] | Change = Change.SAME,
    images: Mapping[str, Change] | None = None,
    volumes: Mapping[str, Change] | None = None,
) -> Delta:
    """The delta of an event that changes these and leaves everything else as it is."""
    base = unchanged(before)
    every = dict.fromkeys(before.containers, containers) if isinstance(containers, Change) else containers
    return Delta(
        containers=base.containers | dict(every),
        images=base.images | dict(images or {}),
        volumes=base.volumes | dict(volumes or {}),
    )


def named_volumes(state: EngineState) -> list[str]:
    return [name for name, volume in state.volumes.items() if volume.key is not None]


def destroyed_volumes(before: EngineState, seen: Sequence[EngineEvent]) -> list[str]:
    """Named volumes of the stack that were destroyed, be it that there is another one by now."""
    destroyed = {event.identity for event in seen if event.kind == "volume" and event.action == "destroy"}
    return [name for name in named_volumes(before) if name in destroyed]


def idle(before: EngineState) -> dict[str, Change]:
    """Containers that had ended before the event, jobs for example: `up` and `start` run them once more."""
    return {key: Change.RESTARTED for key, state in before.containers.items() if not state.running}


def _of_identity(seen: Sequence[EngineEvent], kind: str) -> dict[str, list[EngineEvent]]:
    grouped: dict[str, list[EngineEvent]] = defaultdict(list)
    for event in sorted(seen, key=lambda e: e.nanoseconds):
        if event.kind == kind:
            grouped[event.identity].append(event)
    return grouped


def _described(event: EngineEvent) -> str:
    if event.action == "kill":
        return f"kill with signal {event.attributes.get('signal', '?')}"
    if event.action == "die":
        return f"die with exit code {event.attributes.get('exitCode', '?')}"
    return event.action


@dataclass
class Case:
    """One event under judgement: the states around it and the stream between them.

    `came_up` as in `Event.prove`: where it is False, nobody is asked to have been started again.
    """

    before: EngineState
    after: EngineState
    seen: Sequence[EngineEvent]
    came_up: bool = True
    facts: list[Evidence] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._containers = _of_identity(self.seen, "container")
        self._volumes = _of_identity(self.seen, "volume")
        self.delta = self._with_volumes_of_the_stream(difference(self.before, self.after))

    def fact(self, source: str, fact: str) -> None:
        self.facts.append(Evidence(source, fact))

    def problem(self, problem: str) -> None:
        self.problems.append(problem)

    def proof(self, unmet: Sequence[str] = ()) -> Proof:
        return Proof(tuple(self.facts), tuple(dict.fromkeys(self.problems)), tuple(unmet))

    def who(self, key: str) -> str:
        """The service, with the replica's number where it has several."""
        states = {**self.after.containers, **self.before.containers}
        service = states[key].service if key in states else key
        return service if sum(state.service == service for state in states.values()) <= 1 else key

    def judge(
        self,
        expected: Delta,
        *,
        ends: Sequence[Wanted] = (KILL, DIE),
        begins: Sequence[Wanted] = (START,),
        own_death: bool = False,
    ) -> None:
        """Demands the expected delta, and of each container what its change must have left in the stream.

        `ends` holds for a container that was running, `begins` for the same container started again; one
        that was made anew must have been destroyed, created and started. `own_death` says that the main
        process dies without the engine's doing.
        """
        self.compare(expected)
        begins = begins if self.came_up else ()
        for key, change in expected.containers.items():
            old, new = self.before.containers.get(key), self.after.containers.get(key)
            who = self.who(key)
            if old and change is Change.SAME:
                self.untouched(who, old)
            elif old and change is Change.RESTARTED:
                self.follow(who, old.identity, (*(ends if old.running else ()), *begins))
                self._one_end(who, old, own_death)
            elif old and change is Change.RECREATED:
                self.follow(who, old.identity, (*(ends if old.running else ()), DESTROY))
                self._one_end(who, old, own_death)
                self._made(who, old, new)
            elif change is Change.NEW:
                self._made(who, old, new)
            if old and new and self.came_up:
                self._given_up(who, old, new)
        self.out_of_memory()

    def compare(self, expected: Delta) -> None:
        """One problem for every difference between what was expected and what the engine's states show."""
        for wanted, shown, what in (
            (expected.containers, self.delta.containers, ""),
            (expected.images, self.delta.images, "image of "),
        ):
            for key in sorted({*wanted, *shown}):
                if what or not self._only_not_started(key, wanted.get(key), shown.get(key)):
                    self._compare_one(f"{what}{self.who(key)}", wanted.get(key), shown.get(key))
        for name in sorted({*expected.volumes, *self.delta.volumes}):
            self._compare_one(f"volume {name}", expected.volumes.get(name), self.delta.volumes.get(name))

    def follow(self, who: str, identity: str, wanted: Sequence[Wanted]) -> None:
        """Looks for the entries in this order among those of one container."""
        events = self._containers[identity]
        at = 0
        shown: list[str] = []
        for entry in wanted:
            hit = next((i for i in range(at, len(events)) if entry.met_by(events[i])), None)
            if hit is None:
                others = [e for e in events[at:] if e.action == entry.action]
                instead = f", but {_described(others[0])}" if others else ""
                since = f" after {shown[-1]}" if shown else ""
                self.problem(f"no {entry} of {who}{since} in the engine's event stream{instead}")
            else:
                at = hit + 1
                shown.append(_described(events[hit]))
        if shown:
            self.fact(STREAM, f"{who}: {', '.join(shown)} (container {identity[:12]})")

    def container_events(self, identity: str) -> Sequence[EngineEvent]:
        return self._containers[identity]

    def doings(self, who: str, identity: str) -> None:
        """Tells what was done to a container, without judging it."""
        if done := [
            _described(event) for event in self._containers[identity] if event.action in DISTURBANCES
        ]:
            self.fact(STREAM, f"{who}: {', '.join(done)} (container {identity[:12]})")

    def mounted_by_others(self, volume: str) -> int:
        """How many containers that are not the stack's own mounted a volume."""
        own = {c.identity for state in (self.before, self.after) for c in state.containers.values()}
        mounts = (event for event in self._volumes[volume] if event.action == "mount")
        return len({event.attributes.get("container", "") for event in mounts} - own)

    def volume_destroyed_and_made(self, name: str) -> bool:
        """A `create` alone means nothing: the engine emits one whenever a container asks for the volume."""
        actions = [event.action for event in self._volumes[name]]
        return "destroy" in actions and "create" in actions[actions.index("destroy") :]

    def volumes(self, expected: Delta) -> None:
        """Demands that a volume to be made anew was destroyed and created, and that no other was."""
        for name, change in expected.volumes.items():
            destroyed = any(event.action == "destroy" for event in self._volumes[name])
            old, new = self.before.volumes.get(name), self.after.volumes.get(name)
            if change is not Change.RECREATED:
                if destroyed:
                    self.problem(f"volume {name} was destroyed, which this event must not do")
                continue
            if not destroyed:
                self.problem(f"no `destroy` of volume {name} in the engine's event stream")
            elif not self.volume_destroyed_and_made(name):
                self.problem(f"no `create` of volume {name} after its `destroy` in the engine's event stream")
            else:
                self.fact(STREAM, f"volume {name}: destroy, create")
            if old and new and old.created_at != new.created_at:
                self.fact(INSPECT, f"volume {name}: created {old.created_at}, now {new.created_at}")

    def images(self, expected: Delta) -> None:
        for key, change in expected.images.items():
            old, new = self.before.containers.get(key), self.after.containers.get(key)
            if change is Change.RECREATED and old and new and old.image != new.image:
                self.fact(INSPECT, f"image of {self.who(key)}: {_short(old.image)}, now {_short(new.image)}")

    def out_of_memory(self) -> None:
        for state in (self.before, self.after):
            for key, container in state.containers.items():
                if any(event.action == "oom" for event in self._containers[container.identity]):
                    self.problem(f"a process of {self.who(key)} was ended for lack of memory (`oom`)")

    def _with_volumes_of_the_stream(self, delta: Delta) -> Delta:
        """CreatedAt counts in seconds, so that a volume made anew at once may look the same."""
        anew = {
            name: Change.RECREATED
            for name, change in delta.volumes.items()
            if change is Change.SAME and self.volume_destroyed_and_made(name)
        }
        return Delta(delta.containers, delta.images, delta.volumes | anew)

    def _compare_one(self, what: str, wanted: Change | None, shown: Change | None) -> None:
        expected, actual = wanted or Change.SAME, shown or Change.SAME
        if expected is not actual:
            self.problem(f"{what}: expected {WORDS[expected]}, but it is {WORDS[actual]}")

    def untouched(self, who: str, old: ContainerState, but: Collection[str] = ()) -> None:
        """Demands that nothing was done to a container, other than these actions."""
        for event in self._containers[old.identity]:
            if event.action in DISTURBANCES and event.action not in but:
                self.problem(f"{who} was to be left alone, but the engine's stream has {_described(event)}")

    def left_alone(self) -> None:
        """Demands that nobody but the stack itself has ended or started its containers; what it did is told."""
        alone = (Change.SAME, Change.RESTARTED, Change.STOPPED)
        for key, change in self.delta.containers.items():
            who, old, new = self.who(key), self.before.containers.get(key), self.after.containers.get(key)
            if old is None or new is None or change not in alone:
                self._compare_one(who, Change.SAME, change)
                continue
            self.doings(who, old.identity)
            self.untouched(who, old, but=("die", "start", "restart"))
            self._given_up(who, old, new)
        self.out_of_memory()

    def ended_and_started(self, ended: Collection[str]) -> None:
        """Demands that these containers were killed and that all that ran before run again, the same ones; what the
        stack did to itself besides is told."""
        running = {key: Change.RESTARTED for key, state in self.before.containers.items() if state.running}
        self.compare(changed(self.before, containers={**idle(self.before), **running}))
        if not ended:
            self.problem("no container was running to be ended")
        for key, old in self.before.containers.items():
            who, new = self.who(key), self.after.containers.get(key)
            deaths = [event for event in self._containers[old.identity] if event.action == "die"]
            if old.identity not in ended or len(deaths) > 1:
                self.doings(who, old.identity)
            if old.identity in ended:
                begins = (START,) if self.came_up else ()
                self.follow(who, old.identity, (KILL, DIE, *begins))
            if new is not None and self.came_up:
                self._given_up(who, old, new)
        self.out_of_memory()

    def _one_end(self, who: str, old: ContainerState, own_death: bool) -> None:
        """The first end of a container must be the event's doing; later ones are told, not judged."""
        if not old.running:
            return
        events = self._containers[old.identity]
        first = next((i for i, event in enumerate(events) if event.action == "die"), None)
        if first is None:
            return
        killed = any(event.action == "kill" for event in events[:first])
        if own_death and killed:
            self.problem(f"{who} was killed through the engine, so that its restart policy was not asked")
        if not own_death and not killed:
            code = events[first].attributes.get("exitCode", "?")
            self.problem(f"{who} died on its own (exit code {code}) before the event reached it")
        self._later_deaths(who, events[first + 1 :])

    def _later_deaths(self, who: str, events: Sequence[EngineEvent]) -> None:
        begun = False
        for event in events:
            begun = begun or event.action == "start"
            if begun and event.action == "die":
                self.fact(STREAM, f"{who}: {_described(event)} after it had been started again")

    def _made(self, who: str, old: ContainerState | None, new: ContainerState | None) -> None:
        if new is None:
            self.problem(f"no container of {who} is there after the event")
        elif old is None or new.identity != old.identity:
            self.follow(who, new.identity, (CREATE, START) if self.came_up else (CREATE,))
            if old is None or old.running:
                self._later_deaths(who, self._containers[new.identity])

    def _given_up(self, who: str, old: ContainerState, new: ContainerState) -> None:
        """A service that ends well looks like a job that is done: whether the stack is ready cannot be told.

        One that ends otherwise did start, which is all that an event can do: the stack is then not ready.
        """
        if old.running and not new.running and new.exit_code == 0:
            self.problem(f"{who} ran before the event and ended by itself after it (exit code 0)")

    def _only_not_started(self, key: str, wanted: Change | None, shown: Change | None) -> bool:
        """Whether all that lacks is a start that came to nothing because of another service."""
        if self.came_up or wanted is not Change.RESTARTED:
            return False
        return shown is Change.STOPPED or (shown is Change.SAME and not self.before.containers[key].running)


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:12]
