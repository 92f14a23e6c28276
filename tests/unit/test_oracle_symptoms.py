"""Every symptom is planted in a sound history, and the oracle must name exactly it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.finding import Symptom, Verdict
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import Outcome
from tests.unit.oracle_histories import FOUR, INDEX_PAGE, JUNK, ZEROS, Content, Play

STORED = ("volume", "direct")
SERVED = ("api", "proxy")
ALL = (*STORED, *SERVED)
Seen = dict[str, Observation]


@dataclass
class Sound:
    """A sound history up to the last pass. `older` holds what each name held before it was overwritten."""

    play: Play
    older: dict[str, Content]
    numbers: bytes

    def number(self, place: int, below: int) -> int:
        return self.numbers[place] % below

    @property
    def victims(self) -> list[str]:
        names = sorted(self.older)
        first = self.number(0, len(names))
        return sorted({names[first], names[(first + self.number(1, 2)) % len(names)]})

    def some_of(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        chosen = 1 + self.number(2, 2 ** len(paths) - 1)
        return tuple(path for place, path in enumerate(paths) if chosen >> place & 1)

    def now(self, name: str) -> Content:
        return self.play.disk[name]

    def shown(self, paths: tuple[str, ...], contents: dict[str, Content]) -> dict[str, Seen]:
        return {
            path: {name: self.play.content(content, path in STORED) for name, content in contents.items()}
            for path in paths
        }


def sound(numbers: bytes) -> Sound:
    play = Play(paths=FOUR).opened()
    play.begin_step("restart")
    older = {}
    names = ("admin/a.bin", "admin/b c.bin", "deep/er/ü.bin", "x")[: 2 + numbers[3] % 3]
    for place, name in enumerate(names):
        play.write(name, 2 + (numbers[4] >> place & 1))
        older[name] = play.disk[name]
        if numbers[5] >> place & 1:
            play.append(name, 2)
        else:
            play.write(name, 2 + (numbers[5] >> (place + 4) & 1))
    play.write("deleted.bin", 2)
    play.delete("deleted.bin")
    play.observe()
    play.event()
    return Sound(play, older, numbers)


@dataclass
class Planted:
    paths: tuple[str, ...]
    names: list[str]
    changed: dict[str, Seen]


Planter = Callable[[Sound], Planted]


def on_paths(one: Sound, paths: tuple[str, ...], spoilt: Callable[[str], Content]) -> Planted:
    return Planted(paths, one.victims, one.shown(paths, {name: spoilt(name) for name in one.victims}))


def missing(one: Sound) -> Planted:
    paths = (ALL, ("direct",), ("volume",), ("volume", "direct", "api"))[one.number(6, 4)]
    if paths == ("volume", "direct", "api"):
        # The proxy still has it in its cache.
        return Planted(paths, one.victims, {p: dict.fromkeys(one.victims, ABSENT) for p in paths})
    return Planted(paths, one.victims, {path: dict.fromkeys(one.victims, ABSENT) for path in paths})


def orphaned(one: Sound) -> Planted:
    return Planted(ALL, one.victims, {path: dict.fromkeys(one.victims, ABSENT) for path in ALL})


def empty(one: Sound) -> Planted:
    return on_paths(one, one.some_of(ALL), lambda _: ())


def truncated(one: Sound) -> Planted:
    def cut(name: str) -> Content:
        now = one.now(name)
        shorter = now[: 1 + one.number(6, len(now) - 1)]
        return now[:1] if shorter == one.older[name] else shorter

    return on_paths(one, one.some_of(ALL), cut)


def zeroed(one: Sound) -> Planted:
    def holed(name: str) -> Content:
        now = list(one.now(name))
        now[one.number(6, len(now))] = ZEROS
        return tuple(now) if one.number(7, 3) else (ZEROS,) * len(now)

    return on_paths(one, one.some_of(ALL), holed)


def torn(one: Sound) -> Planted:
    def mixed(name: str) -> Content:
        old, new = one.older[name], one.now(name)
        if old == new[: len(old)]:  # an append: its part where the old part belongs
            return (old[0], *new[len(old) :])
        return (old[0], *new[1:]) if one.number(6, 2) else (*new[:1], *old[1:])

    return on_paths(one, one.some_of(ALL), mixed)


def corrupted(one: Sound) -> Planted:
    def junked(name: str) -> Content:
        now = list(one.now(name))
        now[one.number(6, len(now))] = JUNK
        return tuple(now)

    return on_paths(one, one.some_of(STORED), junked)


def foreign(one: Sound) -> Planted:
    other = one.play.disk["admin/first"]
    return on_paths(one, one.some_of(ALL), lambda name: (*one.now(name)[: one.number(6, 2)], *other))


def stale(one: Sound) -> Planted:
    return on_paths(one, one.some_of(ALL), lambda name: one.older[name])


def resurrected(one: Sound) -> Planted:
    paths = one.some_of(ALL)
    back = one.play.tiles(one.play.identity - 1)
    return Planted(paths, ["deleted.bin"], one.shown(paths, {"deleted.bin": back}))


def unexpected(one: Sound) -> Planted:
    paths = one.some_of(STORED)
    content = ((JUNK,), (ZEROS,), (), one.play.disk["admin/first"])[one.number(6, 4)]
    return Planted(paths, ["admin/stranger"], one.shown(paths, {"admin/stranger": content}))


def metadata(one: Sound) -> Planted:
    paths = one.some_of(STORED)
    mode, owner = (("0600", "1000:1000"), ("0644", "0:0"), ("0000", "0:0"))[one.number(6, 3)]
    right = one.shown(paths, {name: one.now(name) for name in one.victims})
    changed = {
        path: {n: replace(o, mode=mode, owner=owner) for n, o in seen.items()} for path, seen in right.items()
    }
    return Planted(paths, one.victims, changed)


def unserved(one: Sound) -> Planted:
    paths = one.some_of(SERVED)
    answer = (ABSENT, Observation(NodeKind.ERROR, status=502), Observation(NodeKind.ERROR, error="reset"))[
        one.number(6, 3)
    ]
    if one.number(7, 4) == 0:
        paths, answer = ("direct",), Observation(NodeKind.ERROR, error="permission denied")
    return Planted(paths, one.victims, {path: dict.fromkeys(one.victims, answer) for path in paths})


def masked(one: Sound) -> Planted:
    paths = one.some_of(SERVED)
    return Planted(paths, one.victims, {path: dict.fromkeys(one.victims, INDEX_PAGE) for path in paths})


PLANTERS: dict[Symptom, Planter] = {
    Symptom.MISSING: missing,
    Symptom.ORPHANED: orphaned,
    Symptom.EMPTY: empty,
    Symptom.TRUNCATED: truncated,
    Symptom.ZEROED: zeroed,
    Symptom.TORN: torn,
    Symptom.CORRUPTED: corrupted,
    Symptom.FOREIGN: foreign,
    Symptom.STALE: stale,
    Symptom.RESURRECTED: resurrected,
    Symptom.UNEXPECTED: unexpected,
    Symptom.METADATA: metadata,
    Symptom.UNSERVED: unserved,
    Symptom.MASKED: masked,
}
numbers = st.binary(min_size=8, max_size=8)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(numbers=numbers)
@pytest.mark.parametrize("symptom", PLANTERS, ids=str)
def test_a_planted_symptom_is_named_and_nothing_else(symptom: Symptom, numbers: bytes) -> None:
    one = sound(numbers)
    planted = PLANTERS[symptom](one)
    one.play.observe(planted.changed)
    if symptom is Symptom.ORPHANED:
        for name in planted.names:
            one.play.elsewhere(name, "s_media_files")
    one.play.end_step()
    up, judged = one.play.judged().steps
    found = [(f.symptom, f.paths, f.names, f.event, f.step) for f in judged.findings]
    assert found == [(symptom, planted.paths, tuple(planted.names), "restart", "restart")]
    assert judged.verdict is Verdict.LOST
    assert len(judged.findings[0].evidence) == len(planted.names)
    assert up.verdict is Verdict.KEPT


@settings(max_examples=200, deadline=None)
@given(numbers=numbers)
def test_nothing_is_found_where_nothing_was_planted(numbers: bytes) -> None:
    one = sound(numbers)
    one.play.observe()
    one.play.end_step()
    assert one.play.judged().verdict is Verdict.KEPT


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.sampled_from([(p,) for p in ALL] + [("volume", "api"), ("direct", "proxy")]))
def test_paths_that_are_right_alone_but_do_not_agree_are_diverging(
    atomic: bool, paths: tuple[str, ...]
) -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("second", 1)
    play.write("a", 2)
    old = play.disk["a"]
    play.observe()
    play.add_event_began()
    play.write("a", 2, Outcome.INFO, atomic=atomic)
    play.end_event()
    play.observe({path: {"a": play.content(old, path in STORED)} for path in paths})
    play.end_step()
    (finding,) = play.judgement().findings
    assert (finding.symptom, finding.paths, finding.names) == (Symptom.DIVERGING, ALL, ("a",))


@pytest.mark.parametrize(
    ("without", "found"),
    [(("api", "proxy"), None), (("proxy",), None), (("volume", "direct"), Symptom.DIVERGING)],
)
def test_what_is_stored_and_was_never_acknowledged_may_be_served_to_nobody(
    without: tuple[str, ...], found: Symptom | None
) -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.write("a", 1)
    play.observe()
    play.add_event_began()
    play.write("b", 2, Outcome.INFO)
    play.end_event()
    play.observe({path: {"b": ABSENT} for path in without})
    play.end_step()
    symptoms = {finding.symptom for finding in play.judgement().findings}
    assert symptoms == ({found} if found else set())


def test_every_symptom_that_files_can_show_is_planted() -> None:
    rows = {Symptom.DANGLING, Symptom.UNREFERENCED}
    assert set(PLANTERS) | {Symptom.DIVERGING} | rows == set(Symptom)
