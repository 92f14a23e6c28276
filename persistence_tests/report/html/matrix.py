"""The table of events and paths: a row for each entry of the scenario, with the variants that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from persistence_tests.model.finding import Verdict
from persistence_tests.report.result import PathResult, StepResult, Written
from persistence_tests.report.variants import Row, label, rows
from persistence_tests.report.wording import known_losses, verdict_said

WORST_FIRST = ("lost", "unavailable", "known", "inconclusive", "skipped", "some", "none", "kept")


@dataclass(frozen=True, slots=True)
class Cell:
    """What a path showed after an event: `look` is kept, lost, unavailable, some or none; `link` a step."""

    path: str
    look: str
    text: str
    said: str
    link: str


@dataclass(frozen=True, slots=True)
class VariantView:
    id: str
    verdict: Verdict
    known: bool
    name: str
    said: str


@dataclass(frozen=True, slots=True)
class RowView:
    """`ids` are those of its steps, `link` is the worst of them; `variants` are none where it is one step."""

    ids: list[str]
    link: str
    title: str
    verdict: Verdict
    said: str
    variants: list[VariantView]
    cells: list[Cell]
    written: Written
    controls: str
    ready_seconds: float | None
    seconds: float


def matrix(steps: Sequence[StepResult], ids: Mapping[str, str], paths: Sequence[str]) -> list[RowView]:
    """`ids` has the anchor of each step."""
    return [_row(row, ids, paths) for row in rows(steps)]


def _row(row: Row, ids: Mapping[str, str], paths: Sequence[str]) -> RowView:
    worst = next(step for step in row.steps if step.verdict is row.verdict)
    return RowView(
        ids=[ids[step.step] for step in row.steps],
        link=ids[worst.step],
        title=row.title,
        verdict=row.verdict,
        said=verdict_said(row.verdict, row.findings),
        variants=[
            VariantView(
                ids[step.step],
                step.verdict,
                known_losses(step.findings) > 0,
                label(step),
                verdict_said(step.verdict, step.findings),
            )
            for step in row.steps
            if row.several
        ],
        cells=[_cell(row, path, ids) for path in paths],
        written=row.written,
        controls=row.controls,
        ready_seconds=row.ready_seconds,
        seconds=row.seconds,
    )


def _cell(row: Row, path: str, ids: Mapping[str, str]) -> Cell:
    """Of several steps, all names that were looked at, and what the worst of them look like."""
    told = [(step, *_told(step, path)) for step in row.steps]
    step, look, _ = min(told, key=lambda each: WORST_FIRST.index(each[1]))
    count = row.paths.get(path) or PathResult(0, 0)
    text = f"{count.ok}/{count.checked}" if count.checked else "–"
    wrong = [finding for finding in row.findings if path in finding.paths]
    if wrong and count.ok == count.checked:
        text += f" +{sum(finding.count for finding in wrong)}"
    if row.several:
        odd = [f"{label(each)}: {said}" for each, looks, said in told if looks != "kept"]
        said = "; ".join(odd) or f"all {count.checked} names right, in {len(row.steps)} variants"
    else:
        said = told[0][2]
    return Cell(path, look, text, said, ids[step.step])


def _told(step: StepResult, path: str) -> tuple[str, str]:
    """How a path looks after a step, and what it showed."""
    count = step.paths.get(path) or PathResult(0, 0)
    if wrong := [finding for finding in step.findings if path in finding.paths]:
        look = "known" if all(finding.known for finding in wrong) else str(step.verdict)
        return look, ", ".join(f"{finding.count} {finding.symptom}" for finding in wrong)
    if not count.checked:
        return "none", "not checked"
    if count.ok == count.checked:
        return "kept", f"all {count.checked} names right"
    return "some", f"{count.checked - count.ok} of {count.checked} names not shown to be right"
