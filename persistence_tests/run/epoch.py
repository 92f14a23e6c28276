"""One life of a stack, from its first `up` to its teardown; a name written in it is known in no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.records import AbsenceProbed, FoundElsewhere, Phase, Record, StackReady
from persistence_tests.paths.http import HttpPath
from persistence_tests.paths.volume import VolumePath
from persistence_tests.run.journal import RunJournal
from persistence_tests.run.readiness import wait_ready
from persistence_tests.run.verification import Observations, Verification
from persistence_tests.run.writing import LiveWriters, WritePlan

if TYPE_CHECKING:
    from persistence_tests.paths.base import ReadingPath, WritingPath
    from persistence_tests.run.run import Run
    from persistence_tests.scenario.scenario import Scenario, WriteRule
    from persistence_tests.stack.stack import Stack

LIVE_FILES = 200  # a rule, while an event is applied: more than any event here leaves time for
LIVE_BYTES = 64 * 1024


class Epoch:
    def __init__(
        self, run: Run, scenario: Scenario, stack: Stack, paths: dict[str, ReadingPath], number: int
    ) -> None:
        self.stack = stack
        self.ledger = Ledger()
        self._run = run
        self._scenario = scenario
        self._paths = paths
        self._number = number
        self._lock = threading.Lock()
        self._plan = WritePlan(scenario, run.identity, run.settings.seed, run.identities)
        self.journal = RunJournal(self.record)
        self._verification = Verification(run.identity, paths.values(), self.ledger, self.record)

    def record(self, record: Record) -> None:
        """Put a record into the history, then let the ledger know it."""
        with self._lock:
            self._run.record(self._scenario.name, record)
            self.ledger.record(record)

    def bring_up(self) -> bool:
        """Start the stack from nothing; whether it became ready. The record says why not."""
        began = time.monotonic()
        try:
            self.stack.start()
        except StackError as error:
            self.record(StackReady(self._number, False, time.monotonic() - began, error.what))
            return False
        ready, why = self.wait_ready()
        seconds = time.monotonic() - began
        images = {key: state.image for key, state in self.stack.state().containers.items()}
        self.record(StackReady(self._number, ready, seconds, why, images, self.stack.mounts()))
        if ready:
            self._probe_absence()
            self._verification.list_baseline()
        return ready

    def wait_ready(self) -> tuple[bool, str | None]:
        ready = self._scenario.ready
        probe = self._paths.get(ready.path) if ready.path else None
        asking = (probe, ready.url) if isinstance(probe, HttpPath) and ready.url else None
        return wait_ready(self.stack, asking, ready.within)

    def write(self, step: str) -> list[str]:
        """Make what the write rules ask for; the names written."""
        names = []
        for batch in self._plan.batches(step, self._writer):
            batch.writer.write(batch.writes, self.journal, threading.Event())
            names += [write.operation.name for write in batch.writes]
        return names

    def write_one(self, step: str) -> str:
        """One small file through the first rule; its name."""
        batches = self._plan.batches(
            step, self._writer, count=1, largest=LIVE_BYTES, rules=self._scenario.rules[:1]
        )
        (batch,) = batches
        batch.writer.write(batch.writes, self.journal, threading.Event())
        return batch.writes[0].operation.name

    def live_writers(self, step: str) -> LiveWriters:
        batches = self._plan.batches(step, self._writer, count=LIVE_FILES, largest=LIVE_BYTES)
        return LiveWriters(batches, self.journal)

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
        looked_at = {path.volume for path in self._paths.values() if isinstance(path, VolumePath)}
        for volume in sorted(self.stack.recorded_volumes() - looked_at):
            view = VolumePath.scan(self.stack, volume)
            digests = {
                (observation.size, observation.sha256)
                for observation in view.observations.values()
                if observation.kind is NodeKind.FILE and (observation.size or 0) > 1
            }
            for name in gone:
                if self.ledger.expected(name) & digests:
                    self.record(FoundElsewhere(step, name, volume))

    def _writer(self, rule: WriteRule) -> WritingPath:
        path = self._paths[rule.through]
        return path.writer(rule.request, rule.multipart) if isinstance(path, HttpPath) else path

    def _probe_absence(self) -> None:
        for name, path in self._paths.items():
            if isinstance(path, HttpPath):
                directory = self._scenario.rules[0].into[0]
                shows, detail = path.probe_absence(f"{directory}/never-written-{self._run.identity}.bin")
                self.record(AbsenceProbed(name, shows, detail))
