"""Losses that the team knows of: which wrong names they cover, and when one of them is mended.

A known loss covers what is wrong after its event, with its symptom, on its paths and no other, under its names; up to
and with the day of its `until`. What it covers is a finding all the same, one of its own, and fails nothing.

It is mended once its event went by so many times in a row (`mended_after`, over runs: `clean` are those before this
one) without it. Only a step counts that is kept, and in which each path of the known loss showed one of its names
right: what is missing cannot be empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from persistence_tests.model.finding import KnownLoss, KnownState, KnownStatus, StepJudgement, Verdict
from persistence_tests.model.oracle.facts import Wrong
from persistence_tests.model.oracle.listing import ignored
from persistence_tests.model.oracle.passes import Judgement


@dataclass(frozen=True)
class Known:
    """The known losses of a scenario on the day of the run (ISO 8601, UTC), None where nobody knows the day."""

    losses: tuple[KnownLoss, ...]
    day: str | None

    def over(self, loss: KnownLoss) -> bool:
        return loss.until is not None and (self.day is None or self.day > loss.until)

    def covering(self, wrong: Wrong, step: str, event: str) -> KnownLoss | None:
        found = [loss for loss in self.losses if _covers(loss, wrong, step, event)]
        return next((loss for loss in found if not self.over(loss)), None)

    def expired(self, wrongs: Iterable[Wrong], step: str, event: str) -> list[KnownLoss]:
        """Those that would cover something that is wrong, but for their date."""
        wrongs = list(wrongs)
        return [
            loss
            for loss in self.losses
            if self.over(loss) and any(_covers(loss, wrong, step, event) for wrong in wrongs)
        ]


class Streaks:
    """Follows the steps of a run in their order."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._clean = [loss.clean for loss in known.losses]
        self._names: list[set[str]] = [set() for _ in known.losses]
        self._tried = [False] * len(known.losses)

    def follow(self, judged: StepJudgement, looks: Sequence[Judgement]) -> StepJudgement:
        """The judgement of the step: one that is kept is `inconclusive` where it shows that a known loss is mended."""
        reasons = []
        for place, loss in enumerate(self._known.losses):
            if loss.event not in {judged.step, judged.event} or self._known.over(loss):
                continue
            names = {name for found in judged.findings if found.known is loss for name in found.names}
            if names:
                self._names[place] |= names
                self._clean[place], self._tried[place] = 0, True
            elif judged.verdict is Verdict.KEPT and _looked(loss, looks):
                self._clean[place] += 1
                self._tried[place] = True
                if self._clean[place] >= loss.mended_after:
                    reasons.append(_mended(loss, self._clean[place]))
        if not reasons:
            return judged
        return replace(judged, verdict=Verdict.INCONCLUSIVE, reasons=(*reasons, *judged.reasons))

    def states(self) -> tuple[KnownState, ...]:
        return tuple(
            KnownState(loss, self._status(place, loss), len(self._names[place]), self._clean[place])
            for place, loss in enumerate(self._known.losses)
        )

    def _status(self, place: int, loss: KnownLoss) -> KnownStatus:
        if self._known.over(loss):
            return KnownStatus.EXPIRED
        if self._names[place]:
            return KnownStatus.FAILING
        if not self._tried[place]:
            return KnownStatus.NOT_TRIED
        return KnownStatus.MENDED if self._clean[place] >= loss.mended_after else KnownStatus.NOT_SEEN


def _covers(loss: KnownLoss, wrong: Wrong, step: str, event: str) -> bool:
    return (
        loss.event in {step, event}
        and loss.symptom is wrong.symptom
        and set(wrong.paths) <= set(loss.paths)
        and (not loss.names or ignored(wrong.name.rstrip("/"), loss.names))
    )


def _looked(loss: KnownLoss, looks: Sequence[Judgement]) -> bool:
    """Whether it would have been seen: each of its paths showed one of its names, and it was right."""
    return all(
        any(
            not loss.names or ignored(name, loss.names) for look in looks for name in look.right.get(path, ())
        )
        for path in loss.paths
    )


def _mended(loss: KnownLoss, clean: int) -> str:
    steps = "this step" if clean == 1 else f"each of the last {clean} steps with its event"
    return (
        f"the known loss on line {loss.line}, {loss.symptom} after `{loss.event}` ({loss.why}), is mended: {steps} "
        "was clean; remove it from `known`, or raise its `mended_after` if it comes and goes"
    )
