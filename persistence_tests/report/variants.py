"""One entry of a scenario may stand for several steps, its variants: reports show them as one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from persistence_tests.model.finding import Verdict, worst
from persistence_tests.model.records import StepPlanned
from persistence_tests.report.result import FindingResult, PathResult, StepResult, VariantResult, Written

BETWEEN = " ,:"


@dataclass(frozen=True, slots=True)
class Row:
    """The steps of one entry, in their order: mostly one."""

    steps: Sequence[StepResult]

    @property
    def title(self) -> str:
        first = self.steps[0]
        return first.variant.of if first.variant and len(self.steps) > 1 else first.title

    @property
    def verdict(self) -> Verdict:
        return worst([step.verdict for step in self.steps])

    @property
    def several(self) -> bool:
        return len(self.steps) > 1

    @property
    def findings(self) -> list[FindingResult]:
        return [finding for step in self.steps for finding in step.findings]

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)

    @property
    def ready_seconds(self) -> float | None:
        """The longest until the stack was ready again."""
        return max(
            (step.ready_seconds for step in self.steps if step.ready_seconds is not None), default=None
        )

    @property
    def written(self) -> Written:
        told = [step.written for step in self.steps]
        return Written(sum(w.ok for w in told), sum(w.fail for w in told), sum(w.info for w in told))

    @property
    def paths(self) -> dict[str, PathResult]:
        """Names that were looked at in several steps are counted in each."""
        summed: dict[str, PathResult] = {}
        for step in self.steps:
            for path, count in step.paths.items():
                before = summed.get(path, PathResult(0, 0))
                summed[path] = PathResult(before.checked + count.checked, before.ok + count.ok)
        return summed

    @property
    def controls(self) -> str:
        """none, ok or misbehaved."""
        told = [control for step in self.steps for control in step.controls]
        if not told:
            return "none"
        return "ok" if all(control.behaved for control in told) else "misbehaved"

    @property
    def tally(self) -> str:
        """ "5 variants: 1 lost, 4 kept"."""
        verdicts = Counter(step.verdict for step in self.steps)
        told = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
        return f"{len(self.steps)} variants: {told}"


def rows(steps: Iterable[StepResult]) -> list[Row]:
    """The steps by their entries; one that belongs to no entry, or is not known to, is a row by itself."""

    def entry(placed: tuple[int, StepResult]) -> tuple[str, int]:
        place, step = placed
        return ("step", place) if step.entry is None else ("entry", step.entry)

    return [Row([step for _, step in own]) for _, own in groupby(enumerate(steps), key=entry)]


def label(step: StepResult) -> str:
    """What a step is called beside the other variants of its entry."""
    return step.variant.name if step.variant else step.title


def variants(planned: Iterable[StepPlanned]) -> dict[str, VariantResult]:
    """What the steps of an entry that has several have in common, and what sets each apart, by step."""
    found: dict[str, VariantResult] = {}
    for entry, own in groupby(planned, key=lambda each: each.entry):
        steps = list(own)
        if entry is None or len(steps) < 2:
            continue
        titles = [step.title for step in steps]
        begin = _begin(titles)
        rests = [title[len(begin) :] for title in titles]
        end = _end(rests)
        of = f"{begin} {end}".strip() or steps[0].event
        names = [rest.removesuffix(end).strip(BETWEEN) for rest in rests]
        for step, name in zip(steps, names, strict=True):
            found[step.step] = VariantResult(of, name if name and names.count(name) == 1 else step.step)
    return found


def _begin(titles: Sequence[str]) -> str:
    """What all titles begin with, up to the end of a word in each."""
    prefix = min(titles, key=len)
    while prefix and not all(t.startswith(prefix) and t[len(prefix) :][:1] in BETWEEN for t in titles):
        prefix = prefix[:-1]
    return prefix.rstrip(BETWEEN)


def _end(titles: Sequence[str]) -> str:
    """The words that all titles end with."""
    backwards = zip(*(reversed(title.split()) for title in titles), strict=False)
    shared = [words[0] for words in takewhile(lambda words: len(set(words)) == 1, backwards)]
    return " ".join(reversed(shared))
