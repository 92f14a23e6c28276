"""A brute-force model of what a store may hold: every possible store is a dictionary, and all are listed.

Shares nothing with the oracle. Contents are tuples of tiles, as in `oracle_histories`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

Tile = tuple[int, int]
Content = tuple[Tile, ...]
Store = dict[str, Content]
ZEROS: Tile = (0, -1)


@dataclass(frozen=True)
class Act:
    """One operation. `fate`: "ok", "fail", "info" (nobody knows), or "weak" (acknowledged, not promised)."""

    kind: str
    name: str
    content: Content = ()
    target: str = ""
    atomic: bool = True
    fate: str = "ok"
    holes: bool = False


@dataclass(frozen=True)
class World:
    """A possible store, and for each operation that nobody knows of whether it happened in it."""

    store: tuple[tuple[str, Content], ...]
    happened: tuple[str, ...]

    def as_dict(self) -> Store:
        return dict(self.store)


def frozen(store: Store) -> tuple[tuple[str, Content], ...]:
    return tuple(sorted(store.items()))


def done(store: Store, act: Act) -> Store:
    new = dict(store)
    if act.kind in ("create", "overwrite"):
        new[act.name] = act.content
    elif act.kind == "append":
        new[act.name] = new.get(act.name, ()) + act.content
    elif act.kind == "delete":
        new.pop(act.name, None)
    elif act.kind == "rename" and act.name in new:
        new[act.target] = new.pop(act.name)
    return new


def partly(store: Store, act: Act) -> Iterator[Store]:
    """Every store that a reader may see in the middle of it."""
    loose = not act.atomic or act.fate == "weak"
    old, new = store.get(act.name), act.content
    if act.kind in ("create", "overwrite") and loose:
        for length in range(len(new)):
            yield {**store, act.name: new[:length]}
        if old is not None:
            for length in range(min(len(old), len(new)), max(len(old), len(new)) + 1):
                for tiles in product((0, 1), repeat=length):
                    sides = (old, new)
                    if all(place < len(sides[side]) for place, side in enumerate(tiles)):
                        yield {**store, act.name: tuple(sides[side][i] for i, side in enumerate(tiles))}
        if act.holes:
            for length in range(max(len(old or ()), len(new)) + 1):
                choices = [{ZEROS} | set(new[i : i + 1]) | set((old or ())[i : i + 1]) for i in range(length)]
                for mixed in product(*choices):
                    yield {**store, act.name: mixed}
    if act.kind == "append":
        base = old or ()
        for length in range(len(new)):
            yield {**store, act.name: base + new[:length]}
        if act.holes:
            for length in range(len(new) + 1):
                for mixed in product(*({ZEROS, new[i]} for i in range(length))):
                    yield {**store, act.name: base + mixed}


EMPTY = World((), ())


def worlds(acts: Iterable[Act], known: Iterable[World] = (EMPTY,)) -> list[World]:
    """Every store that the operations may lead to from what is known."""
    for act in acts:
        following: set[World] = set()
        for world in known:
            store = world.as_dict()
            after = done(store, act)
            if act.fate == "ok":
                following.add(World(frozen(after), world.happened))
                continue
            if act.fate == "fail":
                following.add(world)
                continue
            following.add(World(world.store, (*world.happened, "no")))
            following.add(World(frozen(after), (*world.happened, "yes")))
            following |= {
                World(frozen(partial), (*world.happened, "partly"))
                for partial in partly(store, act)
                if partial not in (store, after)
            }
        known = following
    return sorted(known, key=repr)


def still_possible(possible: list[World], seen: Store) -> list[World]:
    """What may be there later, once `seen` has been there: an operation seen to have happened stays."""
    matching = [world for world in possible if world.as_dict() == seen]
    assert matching, "what was seen was not possible"
    unknown = range(len(matching[0].happened))
    certain = [place for place in unknown if all(world.happened[place] == "yes" for world in matching)]
    return [world for world in possible if all(world.happened[place] == "yes" for place in certain)]
