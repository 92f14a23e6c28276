"""One life of a stack, from its first `up` to its teardown; a name written in it is known in no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError, UsageError
from persistence_tests.model.closure import AsStored, Exactly, versions
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import OperationKind
from persistence_tests.model.records import (
    AbsenceProbed,
    FoundElsewhere,
    Phase,
    Record,
    ScenarioBegan,
    StackReady,
)
from persistence_tests.paths.direct import DirectPath
from persistence_tests.paths.elsewhere import files_of
from persistence_tests.paths.http import HttpPath
from persistence_tests.run.aside import Aside
from persistence_tests.run.coverage import off_disks
from persistence_tests.run.interruption import is_interrupt
from persistence_tests.run.journal import RunJournal
from persistence_tests.run.meanwhile import Meanwhile, writing
from persistence_tests.run.playing import Playing
from persistence_tests.run.readiness import wait_ready
from persistence_tests.run.reading import Reads, reading
from persistence_tests.run.verification import Observations, Verification
from persistence_tests.run.writing import Batch, WritePlan, Writers, merged

if TYPE_CHECKING:
    from persistence_tests.events.gate import Gate
    from persistence_tests.paths.base import PendingWrite, ReadingPath, WritingPath
    from persistence_tests.run.run import Run
    from persistence_tests.scenario.scenario import Scenario, WriteRule
    from persistence_tests.stack.stack import Stack

Content = tuple[int | None, str | None]

LIVE_BYTES = 64 * 1024  # a file that is written while an event is applied
READY_WITHIN = 60.0  # seconds, where the scenario says nothing


class Epoch:
    def __init__(
        self,
        run: Run,
        scenario: Scenario,
        began: ScenarioBegan,
        stack: Stack,
        paths: dict[str, ReadingPath],
        number: int,
    ) -> None:
        self.stack = stack
        self.ledger = Ledger()
        self.ledger.record(began)
        self.media = stack.laid.media if stack.laid else None
        self.disturbed: set[int] = set()
        """Operations that the harness itself does not let through."""
        self._run = run
        self._scenario = scenario
        self._paths = paths
        self._number = number
        self._lock = threading.Lock()
        self._plan = WritePlan(scenario, run.identity, run.settings.seed, run.identities, self.ledger)
        self.journal = RunJournal(self.record)
        observed = {declared.name for declared in began.paths}
        self._observed = {name: path for name, path in paths.items() if name in observed}
        self._verification = Verification(
            run.identity, self._observed.values(), self.ledger, self.record, began.ignore
        )

    def record(self, record: Record) -> None:
        """Put a record into the history, then let the ledger know it."""
        with self._lock:
            self._run.record(self._scenario.name, record)
            self.ledger.record(record)

    def names(self) -> list[str]:
        """The ledger's names, be it that somebody goes on writing."""
        with self._lock:
            return self.ledger.names()

    def bring_up(self) -> bool:
        """Start the stack from nothing; whether it became ready. The record says why not."""
        began = time.monotonic()
        try:
            self.stack.start()
        except StackError as error:
            if is_interrupt(error):
                raise
            self.record(StackReady(self._number, False, time.monotonic() - began, error.what))
            return False
        ready, why = self.wait_ready()
        if ready:
            why = self._set_up()
            ready = why is None
        seconds = time.monotonic() - began
        images = {key: state.image for key, state in self.stack.state().containers.items()}
        self.record(StackReady(self._number, ready, seconds, why, images, self.stack.mounts()))
        if ready:
            self._probe_absence()
            self._verification.list_baseline()
        return ready

    def _set_up(self) -> str | None:
        """Run the scenario's own commands on the ready stack; the first that fails, in words."""
        for line in self._scenario.stack.setup:
            result = self.stack.command(line)
            if result.exit_code != 0:
                said = " ".join(result.stderr.split())[-300:]
                return f"the setup command `{line}` failed with exit code {result.exit_code}: {said}"
        return None

    @property
    def patience(self) -> float:
        """Seconds that the stack has to become ready."""
        ready = self._scenario.ready
        return ready.within if ready else READY_WITHIN

    def wait_ready(self, within: float | None = None) -> tuple[bool, str | None]:
        """Whether it is ready, and why not; `within` as much time as it has, if it is not said otherwise."""
        ready = self._scenario.ready
        probe = self._paths.get(ready.path) if ready and ready.path else None
        asking = (probe, ready.url) if ready and ready.url and isinstance(probe, HttpPath) else None
        return wait_ready(self.stack, asking, self.patience if within is None else within)

    def off_disks(self) -> list[str]:
        """Which stored paths lie on no crash disk, in words: what they show says nothing of a cut."""
        return off_disks([path.declared for path in self._observed.values()], self.stack)

    def write(self, step: str) -> list[str]:
        """Make what the write rules ask for, new files first; the names that were touched."""
        for path in self._paths.values():
            if isinstance(path, HttpPath):
                path.forget_login()
        with self._writers() as writer:
            names = self._make(self._plan.batches(step, writer))
            # Neither concerns a name of the other.
            with self._lock:  # others may go on writing meanwhile
                later = [*self._plan.besides(step, writer), *self._plan.changes(step, writer)]
            names += self._make(merged(later))
        return list(dict.fromkeys(names))

    def play(self, step: str) -> Playing:
        """To make in the middle of an event what the write rules ask for."""
        return Playing(self, self._scenario.rules, step)

    def change(self, step: str) -> list[str]:
        """Overwrite, append to, rename and delete what the rules say, of what is there; the names touched."""
        with self._lock:  # others may go on writing meanwhile
            batches = self._plan.changes(step, self._writer)
        return self._make(batches)

    def _make(self, batches: Sequence[Batch]) -> list[str]:
        """What several rules do, at once: no rule needs the files of another."""
        stop = threading.Event()
        writes = [write for batch in batches for write in batch.writes]
        self.disturbed |= {w.operation.identity for w in writes if w.left_out or w.cut_after is not None}
        try:
            makes = [Aside(partial(each.writer.write, each.writes, self.journal, stop)) for each in batches]
            for make in makes:
                make.result()
        finally:
            stop.set()
        return [name for batch in batches for name in self._names_of(batch)]

    def _names_of(self, batch: Batch) -> list[str]:
        """The files of a batch, under the names that the stack gave them where it names them itself."""
        known = self.ledger.operations
        operations = [known.get(write.operation.identity) or write.operation for write in batch.writes]
        files = [o for o in operations if o.kind is not OperationKind.MKDIR and not o.provisional]
        return [name for o in files for name in (o.name, o.target) if name is not None]

    def write_one(self, step: str, rule: WriteRule | None = None) -> str | None:
        """One small file through this rule or the first; its name, if the stack tells it."""
        rules = [rule or self._scenario.rules[0]]
        (batch,) = self._plan.batches(step, self._writer, count=1, largest=LIVE_BYTES, rules=rules)
        batch.writer.write(batch.writes, self.journal, threading.Event())
        return next(iter(self._names_of(batch)), None)

    def pending(self, step: str, through: str) -> PendingWrite:
        """A file that an event is to write itself."""
        return self._plan.single(step, through, LIVE_BYTES + 1)

    def meanwhile(self, step: str, gate: Gate) -> Meanwhile:
        """Those who go on while an event is applied: one for each write rule, or for each path that can be read."""
        if gate.belongs_to == "reading":
            return self._readers(gate)
        beyond = gate.count if gate.observed == "sent" else None
        works = [
            writing(
                self._writer(rule), self._plan.endless(step, rule, LIVE_BYTES, beyond), self.journal, gate
            )
            for rule in self._scenario.rules
        ]
        return Meanwhile(gate, works)

    def _readers(self, gate: Gate) -> Meanwhile:
        # What is held on to by a reader of a volume could not be removed: those paths are left out.
        paths = {n: p for n, p in self._observed.items() if isinstance(p, HttpPath | DirectPath)}
        reads = [Reads(name) for name in paths]
        works = [
            reading(path.live_reader, self._certain(), account, count_bytes=gate.observed == "received")
            for path, account in zip(paths.values(), reads, strict=True)
        ]
        return Meanwhile(gate, works, reads)

    def _certain(self) -> dict[str, Content]:
        """Size and digest of every file of which there is no doubt what it must be."""
        certain: dict[str, Content] = {}
        for name in self.ledger.names():
            states = self.ledger.states(name)
            if len(states) == 1 and isinstance(state := next(iter(states)), Exactly):
                certain[name] = (state.version.size, state.version.sha256)
        return certain

    def observe(
        self, step: str, phase: Phase, names: Iterable[str], *, server_down: bool = False
    ) -> dict[str, Observations]:
        return self._verification.observe(step, phase, list(names), server_down=server_down)

    def stored(self, seen: dict[str, Observations], name: str) -> Observation | None:
        """What the first path that reads stored bytes shows for a name."""
        for path, observations in seen.items():
            if self._paths[path].declared.stored and name in observations:
                return observations[name]
        return None

    def find_elsewhere(self, step: str, seen: dict[str, Observations]) -> None:
        """Look on every other volume that this stack ever had for the bytes of names that are gone."""
        gone = [
            name
            for name in self.ledger.names()
            if (there := self.stored(seen, name)) is not None
            and there.kind is NodeKind.ABSENT
            and not self.ledger.allows(name, there, stored=True)
        ]
        if not gone:
            return
        wanted = {name: self._wanted(name) for name in gone}
        for volume in sorted(self.stack.recorded_volumes() - self._own_volumes()):
            held = {(file.size, file.sha256) for file in files_of(self.stack, volume).values()}
            for name in gone:
                if wanted[name] & held:
                    self.record(FoundElsewhere(step, name, volume))

    def versions(self, name: str) -> set[Content]:
        """Size and digest of every version that the name ever had by right."""
        entry = self.ledger.name(name)
        known = entry.acknowledged | entry.undone | versions(self.ledger.states(name))
        made = {self.ledger.kept_of(identity) for identity in self.ledger.operations_on(name)}
        return {(version.size, version.sha256) for version in known} | {kept for kept in made if kept}

    def _wanted(self, name: str) -> set[Content]:
        """What must be there, where it is long enough that no other file holds it by chance."""
        states = self.ledger.states(name)
        wanted: set[Content] = {(version.size, version.sha256) for version in versions(states)}
        wanted |= {(state.size, state.sha256) for state in states if isinstance(state, AsStored)}
        return {(size, sha256) for size, sha256 in wanted if size is not None and size > 1}

    def _own_volumes(self) -> set[str]:
        """The volumes that a path reads: what is gone from one of them is not elsewhere."""
        keys = [path.declared.detail.get("volume") for path in self._paths.values()]
        return {self.stack.volume(key) for key in keys if key}

    @contextmanager
    def _writers(self) -> Iterator[Writers]:
        """One writer for each rule, with whatever it keeps open, until the context is left."""
        with ExitStack() as opened:
            made: dict[int, WritingPath] = {}

            def writer(rule: WriteRule) -> WritingPath:
                if rule.index not in made:
                    made[rule.index] = opened.enter_context(self._writer(rule))
                return made[rule.index]

            yield writer

    def _writer(self, rule: WriteRule) -> WritingPath:
        path = self._paths[rule.through]
        if isinstance(path, HttpPath):
            return path.writer(rule.requests, rule.writers, rule.uploading)
        if isinstance(path, DirectPath):
            return path.writer(rule.overwriting, rule.writers)
        raise UsageError(f"the path {rule.through} cannot be written through")

    def _probe_absence(self) -> None:
        for name, path in self._observed.items():
            if isinstance(path, HttpPath):
                directory = self._scenario.rules[0].into[0]
                shows, detail = path.probe_absence(f"{directory}/never-written-{self._run.identity}.bin")
                self.record(AbsenceProbed(name, shows, detail))
