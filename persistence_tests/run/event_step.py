"""One step: the writes, the event with its proof and its controls, the verification."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from persistence_tests.errors import PersistenceError, StackError
from persistence_tests.events.evidence import destroyed_volumes
from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import (
    Checkpointed,
    ControlCheck,
    ControlsChecked,
    Duty,
    EventBegan,
    EventEnded,
    Phase,
    StackChanged,
    StackReadyAgain,
)
from persistence_tests.run.aside import Aside
from persistence_tests.run.interruption import is_interrupt
from persistence_tests.run.verification import Observations
from persistence_tests.stack.compose import ComposeFailed, ServicesNotStarted
from persistence_tests.stack.control import EXTERNAL_VOLUME, NAMED_VOLUME
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.events.base import Event, Played
    from persistence_tests.run.epoch import Epoch
    from persistence_tests.run.run import Run

SECONDS_FOR_WRITERS = 30.0
OWN_STORES = frozenset({Store.SYNCED, Store.NEVER_SYNCED})  # the event itself looks
BACKUP_STORES = frozenset({Store.AFTER_BACKUP, Store.BEFORE_BACKUP})


class EventStep:
    """Applies one event to a running epoch and records everything that the oracle needs."""

    def __init__(self, run: Run, epoch: Epoch, event: Event, step: str) -> None:
        self._run = run
        self._epoch = epoch
        self._event = event
        self._step = step
        self._before_backup: tuple[str, ...] = ()
        self._after_backup: str | None = None
        self._not_started: str | None = None
        self._not_recovered: str | None = None

    def checkpoint(self) -> None:
        """Called by an event once its backup is made: what is there now must come back."""
        self._before_backup = tuple(self._epoch.names())
        self._epoch.record(Checkpointed(self._step))
        self._after_backup = self._epoch.write_one(self._step)
        self._epoch.change(self._step)

    def look(self) -> None:
        """Called by an event in its middle: what it has done so far must show everything."""
        gate = self._event.gate
        if gate is not None and gate.belongs_to == "writing":
            return
        ready, _, why = self._ready_again()
        if not ready:
            raise StackError(f"the stack was not ready in the middle of {self._event.name}: {why}")
        self._epoch.observe(self._step, Phase.AFTER, self._epoch.names())

    def look_if_ready(self) -> str | None:
        """Called by an event in its middle, when the stack may rightly be unwell; why nothing was looked at."""
        if self._event.gate is not None and self._event.gate.belongs_to == "writing":
            return "writers went on"
        ready, why = self._epoch.wait_ready(within=0)
        if not ready:
            return f"the stack was not ready: {why}"
        self._epoch.observe(self._step, Phase.AFTER, self._epoch.names())
        return None

    def write_rules(self) -> Sequence[Played]:
        """Called by an event in its middle."""
        return self._epoch.play(self._step).once()

    def write_again(self, after: str) -> Sequence[Played]:
        """Called by an event that is over."""
        played, silent = self._epoch.play(self._step).until_acknowledged()
        if silent:
            told = [f"{each.rule}: {each.tried} tried, the last answer: {each.said}" for each in silent]
            self._not_recovered = f"no write was acknowledged after {after}; {'; '.join(told)}"
        return played

    def write(self, write: Callable[[str, bytes], None]) -> None:
        """Called by an event that writes a file itself."""
        pending = self._epoch.pending(self._step, self._event.name)
        operation, journal = pending.operation, self._epoch.journal
        assert pending.content is not None
        journal.invoked(operation)
        try:
            write(operation.name, b"".join(pending.content.chunks()))
        except BaseException as error:
            said = error.what if isinstance(error, PersistenceError) else repr(error)
            journal.completed(operation.identity, Outcome.INFO, said)
            raise
        journal.completed(operation.identity, Outcome.OK)

    def execute(self) -> None:
        epoch, step, control = self._epoch, self._step, self._epoch.stack.control
        token = secrets.token_hex(8)
        self._event.before_writes(epoch.stack)
        written = Aside(lambda: control.write(token))
        fresh = epoch.write(step)
        epoch.observe(step, Phase.BEFORE, fresh)
        written.result()
        self._apply()
        # The control container is there as soon as the event is over; the stack may need longer.
        kept = Aside(lambda: control.check(token))
        ready, seconds, why = self._ready_again()
        epoch.record(StackReadyAgain(step, ready, seconds, why))
        seen = epoch.observe(step, Phase.AFTER, epoch.ledger.names(), server_down=not ready)
        epoch.find_elsewhere(step, seen)
        self._check_controls(kept, seen)

    def _apply(self) -> None:
        event, stack, step = self._event, self._epoch.stack, self._step
        stood = stack.prepared
        event.prepare(stack)
        before = stack.state()
        problems = self._epoch.off_disks() if event.on_disks else []
        failure: str | None = None
        meanwhile = self._epoch.meanwhile(step, event.gate) if event.gate else None
        with stack.watch() as watch, meanwhile or nullcontext():
            if meanwhile:
                problems += meanwhile.begin()
            self._epoch.record(EventBegan(step, event.cuts))
            self._run.sync()
            began = time.monotonic()
            try:
                event.apply(stack, self)
            except StackError as error:
                if is_interrupt(error):
                    raise
                said = error.in_one_line if isinstance(error, ComposeFailed) else error.what
                if isinstance(error, ServicesNotStarted):
                    self._not_started = said
                    stack.control.start()
                else:
                    failure = said
            seconds = time.monotonic() - began
            if meanwhile:
                problems += meanwhile.stop(SECONDS_FOR_WRITERS)
                for reads in meanwhile.reads:
                    self._epoch.record(reads.record(step))
            after = stack.state()
            seen = watch.finish()
        proof = event.prove(before, after, seen, came_up=self._not_started is None)
        # Of a command that failed, everything else that is missing is only the consequence.
        problems = [failure] if failure else [*problems, *proof.problems]
        evidence = (*proof.evidence, *(meanwhile.evidence() if meanwhile else ()))
        remade, destroyed = _remade(before, after), _destroyed(before, seen)
        self._epoch.record(
            EventEnded(step, not problems, seconds, evidence, tuple(problems), remade, destroyed, proof.unmet)
        )
        if (stands := stack.prepared) is not stood:
            self._epoch.record(
                StackChanged(step, stands.project, stands.original, stands.changes, stack.mounts())
            )
        self._run.sync()

    def _ready_again(self) -> tuple[bool, float, str | None]:
        began = time.monotonic()
        ready, why = self._epoch.wait_ready()
        if ready and self._not_recovered:
            ready, why = False, self._not_recovered
        if not ready and self._not_started:
            why = "; ".join(filter(None, (self._not_started, why)))
        return ready, time.monotonic() - began, why

    def _check_controls(self, kept: Aside[dict[Store, bool]], seen: dict[str, Observations]) -> None:
        controls = self._event.duties()
        wanted = [
            (duty, store)
            for duty, store in ((Duty.MUST_LOSE, controls.must_lose), (Duty.MUST_KEEP, controls.must_keep))
            if store is not None
        ]
        checks: list[ControlCheck] = []
        for duty, store in wanted:
            if store in OWN_STORES:
                continue
            there = self._backup_file_there(store, seen) if store in BACKUP_STORES else kept.result()[store]
            checks.append(_check(duty, store.value, there))
        checks += self._event.control_checks()
        self._epoch.record(ControlsChecked(self._step, tuple(duty for duty, _ in wanted), tuple(checks)))

    def _backup_file_there(self, store: Store, seen: dict[str, Observations]) -> bool | None:
        if store is Store.AFTER_BACKUP:
            return None if self._after_backup is None else self._intact((self._after_backup,), seen)
        return self._intact(self._before_backup, seen)

    def _intact(self, names: Iterable[str], seen: dict[str, Observations]) -> bool:
        """Whether the bytes of at least one of the names are there."""
        return any(
            (there := self._epoch.stored(seen, name)) is not None
            and (there.size, there.sha256) in self._epoch.versions(name)
            for name in names
        )


def _remade(before: EngineState, after: EngineState) -> tuple[str, ...]:
    """The stack's services that have another container than before."""
    then = {state.identity for state in before.containers.values()}
    services = {state.service for state in after.containers.values() if state.identity not in then}
    return tuple(sorted(services - {CONTROL_SERVICE}))


def _destroyed(before: EngineState, seen: Sequence[EngineEvent]) -> tuple[str, ...]:
    """Keys of the stack's volumes that the engine destroyed."""
    keys = {str(before.volumes[name].key) for name in destroyed_volumes(before, seen)}
    return tuple(sorted(keys - {NAMED_VOLUME, EXTERNAL_VOLUME}))


def _check(duty: Duty, store: str, there: bool | None) -> ControlCheck:
    if there is None:
        return ControlCheck(store, duty, False, f"{store}: was never written")
    behaved = there is (duty is Duty.MUST_KEEP)
    return ControlCheck(store, duty, behaved, f"{store}: {'still there' if there else 'gone'}")
