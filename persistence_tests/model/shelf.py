"""The names of a ledger, numbered; and those about which nothing is open, put away: by far the most of them.

One create was acknowledged on such a name, and nothing else was ever done to it: all that it may show follows from
that operation. The newest are kept as they are, a few thousand; the others go into a temporary database without a
name, which is gone with its ledger. What is put away stays: where a name is touched again, the ledger knows better.

Each name has a number, in the order in which they came, so that what is to be remembered of it takes a bit or a byte.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from sys import intern
from typing import Any, Generic, TypeVar

from persistence_tests.model.operation import Operation, OperationKind, PayloadKind, PayloadSpec

KEPT = 4096
"""As many operations are kept in memory; where there are fewer, no database is made."""

_ROWS = 1000  # are read at once
_DIGITS = bytes([ord("0"), *[ord("1")] * 255])
_LARGEST = 2**63 - 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLE = """
    CREATE TABLE shelf
        (number INTEGER PRIMARY KEY, identity INTEGER, name BLOB, like INTEGER, size INTEGER, digest BLOB);
    CREATE INDEX by_name ON shelf (name);
    CREATE INDEX by_identity ON shelf (identity);
    BEGIN
"""  # nothing is ever committed: nobody reads it but this connection

V = TypeVar("V")


class Shelf:
    """Names and their numbers, and acknowledged creates by name, number and identity. Reading is thread-safe."""

    def __init__(self) -> None:
        self.first = 0
        """The number of the first name of this epoch: those of earlier ones are not found any more."""
        self.likes: list[Operation] = []
        """One operation of each kind that is here: all are like one of them, but for name and content."""
        self._likes: dict[tuple[object, ...], int] = {}
        self._count = 0
        self._open: dict[str, int] = {}
        self._open_names: dict[int, str] = {}
        self._newest: dict[int, Operation] = {}
        self._names: dict[str, int] = {}
        self._identities: dict[int, int] = {}
        self._disk: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    @property
    def end(self) -> int:
        """The number that the next name will have."""
        return self._count

    def enter(self, name: str) -> None:
        """Give a name that is not put away its number, if it has none."""
        if name not in self._open:
            self._open[name] = self._count
            self._open_names[self._count] = name
            self._count += 1

    def forget_names(self) -> None:
        """Begin a new epoch."""
        self.first = self._count
        self._open.clear()
        self._names.clear()

    def takes(self, operation: Operation) -> bool:
        """Whether its name was entered, is not put away yet, and nothing of it would be lost here."""
        spec, own = operation.payload, operation.identity
        return (
            operation.name in self._open
            and operation.kind is OperationKind.CREATE
            and spec is not None
            and spec.kind is not PayloadKind.SPARSE
            and not (operation.provisional or operation.as_stored)
            and (operation.target, operation.link, operation.mode, operation.xattr) == (None,) * 4
            and spec.operation == own
            and 0 <= own <= _LARGEST
            and 0 <= spec.size <= _LARGEST
            and _DIGEST.fullmatch(spec.sha256) is not None
            and operation.name == operation.name.strip("/")
        )

    def put(self, operation: Operation) -> None:
        """Put away the name of an operation that it `takes`."""
        if (key := _likeness(operation)) not in self._likes:
            self._likes[key] = len(self.likes)
            self.likes.append(operation)
        number = self._open.pop(operation.name)
        del self._open_names[number]
        self._newest[number] = operation
        self._names[operation.name] = number
        self._identities[operation.identity] = number
        if len(self._newest) > KEPT:
            self._write()

    # Found by name, of this epoch

    def number(self, name: str) -> int | None:
        number = self._open.get(name)
        return self._put_away_as(name) if number is None else number

    def holds(self, name: str) -> bool:
        """Whether it was put away."""
        return self._put_away_as(name) is not None

    def _put_away_as(self, name: str) -> int | None:
        if (number := self._names.get(name)) is not None or self._disk is None:
            return number
        row = self._row("SELECT number FROM shelf WHERE name = ? AND number >= ?", _bytes(name), self.first)
        return None if row is None else int(row[0])

    def named(self, name: str) -> Operation | None:
        """What made a name that is put away."""
        if (number := self._names.get(name)) is not None:
            return self._newest[number]
        return self._found(f"{_OPERATION} name = ? AND number >= ?", _bytes(name), self.first)

    def holding(self, name: str, size: int | None, sha256: str | None) -> int | None:
        """The number of a name that is put away, if this is its content."""
        if (number := self._names.get(name)) is not None:
            spec = self._newest[number].payload
            return number if spec and (spec.size, spec.sha256) == (size, sha256) else None
        if self._disk is None:
            return None
        wanted = "SELECT number, size, digest FROM shelf WHERE name = ? AND number >= ?"
        row = self._row(wanted, _bytes(name), self.first)
        return row[0] if row is not None and row[1] == size and row[2].hex() == sha256 else None

    def names(self) -> list[str]:
        """Those that are put away, in the order of their characters."""
        rows: list[Any] = []
        if self._disk is not None:
            rows = self._rows("SELECT name FROM shelf WHERE number >= ? ORDER BY name", self.first)
        return sorted([*(_text(name) for (name,) in rows), *self._names])

    def put_away(self) -> int:
        """The numbers of this epoch's names that are put away, a bit for each."""
        among = bytearray(self.end - self.first)
        for number, *_ in self.contents():
            among[number - self.first] = 1
        return bits(among) << self.first

    def below(self, directory: str) -> Iterator[str]:
        """Names that are put away in a directory, however deep. `directory` ends with a slash."""
        yield from (name for name in self._names if name.startswith(directory))
        if self._disk is not None:
            start = _bytes(directory)
            wanted = "SELECT name FROM shelf WHERE name > ? AND name < ? AND number >= ?"
            yield from (_text(name) for (name,) in self._rows(wanted, start, start + b"\xff", self.first))

    # Found by number or identity, of any epoch

    def operation(self, identity: int) -> Operation | None:
        if (number := self._identities.get(identity)) is not None:
            return self._newest[number]
        if not 0 <= identity <= _LARGEST:
            return None
        return self._found(f"{_OPERATION} identity = ? ORDER BY number DESC", identity)

    def identities(self) -> list[int]:
        """Of all that was put away."""
        rows = [] if self._disk is None else self._rows("SELECT identity FROM shelf")
        return [*(identity for (identity,) in rows), *self._identities]

    def name(self, number: int) -> str:
        name = self._open_names.get(number)
        return self.numbered(number).name if name is None else name

    def numbered(self, number: int) -> Operation:
        operation = self._newest.get(number) or self._found(f"{_OPERATION} number = ?", number)
        if operation is None:
            raise IndexError(f"nothing was put away under number {number}")
        return operation

    def operations(self) -> Iterator[Operation]:
        """All that was put away in this epoch."""
        for number, *_ in self.contents():
            yield self.numbered(number)

    def contents(self) -> Iterator[tuple[int, str, int, str]]:
        """Number, name, size and digest of each name that was put away in this epoch.

        Whoever keeps names and digests from more than one call has each but once.
        """
        last = self.first - 1
        while self._disk is not None:
            wanted = "SELECT number, name, size, digest FROM shelf WHERE number > ? ORDER BY number LIMIT ?"
            if not (rows := self._rows(wanted, last, _ROWS)):
                break
            for number, name, size, digest in rows:
                yield number, intern(_text(name)), size, intern(digest.hex())
            last = rows[-1][0]
        for number, operation in list(self._newest.items()):
            if number >= self.first and operation.payload is not None:
                yield number, operation.name, operation.payload.size, operation.payload.sha256

    # The database

    def _write(self) -> None:
        """Put all that is in memory into the database."""
        if self._disk is None:
            # What may be asked by the threads of several paths: `_lock` lets one in at a time.
            self._disk = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._disk.close)
            self._disk.executescript(_TABLE)
        rows = ((number, *self._packed(operation)) for number, operation in self._newest.items())
        with self._lock:
            self._disk.executemany("INSERT INTO shelf VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._newest.clear()
        self._identities.clear()
        self._names.clear()

    def _packed(self, operation: Operation) -> tuple[int, bytes, int, int, bytes]:
        spec = operation.payload
        assert spec is not None
        like, digest = self._likes[_likeness(operation)], bytes.fromhex(spec.sha256)
        return operation.identity, _bytes(operation.name), like, spec.size, digest

    def _made(self, row: tuple[int, bytes, int, int, bytes]) -> Operation:
        identity, name, like, size, digest = row
        one = self.likes[like]
        assert one.payload is not None
        spec = PayloadSpec(one.payload.run, identity, one.payload.kind, size, digest.hex())
        return Operation(
            identity, one.kind, _text(name), one.path, one.rule, one.acknowledgement, one.atomic, spec
        )

    def _found(self, statement: str, *values: int | bytes) -> Operation | None:
        row = self._row(statement, *values) if self._disk is not None else None
        return None if row is None else self._made(row)

    def _row(self, statement: str, *values: int | bytes) -> Any:
        assert self._disk is not None
        with self._lock:
            return self._disk.execute(statement, values).fetchone()

    def _rows(self, statement: str, *values: int | bytes) -> list[Any]:
        assert self._disk is not None
        with self._lock:
            return self._disk.execute(statement, values).fetchall()


_OPERATION = "SELECT identity, name, like, size, digest FROM shelf WHERE"


def _likeness(operation: Operation) -> tuple[object, ...]:
    spec = operation.payload
    assert spec is not None
    return operation.path, operation.rule, operation.acknowledgement, operation.atomic, spec.run, spec.kind


def bits(flags: bytearray) -> int:
    """A bit for each byte, which is 0 where the byte is; the first is the least."""
    return int(flags[::-1].translate(_DIGITS) or b"0", 2)


def _bytes(name: str) -> bytes:
    """Bytes in the order of the name's characters; names may hold halves of surrogate pairs."""
    return name.encode("utf-8", "surrogatepass")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


class Overlay(Generic[V]):
    """What is known of operations by identity: `open` where something is, else what follows from the shelf."""

    def __init__(self, shelf: Shelf, derived: Callable[[Operation], V]) -> None:
        self.open: dict[int, V] = {}
        self._shelf = shelf
        self._derived = derived

    def get(self, identity: int) -> V | None:
        found = self.open.get(identity)
        if found is None and (operation := self._shelf.operation(identity)) is not None:
            return self._derived(operation)
        return found

    def __getitem__(self, identity: int) -> V:
        found = self.get(identity)
        if found is None:
            raise KeyError(identity)
        return found

    def __contains__(self, identity: int) -> bool:
        return self.get(identity) is not None

    def __iter__(self) -> Iterator[int]:
        return iter({*self.open, *self._shelf.identities()})
