"""What the history knows around a finding, gathered for the rules that look for its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from persistence_tests.audit.case import Case, top_directory
from persistence_tests.audit.configuration import Configuration, well_formed
from persistence_tests.model.finding import Finding, StepJudgement, Symptom
from persistence_tests.model.observation import NodeKind
from persistence_tests.model.records import (
    Completed,
    DataFate,
    Entry,
    EventBegan,
    EventEnded,
    FoundElsewhere,
    Invoked,
    PathDeclared,
    PathObserved,
    Phase,
    ScenarioBegan,
    StackChanged,
    StackPrepared,
    StackReady,
    StepBegan,
)

THERE = frozenset({NodeKind.FILE, NodeKind.DIRECTORY})


@dataclass(frozen=True)
class Around:
    """`scenario_entries` are all entries of the scenario, `entries` those of the step that is judged."""

    began: ScenarioBegan
    prepared: StackPrepared | None
    scenario_entries: Sequence[Entry]
    entries: Sequence[Entry]
    shows_absence: Mapping[str, bool]
    judged: StepJudgement

    def case(self, finding: Finding) -> Case:
        direct, volume = self._place(finding, "direct"), self._place(finding, "volume")
        step = next((e.record for e in self.entries if isinstance(e.record, StepBegan)), None)
        wrong = frozenset(finding.names)
        return Case(
            finding=finding,
            configuration=self._configuration,
            former=self._former,
            fate=step.fate if step else DataFate.KEPT,
            touched=_touched(step),
            service=direct.detail.get("service") if direct else None,
            root=direct.root if direct else None,
            volume=volume.detail.get("volume") if volume else None,
            stored=self._stored,
            serving=tuple(self._serving()),
            intact=frozenset(top_directory(name) for name in self._right - wrong),
            seen_before=wrong & self._seen_before,
            statuses=frozenset(self._statuses(finding)),
            shows_absence=dict(self.shows_absence),
            remade=self._remade,
            destroyed=frozenset(self._event.destroyed if self._event else ()),
            found_on=tuple(
                sorted(
                    {
                        entry.record.volume
                        for entry in self.entries
                        if isinstance(entry.record, FoundElsewhere) and entry.record.name in wrong
                    }
                )
            ),
        )

    def _place(self, finding: Finding, kind: str) -> PathDeclared | None:
        """The path of this kind that the finding is on; of a row without its file, the one that the file is not on."""
        concerned = [
            p for p in self.began.paths if p.name in finding.paths or finding.symptom is Symptom.DANGLING
        ]
        return next((path for path in concerned if path.kind == kind), None)

    @cached_property
    def _stored(self) -> frozenset[str]:
        return frozenset(path.name for path in self.began.paths if path.stored)

    @property
    def _configuration(self) -> Configuration:
        return self._configurations[-1]

    @property
    def _former(self) -> Configuration | None:
        """The one that the event of this step has put another one in the place of."""
        changed = any(isinstance(entry.record, StackChanged) for entry in self.entries)
        return self._configurations[-2] if changed else None

    @cached_property
    def _configurations(self) -> list[Configuration]:
        """Those of this life of the stack, until the end of the step: the scenario's, then what events made of it."""
        ready = [
            e.record for e in self.scenario_entries if isinstance(e.record, StackReady) and e.record.ready
        ]
        first = Configuration(
            well_formed(self.prepared.original) if self.prepared else {}, ready[-1].mounts if ready else {}
        )
        found = [first]
        for entry in self.scenario_entries:
            if isinstance(entry.record, StackReady):
                found = [first]
            if isinstance(entry.record, StackChanged):
                found.append(Configuration(well_formed(entry.record.original), entry.record.mounts))
            if self.entries and entry is self.entries[-1]:
                break
        return found

    @cached_property
    def _event(self) -> EventEnded | None:
        return next((e.record for e in self.entries if isinstance(e.record, EventEnded)), None)

    @property
    def _remade(self) -> frozenset[str] | None:
        remade = self._event.remade if self._event else None
        return None if remade is None else frozenset(remade)

    @cached_property
    def _right(self) -> frozenset[str]:
        """Names of the run that were there after the event, and that nothing is said against."""
        records = [entry.record for entry in self.scenario_entries]
        written = {record.operation.name for record in records if isinstance(record, Invoked)}
        written |= {record.name for record in records if isinstance(record, Completed) and record.name}
        wrong = {name for finding in self.judged.findings for name in finding.names}
        return frozenset(
            name
            for record in self._observed(self.entries, Phase.AFTER)
            if record.path in self._stored or not self._stored
            for name, seen in record.observations.items()
            if seen.kind is NodeKind.FILE and name in written and name not in wrong
        )

    @cached_property
    def _seen_before(self) -> frozenset[str]:
        """Names that a stored path showed in this life of the stack, before the event of this step."""
        seen: set[str] = set()
        last = self.entries[-1] if self.entries else None
        for entry in self.scenario_entries:
            record = entry.record
            if isinstance(record, StackReady):
                seen.clear()
            if isinstance(record, EventBegan) and record.step == self.judged.step:
                break
            if isinstance(record, PathObserved) and record.path in self._stored:
                for shown in (record.observations, record.directories):
                    seen.update(name for name, observed in shown.items() if observed.kind in THERE)
            if entry is last:
                break
        # A finding names a directory with a slash at its end.
        return frozenset(seen | {f"{name.rstrip('/')}/" for name in seen})

    def _serving(self) -> Iterator[str]:
        """The paths that ask a server and had every name right."""
        for path in self.began.paths:
            count = self.judged.paths.get(path.name)
            if (
                not (path.stored or path.refers)
                and count is not None
                and count.checked
                and count.ok == count.checked
            ):
                yield path.name

    def _statuses(self, finding: Finding) -> Iterator[int | None]:
        """What was answered last for the names of the finding."""
        for record in self._observed(self.entries, Phase.AFTER):
            if record.path in finding.paths and record.path not in self._stored:
                yield from (record.observations[n].status for n in finding.names if n in record.observations)

    @staticmethod
    def _observed(entries: Sequence[Entry], phase: Phase) -> Iterator[PathObserved]:
        for entry in entries:
            if isinstance(entry.record, PathObserved) and entry.record.phase is phase:
                yield entry.record


def _touched(step: StepBegan | None) -> frozenset[str] | None:
    service = step.options.get("service") if step else None
    if service is None:
        return None
    return frozenset([service] if isinstance(service, str) else service)
