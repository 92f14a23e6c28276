"""Plays the write rules in the middle of an event, and tells what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_random_exponential

from persistence_tests.events.base import Played
from persistence_tests.model.operation import Outcome

if TYPE_CHECKING:
    from persistence_tests.run.epoch import Epoch
    from persistence_tests.scenario.scenario import WriteRule


class Playing:
    """Tells of the operations that were begun since it was made."""

    def __init__(self, epoch: Epoch, rules: Sequence[WriteRule], step: str) -> None:
        self._epoch, self._rules, self._step = epoch, rules, step
        self._earlier = frozenset(epoch.ledger.operations)

    def once(self) -> list[Played]:
        self._epoch.write(self._step)
        return [self._played(rule) for rule in self._rules]

    def until_acknowledged(self) -> tuple[list[Played], list[Played]]:
        """Everything once, then one more file of each rule that was answered nothing good, again and again; what came
        of it, and those that had nothing acknowledged in the time that the stack has to become ready."""

        def silent() -> list[WriteRule]:
            return [r for r in self._rules if (p := self._played(r)).tried and not p.acknowledged]

        def try_again() -> bool:
            for rule in silent():
                self._epoch.write_one(self._step, rule)
            return bool(silent())

        self._epoch.wait_ready()
        self._epoch.write(self._step)
        with suppress(RetryError):
            Retrying(
                stop=stop_after_delay(self._epoch.patience),
                wait=wait_random_exponential(multiplier=0.05, max=1.0),
                retry=retry_if_result(bool),
            )(try_again)
        return [self._played(rule) for rule in self._rules], [self._played(rule) for rule in silent()]

    def _played(self, rule: WriteRule) -> Played:
        ledger, said = self._epoch.ledger, self._epoch.journal.said
        mine = [
            identity
            for identity in sorted({*ledger.operations} - self._earlier - self._epoch.disturbed)
            if (operation := ledger.operations[identity]).rule == rule.index
            and operation.payload is not None
            and operation.payload.size > 0
        ]
        acknowledged = [identity for identity in mine if ledger.outcomes.get(identity) is Outcome.OK]
        complaints = [said[identity] for identity in mine if identity in said]
        title = f"rule {rule.index} ({rule.title or rule.through})"
        return Played(title, len(mine), len(acknowledged), complaints[-1] if complaints else "")
