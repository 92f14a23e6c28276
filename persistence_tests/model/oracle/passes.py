"""Judges what all paths showed at one moment: the records of one phase up to the next other record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from persistence_tests.model.closure import Absent, Anything, Match, allowed
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.oracle.directories import wrong_directories
from persistence_tests.model.oracle.facts import Facts, Wrong
from persistence_tests.model.oracle.listing import ignored, is_residue
from persistence_tests.model.oracle.metadata import parted_links, wrong_metadata
from persistence_tests.model.oracle.rows import dangling, look_at_row
from persistence_tests.model.oracle.sight import Judged, Sight, Vantage, diverging, look, resolve
from persistence_tests.model.oracle.words import evidence
from persistence_tests.model.records import DataFate, FoundElsewhere, PathObserved, Phase
from persistence_tests.model.sightings import NameSet, Sightings

NAMES_TOLD = 5


@dataclass(slots=True)
class Batch:
    """What was observed, by path. Of two observations of one name through one path the later counts."""

    phase: Phase
    ledger: Ledger
    files: dict[str, Sightings] = field(default_factory=dict)
    directories: dict[str, dict[str, Observation]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)

    def add(self, record: PathObserved | FoundElsewhere) -> None:
        if isinstance(record, FoundElsewhere):
            self.elsewhere[record.name] = record.volume
        elif record.problem is not None:
            self.problems.append((record.path, record.problem))
        else:
            self.files.setdefault(record.path, Sightings(self.ledger)).update(record.observations)
            self.directories.setdefault(record.path, {}).update(record.directories)

    def on(self, path: str) -> Mapping[str, Observation]:
        nothing: Mapping[str, Observation] = {}
        return self.files.get(path, nothing)


@dataclass(slots=True)
class Judgement:
    """What a batch comes to. `checked` and `right` hold names by path; `sure` those with one state only."""

    phase: Phase
    wrong: list[Wrong] = field(default_factory=list)
    seen: dict[str, NameSet] = field(default_factory=dict)
    checked: dict[str, NameSet] = field(default_factory=dict)
    right: dict[str, NameSet] = field(default_factory=dict)
    sure: dict[str, NameSet] = field(default_factory=dict)
    undecided: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def discard_right(self, name: str, paths: Iterable[str]) -> None:
        for path in self.right.keys() & set(paths):
            self.right[path].discard(name)


def judge_batch(batch: Batch, ledger: Ledger, facts: Facts, stack_down: bool) -> Judgement:
    """`stack_down`: the stack did not come back; only what stored paths still show is then judged."""
    result = Judgement(batch.phase)
    looked = [v for v in facts.vantages if v.stored or not stack_down]
    vantages, rows = [v for v in looked if not v.refers], [v for v in looked if v.refers]
    if not stack_down:
        result.problems = batch.problems
    for path in batch.files.keys() & {vantage.path for vantage in looked}:
        for names in (result.seen, result.checked, result.right, result.sure):
            names[path] = batch.files[path].plain()
    for name in sorted(_not_plain(batch, ledger, facts) - facts.directories):
        sights = []
        for vantage in vantages:
            seen = batch.on(vantage.path).get(name)
            if seen is None or (stack_down and seen.kind is NodeKind.ERROR):
                continue
            result.seen[vantage.path].add(name)
            sights.append(look(ledger, name, vantage, seen))
        sights = resolve(sights)
        _judge_name(name, sights, batch, ledger, facts, result)
        for vantage in rows:
            if (seen := batch.on(vantage.path).get(name)) is not None:
                result.seen[vantage.path].add(name)
                _judge_row(name, look_at_row(ledger, name, vantage, seen, sights), result)
    for vantage in rows:
        _judge_strange_rows(batch, vantage, vantages, ledger, facts, result)
    for vantage in vantages:
        # What makes the directories of a volume made anew is the stack's start.
        never_made = stack_down and facts.fate is DataFate.DESTROYED
        if vantage.stored and vantage.lists and vantage.path in batch.files and not never_made:
            seen_there = batch.directories[vantage.path] | batch.files[vantage.path].others
            result.wrong += wrong_directories(seen_there, vantage, batch.phase, ledger, facts)
    result.wrong = [wrong for wrong in result.wrong if wrong.name not in ledger.doubled]
    result.wrong += _doubled(batch, ledger, vantages)
    result.wrong += _broken_renames(batch, ledger, vantages)
    result.wrong += parted_links(batch.files, vantages, ledger)
    result.wrong += _unexpected(batch, ledger, facts, vantages, result.notes)
    result.wrong = _joined(result.wrong, facts)
    _set_aside_what_was_wrong_before(result, facts)
    for wrong in result.wrong:
        result.discard_right(wrong.name, wrong.paths)
    return result


def _not_plain(batch: Batch, ledger: Ledger, facts: Facts) -> set[str]:
    """The names that must be looked at one by one: not put away, or not plainly right and as before on every path."""
    names = set(ledger.open_names())
    for path, files in batch.files.items():
        names.update(name for name in files.others if ledger.is_put_away(name))
        if batch.phase is Phase.AFTER and path in facts.seen:
            names |= files.looking_otherwise(facts.seen[path])
    return names


def _judge_name(
    name: str, sights: list[Sight], batch: Batch, ledger: Ledger, facts: Facts, result: Judgement
) -> None:
    by_symptom: dict[Symptom, list[Sight]] = {}
    for sight in sights:
        if sight.judged in (Judged.RIGHT, Judged.WRONG):
            result.checked[sight.path].add(name)
            if len(ledger.states(name)) == 1:
                result.sure[sight.path].add(name)
        if sight.judged is Judged.RIGHT:
            result.right[sight.path].add(name)
        if sight.judged is Judged.UNDECIDED:
            result.undecided.append(f"too little is known of the bytes of {name} on {sight.path}")
        if sight.symptom is not None:
            by_symptom.setdefault(sight.symptom, []).append(sight)
    if Symptom.MISSING in by_symptom and name in batch.elsewhere:
        by_symptom[Symptom.ORPHANED] = by_symptom.pop(Symptom.MISSING)
    if apart := diverging(sights):
        by_symptom[Symptom.DIVERGING] = apart
    for symptom, those in by_symptom.items():
        where = f"; its bytes are on {batch.elsewhere[name]}" if symptom is Symptom.ORPHANED else ""
        line = evidence(ledger, name, [(sight.path, sight.seen) for sight in those], where)
        result.wrong.append(Wrong(symptom, name, tuple(sight.path for sight in those), line))
    right = [sight for sight in sights if sight.stored and sight.judged is Judged.RIGHT]
    result.wrong += wrong_metadata(name, right, batch.phase, ledger, facts)


def _judge_row(name: str, seen: tuple[Sight, str], result: Judgement) -> None:
    sight, line = seen
    if sight.judged in (Judged.RIGHT, Judged.WRONG):
        result.checked[sight.path].add(name)
        result.sure[sight.path].add(name)
    if sight.judged is Judged.RIGHT:
        result.right[sight.path].add(name)
    if sight.symptom is not None:
        result.wrong.append(Wrong(sight.symptom, name, (sight.path,), line))


def _judge_strange_rows(
    batch: Batch, vantage: Vantage, others: list[Vantage], ledger: Ledger, facts: Facts, result: Judgement
) -> None:
    if vantage.path not in batch.files:
        return
    stored = {v.path: batch.files[v.path] for v in others if v.stored and v.path in batch.files}
    open_rows = []
    for name, wrong in dangling(batch.files[vantage.path], vantage, stored, ledger, facts):
        if wrong is None:
            open_rows.append(name)
        else:
            result.wrong.append(wrong)
    if open_rows:
        result.notes.append(
            f"rows without their file that nothing is promised of, no finding: {some(open_rows)}"
        )


def _doubled(batch: Batch, ledger: Ledger, vantages: list[Vantage]) -> Iterator[Wrong]:
    """The stack gave the same name to two files: the bytes of one are where the other's were promised."""
    paths = tuple(vantage.path for vantage in vantages if vantage.path in batch.files)
    for name, operations in ledger.doubled.items():
        sent = [(i, ledger.specs[i]) for i in operations]
        told = " and ".join(f"operation {i} ({s.size} bytes, sha256 {s.sha256[:8]}…)" for i, s in sent)
        if paths:
            yield Wrong(Symptom.FOREIGN, name, paths, f"{name}: acknowledged for two files, {told}")


def _broken_renames(batch: Batch, ledger: Ledger, vantages: list[Vantage]) -> Iterator[Wrong]:
    """A rename whose end nobody knows shows only one of its two names: neither and both are wrong."""
    for rename in ledger.renames():
        source, target = rename.operation.name, rename.operation.target or ""
        moved = rename.moved or frozenset()
        neither, both = [], []
        for vantage in vantages:
            files = batch.on(vantage.path)
            if not vantage.shows_absence or source not in files or target not in files:
                continue
            pair = (source, target)
            if any(allowed(ledger.states(n), files[n], ledger.specs) is not Match.YES for n in pair):
                continue
            arrived = allowed(moved - {Absent(), Anything()}, files[target], ledger.specs) is Match.YES
            # What was there may be just like what was to come: then the target tells nothing.
            as_before = allowed(rename.displaced or frozenset(), files[target], ledger.specs) is Match.YES
            stayed = files[source].kind is not NodeKind.ABSENT
            if arrived and stayed and not as_before:
                both.append(vantage.path)
            elif not arrived and not stayed and Absent() not in moved and Anything() not in moved:
                neither.append(vantage.path)
        told = f"{source}: renamed to {target} (not acknowledged)"
        if neither:
            line = f"{told}, under neither name on {', '.join(neither)}"
            yield Wrong(Symptom.MISSING, source, tuple(neither), line)
        if both:
            line = f"{told}, under both names on {', '.join(both)}"
            yield Wrong(Symptom.RESURRECTED, source, tuple(both), line)


def _unexpected(
    batch: Batch, ledger: Ledger, facts: Facts, vantages: list[Vantage], notes: list[str]
) -> Iterator[Wrong]:
    strangers: dict[str, list[tuple[str, Observation]]] = {}
    residue: dict[str, set[str]] = {}
    for vantage in vantages:
        if not vantage.lists or vantage.path not in batch.files:
            continue
        if vantage.path not in ledger.baseline:
            notes.append(f"what {vantage.path} held at first is not known: unexpected names cannot be told")
            continue
        known = facts.directories | ledger.baseline[vantage.path]
        for name, seen in batch.files[vantage.path].others.items():
            # An error is something too: a file that the service's user may not read, or that one replica has.
            there = seen.kind not in (NodeKind.ABSENT, NodeKind.DIRECTORY)
            if not there or name in known or ledger.knows(name):
                continue
            if ignored(name, facts.ignore):
                continue
            if is_residue(ledger, seen):
                residue.setdefault(name, set()).add(vantage.path)
            else:
                strangers.setdefault(name, []).append((vantage.path, seen))
    if residue:
        told = some(residue)
        notes.append(f"residue of unacknowledged writes, no finding: {told}")
    for name, seen_on in strangers.items():
        line = evidence(ledger, name, seen_on).replace("must be absent", "nobody wrote it", 1)
        yield Wrong(Symptom.UNEXPECTED, name, tuple(path for path, _ in seen_on), line)


def _joined(wrongs: Iterable[Wrong], facts: Facts) -> list[Wrong]:
    """One entry for each name and symptom, with its paths in the order of the scenario."""
    groups: dict[tuple[Symptom, str], list[Wrong]] = {}
    for wrong in wrongs:
        groups.setdefault((wrong.symptom, wrong.name), []).append(wrong)
    joined = []
    for (symptom, name), those in groups.items():
        on = {path for wrong in those for path in wrong.paths}
        paths = tuple(v.path for v in facts.vantages if v.path in on)
        rest = [wrong.evidence.removeprefix(f"{name}: ") for wrong in those[1:]]
        joined.append(Wrong(symptom, name, paths, "; ".join([those[0].evidence, *rest])))
    return joined


def _set_aside_what_was_wrong_before(result: Judgement, facts: Facts) -> None:
    """What was wrong before an event was not done by it: each name and path counts once in an epoch."""
    kept, before = [], set()
    for wrong in result.wrong:
        metadata = wrong.symptom is Symptom.METADATA
        paths = tuple(p for p in wrong.paths if not facts.was_wrong(wrong.name, p, metadata))
        if len(paths) < len(wrong.paths):
            before.add(wrong.name)
            result.discard_right(wrong.name, set(wrong.paths) - set(paths))
        if paths:
            kept.append(Wrong(wrong.symptom, wrong.name, paths, wrong.evidence))
        facts.remember_wrong(wrong.name, wrong.paths, metadata)
    if before:
        result.notes.append(f"already wrong before, not counted again: {some(before)}")
    result.wrong = kept


def some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - NAMES_TOLD
    return ", ".join(ordered[:NAMES_TOLD]) + (f" and {more} more" if more > 0 else "")
