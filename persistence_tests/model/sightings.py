"""What was seen of many names, in as little room as may be.

Most names are on the shelf and show exactly what they must hold. Of such a one only how it looks besides (its mode,
its owner, its status) has to be remembered, in which few differ: a byte says it. Everything else is kept whole.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from itertools import compress, zip_longest
from typing import TYPE_CHECKING

from persistence_tests.model.observation import Observation
from persistence_tests.model.shelf import bits

if TYPE_CHECKING:
    from persistence_tests.model.ledger import Ledger
    from persistence_tests.model.shelf import Shelf

_LOOKS = 255


class Looks:
    """How files look besides their content: the first 255 ways have a number, from 1 on. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: list[Observation] = []
        self._numbers: dict[tuple[object, ...], int] = {}

    def number(self, seen: Observation) -> int:
        """0 where there is more to it, or the numbers have run out."""
        more = (seen.error, seen.spans, seen.attributed, seen.flaw, seen.target, seen.shared, seen.beside)
        if more != (None,) * 7:
            return 0
        way = (seen.kind, seen.mode, seen.owner, seen.status, seen.content_type, seen.xattrs, seen.row)
        with self._lock:
            number = self._numbers.get(way, 0)
            if number == 0 and len(self._ways) < _LOOKS:
                self._ways.append(seen)
                number = self._numbers[way] = len(self._ways)
            return number

    def file(self, number: int, size: int, sha256: str) -> Observation:
        way = self._ways[number - 1]
        return Observation(
            way.kind,
            size,
            sha256,
            way.mode,
            way.owner,
            way.status,
            way.content_type,
            xattrs=way.xattrs,
            row=way.row,
        )


class Sightings(MutableMapping[str, Observation]):
    """What a path showed, by name. Lasts no longer than an epoch of its ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.others: dict[str, Observation] = {}
        """Those that are kept whole."""
        self._ledger = ledger
        self._shelf = ledger.shelf
        self._first = ledger.shelf.first
        self._looks = bytearray()  # by number on the shelf, from `_first` on; 0 where nothing was seen

    def __setitem__(self, name: str, seen: Observation) -> None:
        number = self._ledger.plainly(name, seen)
        look = 0 if number is None else self._ledger.looks.number(seen)
        if number is None or look == 0:
            self.keep(name, seen)
            return
        place = number - self._first
        if place >= len(self._looks):
            self._looks.extend(bytes(self._shelf.end - self._first - len(self._looks)))
        self._looks[place] = look
        if self.others:
            self.others.pop(name, None)

    def __getitem__(self, name: str) -> Observation:
        if name in self.others:
            return self.others[name]
        number = self._shelf.number(name)
        if number is None or not (look := self._look(number)):
            raise KeyError(name)
        spec = self._shelf.numbered(number).payload
        assert spec is not None
        return self._ledger.looks.file(look, spec.size, spec.sha256)

    def __delitem__(self, name: str) -> None:
        self.keep(name, self[name])
        del self.others[name]

    def __contains__(self, name: object) -> bool:
        if name in self.others or not isinstance(name, str):
            return name in self.others
        number = self._shelf.number(name)
        return number is not None and self._look(number) > 0

    def __len__(self) -> int:
        return len(self._looks) - self._looks.count(0) + len(self.others)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.each())

    def each(self) -> Iterator[tuple[str, Observation]]:
        """Every name with what was seen of it, without looking one up after the other."""
        if any(self._looks):
            for number, name, size, sha256 in self._shelf.contents():
                if look := self._look(number):
                    yield name, self._ledger.looks.file(look, size, sha256)
        yield from self.others.items()

    def plain(self) -> NameSet:
        """The names that are on the shelf, and show just what they must."""
        return NameSet(self._shelf, bits(self._looks) << self._first)

    def looking_otherwise(self, earlier: Sightings) -> set[str]:
        """Names that are plain here, and looked otherwise earlier or were not plain then."""
        pairs = zip(self._looks, earlier._looks, strict=False)
        places = compress(range(len(self._looks)), (then and now and then != now for now, then in pairs))
        changed = {self._shelf.numbered(self._first + place).name for place in places}
        return changed | {name for name in earlier.others if name not in self.others and name in self}

    def overlay(self, later: Sightings) -> None:
        """Take over what was seen later."""
        self.overlay_plain(later)
        for name, seen in later.others.items():
            self.keep(name, seen)

    def overlay_plain(self, later: Sightings) -> None:
        """Of what was seen later, take over what is not kept whole."""
        for name in [name for name in self.others if name not in later.others and name in later]:
            del self.others[name]
        pairs = zip_longest(self._looks, later._looks, fillvalue=0)
        self._looks = bytearray(now or then for then, now in pairs)

    def keep(self, name: str, seen: Observation) -> None:
        """Keep it whole."""
        if self._looks and (number := self._shelf.number(name)) is not None and self._look(number):
            self._looks[number - self._first] = 0
        self.others[name] = seen

    def _look(self, number: int) -> int:
        place = number - self._first
        return self._looks[place] if 0 <= place < len(self._looks) else 0


class NameSet:
    """A set of names that a ledger knows: a bit for each number."""

    __slots__ = ("_bits", "_shelf")

    def __init__(self, shelf: Shelf, bits: int = 0) -> None:
        self._shelf = shelf
        self._bits = bits

    def __contains__(self, name: str) -> bool:
        return bool(self._bits & self._bit(name))

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __iter__(self) -> Iterator[str]:
        numbers = (number for number, digit in enumerate(reversed(f"{self._bits:b}")) if digit == "1")
        return map(self._shelf.name, numbers)

    def __or__(self, other: NameSet) -> NameSet:
        return NameSet(self._shelf, self._bits | other._bits)

    def __sub__(self, other: NameSet) -> NameSet:
        return NameSet(self._shelf, self._bits & ~other._bits)

    def add(self, name: str) -> None:
        self._bits |= self._bit(name)

    def discard(self, name: str) -> None:
        self._bits &= ~self._bit(name)

    def _bit(self, name: str) -> int:
        number = self._shelf.number(name)
        return 0 if number is None else 1 << number
