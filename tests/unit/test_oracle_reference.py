"""The oracle against the brute-force model: random histories, with and without a fault."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persistence_tests.model.finding import Verdict
from persistence_tests.model.operation import Acknowledgement, OperationKind, Outcome, PromiseClass
from tests.unit.oracle_histories import API, JUNK, VOLUME, ZEROS, Content, Play
from tests.unit.reference_model import EMPTY, Act, World, still_possible, worlds

NAMES = ("admin/a", "admin/b", "c", "deep/er/d")
OUTCOMES = {"ok": Outcome.OK, "fail": Outcome.FAIL, "info": Outcome.INFO, "lost": None}

Choice = tuple[int, int, int, str, bool]
FATES = ("ok", "ok", "ok", "fail", "info", "lost")


def choice_of(first: int, second: int) -> Choice:
    number, place = divmod(first, len(NAMES))
    fate, rest = divmod(second % 48, 8)
    return number % 12, place, rest % 4, FATES[fate], rest >= 4


def choices_of(script: bytes) -> list[Choice]:
    return [choice_of(*script[at : at + 2]) for at in range(0, len(script) - 1, 2)]


# One operation takes two bytes: drawing each field by itself would take longer than judging.
batches = st.binary(max_size=10).map(choices_of)
shown = st.binary(min_size=6, max_size=6).map(
    lambda drawn: [int.from_bytes(drawn[at : at + 2], "big") for at in (0, 2, 4)]
)
many = settings(max_examples=2500, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class Parallel:
    """One history and, next to it, what the model makes of it."""

    play: Play
    known: list[World] = field(default_factory=lambda: [EMPTY])
    sure: dict[str, Content] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    written: dict[str, list[Content]] = field(default_factory=dict)
    unknown: int = 0
    acts: list[Act] = field(default_factory=list)

    def operate(self, choice: Choice, acknowledgement: Acknowledgement = Acknowledgement.HTTP_2XX) -> None:
        """Make the operation that the numbers stand for, if one can be made on that name now."""
        number, place, tiles, fate, atomic = choice
        name = NAMES[place]
        if name in self.blocked or (fate in ("info", "lost") and self.unknown == 2):
            return
        kind, target = OperationKind.CREATE, ""
        if name in self.sure:
            kind = (
                OperationKind.OVERWRITE,
                OperationKind.APPEND,
                OperationKind.DELETE,
                OperationKind.RENAME,
            )[number % 4]
        if kind is OperationKind.RENAME:
            target = NAMES[(place + 1 + number % 3) % len(NAMES)]
            if target in self.blocked or target == name:
                return
        operation = self.play.operation(kind, name, tiles, target or None, atomic, acknowledgement)
        self.play.invoke(operation, OUTCOMES[fate])
        content = self.play.tiles(operation.identity) if operation.payload else ()
        model_fate = "info" if fate == "lost" else fate
        act = Act(kind.value, name, content, target, atomic, model_fate)
        self.acts.append(act)
        self.known = worlds([act], self.known)
        if fate == "fail":
            return
        for touched in (name, target) if target else (name,):
            self.written.setdefault(touched, []).append(content)
        if fate == "ok":
            self.sure = self.known[0].as_dict() if len(self.known) == 1 else self._after(act)
        else:
            self.unknown += 1
            self.blocked |= {name, target} - {""}
            self.sure.pop(name, None)

    def _after(self, act: Act) -> dict[str, Content]:
        (world,) = worlds([act], [World(tuple(sorted(self.sure.items())), ())])
        return world.as_dict()

    def show(self, number: int) -> None:
        """Let one of the possible stores be the real one, and look at it."""
        self.play.disk = self.known[number % len(self.known)].as_dict()
        self.play.observe()
        self.known = still_possible(self.known, self.play.disk)


def play() -> Play:
    return Play(paths=(VOLUME, API), steps=(("up", "up"), ("restart", "restart"), ("kill", "kill")))


def written_first(parallel: Parallel, name: str) -> None:
    """What the gate asks for: in every step a write that is surely there before the event."""
    operation = parallel.play.operation(OperationKind.CREATE, name)
    parallel.play.invoke(operation, Outcome.OK)
    act = Act("create", name, parallel.play.tiles(operation.identity))
    parallel.acts.append(act)
    parallel.known = worlds([act], parallel.known)
    parallel.sure[name] = act.content


def up_and_two_steps(
    opening: list[Choice], later: list[Choice], during: list[Choice], shows: list[int]
) -> Parallel:
    parallel = Parallel(play())
    one = parallel.play
    one.begin()
    for step, batch, meanwhile in (("up", opening, []), ("restart", later, []), ("kill", [], during)):
        one.begin_step(step)
        written_first(parallel, f"admin/first-of-{step}")
        for choice in batch:
            parallel.operate(choice)
        parallel.show(shows[0])
        if step != "up":
            one.add_event_began()
            for choice in meanwhile:
                parallel.operate(choice)
            one.end_event()
            if step == "restart":
                parallel.show(shows[1])
        if step != "kill":
            one.end_step()
    return parallel


@many
@given(batches, batches, batches, shown)
def test_a_history_without_a_fault_never_yields_a_finding(
    opening: list[Choice], later: list[Choice], during: list[Choice], shows: list[int]
) -> None:
    parallel = up_and_two_steps(opening, later, during, shows)
    parallel.show(shows[2])
    parallel.play.end_step()
    judged = parallel.play.judged()
    assert [(s.step, s.verdict, s.findings) for s in judged.steps] == [
        (step, Verdict.KEPT, ()) for step in ("up", "restart", "kill")
    ]


DAMAGES = ("gone", "empty", "cut", "made of", "made of", "of another")
damages = st.binary(min_size=2, max_size=6).map(lambda d: (DAMAGES[d[0] % len(DAMAGES)], d[1], list(d[2:])))


def damaged(parallel: Parallel, damage: tuple[str, int, list[int]]) -> dict[str, Content]:
    how, place, numbers = damage
    disk = dict(parallel.play.disk)
    touched = sorted(parallel.written)
    if not touched:
        return disk
    name = touched[place % len(touched)]
    ours = [content for content in parallel.written[name] if content]
    all_of_them = [content for those in parallel.written.values() for content in those]
    match how:
        case "gone":
            disk.pop(name, None)
        case "empty":
            disk[name] = ()
        case "cut" if name in disk:
            disk[name] = disk[name][: sum(numbers) % (len(disk[name]) + 1)]
        case "made of":
            palette = [ZEROS, JUNK, *(tile for content in [*ours, *all_of_them] for tile in content)]
            disk[name] = tuple(palette[number % len(palette)] for number in numbers)
        case "of another":
            disk[name] = all_of_them[sum(numbers) % len(all_of_them)]
        case _:
            pass
    return disk


@many
@given(batches, batches, batches, shown, damages)
def test_the_oracle_finds_what_the_model_does_not_allow_and_nothing_else(
    opening: list[Choice],
    later: list[Choice],
    during: list[Choice],
    shows: list[int],
    damage: tuple[str, int, list[int]],
) -> None:
    parallel = up_and_two_steps(opening, later, during, shows)
    one = parallel.play
    one.disk = parallel.known[shows[2] % len(parallel.known)].as_dict()
    one.disk = damaged(parallel, damage)
    possible = any(world.as_dict() == one.disk for world in parallel.known)
    one.observe()
    one.end_step()
    up, restart, kill = one.judged().steps
    assert kill.verdict is (Verdict.KEPT if possible else Verdict.LOST), kill
    assert bool(kill.findings) is not possible
    assert up.verdict is restart.verdict is Verdict.KEPT


@many
@given(st.binary(max_size=8), st.integers(0, 10_000), damages)
def test_power_loss_may_take_what_was_not_promised_and_nothing_else(
    script: bytes, show: int, damage: tuple[str, int, list[int]]
) -> None:
    parallel = Parallel(Play(paths=(VOLUME, API), steps=(("up", "up"), ("power-loss", "power-loss"))))
    one = parallel.play.opened()
    first = one.disk["admin/first"]
    parallel.known = [World((("admin/first", first),), ())]
    one.begin_step("power-loss", PromiseClass.POWER_LOSS)
    written_first(parallel, "admin/second")
    weak_names: set[str] = set()
    acts: list[Act] = []
    for at, (number, place, tiles, fate, atomic) in enumerate(choices_of(script)):
        level = Acknowledgement.FSYNC if script[2 * at + 1] > 192 else Acknowledgement.EXIT_0
        exists = NAMES[place] in parallel.sure
        kind_number = (0, 1, 2)[number % 3] if exists else 0
        if kind_number == 1 and NAMES[place] in weak_names:
            kind_number = 0
        before = len(parallel.acts)
        parallel.operate((kind_number, place, min(tiles, 2), fate, atomic), level)
        for act in parallel.acts[before:]:
            weak = act.fate == "ok" and level is Acknowledgement.EXIT_0
            weak_names = weak_names | {act.name} if weak else weak_names
            if act.fate == "ok" and not weak:
                weak_names.discard(act.name)
                acts = [replace(o, fate="ok") if o.name == act.name and o.fate == "weak" else o for o in acts]
                acts = [replace(o, holes=False) if o.name == act.name else o for o in acts]
            holes = weak or (act.fate == "info" and not act.atomic)
            acts.append(replace(act, fate="weak" if weak else act.fate, holes=holes))
    # Before the power goes, all that was acknowledged is there.
    parallel.show(show)
    one.event()
    start = World((("admin/first", first), ("admin/second", parallel.sure["admin/second"])), ())
    possible_stores = worlds(acts, [start])
    one.disk = possible_stores[show % len(possible_stores)].as_dict()
    one.disk = damaged(parallel, damage)
    possible = any(world.as_dict() == one.disk for world in possible_stores)
    one.observe()
    one.end_step()
    judged = one.judgement("power-loss")
    assert judged.verdict is (Verdict.KEPT if possible else Verdict.LOST), judged
