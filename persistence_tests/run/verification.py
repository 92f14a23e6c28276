"""Looks at every name through every path, until it is right or the path's time is over.

The first look is through all paths at once. What is not right then is waited for, on the paths that read the
bytes where they are stored first: a name that is wrong there is not waited for on those that only serve it. Rows that
refer to files come last (`rows`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from persistence_tests.model.attribution import attribute
from persistence_tests.model.closure import ABSENT
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.oracle.listing import ignored
from persistence_tests.model.records import BaselineListed, PathObserved, Phase, Record
from persistence_tests.model.sightings import Sightings
from persistence_tests.model.wholeness import flaw
from persistence_tests.paths.base import ReadingPath, View
from persistence_tests.run.aside import Aside
from persistence_tests.run.rows import RowsLook

POLL_SECONDS = 0.05
NAMES_A_RECORD = 1000
ATTRIBUTED_BYTES = 16 * 1024 * 1024
EXAMINED_BYTES = 64 * 1024 * 1024
ATTRIBUTED_NAMES = 64  # a pass; of the others only the beginning is attributed
ATTRIBUTED_BEGINNING = 64 * 1024

Observations = Mapping[str, Observation]
Look = tuple[View, Sightings]


class Verification:
    """Observes the names of one epoch and records what it saw. `record` takes each record once."""

    def __init__(
        self,
        run: str,
        paths: Iterable[ReadingPath],
        ledger: Ledger,
        record: Callable[[Record], None],
        ignore: Sequence[str] = (),
    ) -> None:
        """`ignore` are patterns of names that may be there unwritten: who wrote them is not asked."""
        self._run = run
        own = sorted(paths, key=lambda path: not path.declared.stored)
        self._paths = [path for path in own if not path.declared.refers]
        self._rows = [RowsLook(path, self._paths, ledger) for path in own if path.declared.refers]
        self._ledger = ledger
        self._record = record
        self._ignore = ignore
        self._baseline: dict[str, frozenset[str]] = {}
        self._flaws: dict[tuple[str, str], str | None] = {}

    def list_baseline(self) -> None:
        """Record what is there before anything is written."""
        listing = [path for path in self._paths if path.declared.lists]
        looks = [Aside(partial(path.observe, ())) for path in listing]
        views = [look.result() for look in looks]
        for path, view in zip(listing, views, strict=True):
            names = tuple(sorted(view.observations))
            self._baseline[path.declared.name] = frozenset(names)
            self._record(BaselineListed(path.declared.name, names, tuple(sorted(view.directories))))
        for rows in self._rows:
            files = [
                view.observations for path, view in zip(listing, views, strict=True) if path.declared.stored
            ]
            _, sightings = rows.look((), (), files)
            self._record(BaselineListed(rows.name, tuple(sorted(sightings.others)), ()))

    def observe(
        self, step: str, phase: Phase, names: Sequence[str], *, server_down: bool = False
    ) -> dict[str, Observations]:
        """One look through each path: observations by path and name.

        `server_down` leaves out the paths that cannot be read while no container runs.
        """
        paths = [path for path in self._paths if path.declared.while_down or not server_down]
        asides = {path.declared.name: Aside(partial(self._look, path, names)) for path in paths}
        first = {name: aside.result() for name, aside in asides.items()}
        self._settle_apart(paths, first)
        seen: dict[str, Observations] = {}
        wrong_where_stored: set[str] = set()
        for path in paths:
            look = first[path.declared.name]
            (view, sightings), wrong = self._settle(path, names, look, wrong_where_stored)
            self._forget_passing(path, sightings)
            self._attribute_all(path, sightings, wrong)
            if path.declared.stored:
                wrong_where_stored.update(wrong)
            self._record_view(step, phase, path.declared.name, view, sightings)
            seen[path.declared.name] = sightings
        for rows in self._rows if not server_down else ():
            # After the files: what a row refers to was to be there by now.
            files = [
                seen[path.declared.name] for path in paths if path.declared.stored and path.declared.lists
            ]
            view, sightings = rows.look(names, wrong_where_stored, files)
            self._record_view(step, phase, rows.name, view, sightings)
            seen[rows.name] = sightings
        return seen

    def _look(self, path: ReadingPath, names: Sequence[str]) -> Look:
        sightings = Sightings(self._ledger)
        view = path.observe(names, sightings)
        return view, Sightings(self._ledger) if view.problem else sightings

    def _settle_apart(self, paths: Sequence[ReadingPath], looks: Mapping[str, Look]) -> None:
        """Look again at names whose fate is open, and of which the paths do not show the same.

        A server may still be writing what it never answered: one path was looked at before it, another after it.
        """

        def still_apart() -> bool:
            if apart := self._apart(paths, looks):
                for path in paths:
                    view, again = self._look(path, apart)
                    if view.problem is None:
                        looks[path.declared.name][1].overlay(again)
            return bool(apart)

        Retrying(
            stop=stop_after_delay(max((path.within for path in paths), default=0.0)),
            wait=wait_fixed(POLL_SECONDS),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _: None,
        )(still_apart)

    def _apart(self, paths: Sequence[ReadingPath], looks: Mapping[str, Look]) -> list[str]:
        telling = [
            (path.declared.stored, looks[path.declared.name][1])
            for path in paths
            if path.declared.name not in self._ledger.blind
        ]

        def shown(name: str) -> set[tuple[NodeKind, str | None]]:
            found = ((stored, seen[name]) for stored, seen in telling if name in seen)
            # As the oracle has it: what is stored and was never acknowledged may be served to nobody.
            return {
                (each.kind, each.sha256)
                for stored, each in found
                if each.kind is NodeKind.FILE or (each.kind is NodeKind.ABSENT and stored)
            }

        unsure = (name for name in self._ledger.open_names() if len(self._ledger.states(name)) > 1)
        return [name for name in unsure if len(shown(name)) > 1]

    def _settle(
        self, path: ReadingPath, names: Sequence[str], look: Look, hopeless: set[str]
    ) -> tuple[Look, list[str]]:
        """The last look at each name after the first, and the names that are wrong after the path's time."""
        view, seen = look
        wrong = self._wrong(path, seen, names)

        def waiting() -> list[str]:
            return list(names) if view.problem else [name for name in wrong if name not in hopeless]

        def look_again() -> bool:
            nonlocal view, seen, wrong
            again, seen_again = self._look(path, waiting())
            if view.problem:
                view, seen = again, seen_again
            elif again.problem is None:
                seen.overlay(seen_again)
                view.directories.update(again.directories)
            wrong = self._wrong(path, seen, names)
            return bool(view.problem or waiting())

        if view.problem or waiting():
            Retrying(
                stop=stop_after_delay(path.within),
                wait=wait_fixed(POLL_SECONDS),
                retry=retry_if_result(bool),
                retry_error_callback=lambda _: None,
            )(look_again)
        return (view, seen), wrong

    def _forget_passing(self, path: ReadingPath, seen: Sightings) -> None:
        """What nobody wrote counts if it is still there at a second look: servers have temporary files."""
        strangers = self._unknown(path, seen)
        if not strangers:
            return
        view, again = self._look(path, ())
        if view.problem is None:
            for name in strangers:
                del seen[name]
                if name in again:
                    seen[name] = again[name]

    def _wrong(self, path: ReadingPath, sightings: Sightings, names: Sequence[str]) -> list[str]:
        """The names that the history does not allow to be as they were seen."""
        stored, blind = path.declared.stored, path.declared.name in self._ledger.blind
        wrong = []
        for name in names:
            if (seen := sightings.others.get(name)) is None:
                continue  # it is plainly right, or was not seen
            if blind and self._ledger.states(name) == ABSENT:
                continue  # it will never show that the name is gone: there is nothing to wait for
            if stored and (sent := self._ledger.unread(name)) and seen.kind is NodeKind.FILE:
                seen = sightings[name] = self._examined(name, seen, sent.kind)
            if self._ledger.allows(name, seen, stored):
                continue
            if len(self._ledger.states(name)) > 1 and seen.kind is NodeKind.FILE and seen.spans is None:
                # Only who wrote the bytes tells an allowed part of an unanswered write from damage.
                seen = sightings[name] = self._attribute(path, name, seen, ATTRIBUTED_BYTES)
                if self._ledger.allows(name, seen, stored):
                    continue
            wrong.append(name)
        return wrong

    def _examined(self, name: str, seen: Observation, kind: PayloadKind) -> Observation:
        """Whether what a server made of a file, seen for the first time, is a whole file."""
        key = name, seen.sha256 or ""
        if key not in self._flaws:
            content = self._content(name, seen) if (seen.size or 0) <= EXAMINED_BYTES else None
            self._flaws[key] = None if content is None else flaw(kind, content)
        return dataclasses.replace(seen, flaw=self._flaws[key])

    def _content(self, name: str, seen: Observation) -> bytes | None:
        """The very bytes that were seen; None where no path shows them any more."""
        # The same digest is the same bytes: what mounts a volume anew for each file comes last.
        for reader in sorted(self._paths, key=lambda path: path.declared.while_down):
            content = reader.read(name, EXAMINED_BYTES)
            if hashlib.sha256(content).hexdigest() == seen.sha256:
                return content
        return None

    def _attribute_all(self, path: ReadingPath, seen: Sightings, wrong: Sequence[str]) -> None:
        """Add spans where the bytes are not the expected ones."""
        unknown = self._unknown(path, seen)
        strange = [name for name in (*wrong, *unknown) if seen[name].kind is NodeKind.FILE]
        for position, name in enumerate(strange):
            limit = ATTRIBUTED_BYTES if position < ATTRIBUTED_NAMES else ATTRIBUTED_BEGINNING
            if seen[name].spans is None:
                seen[name] = self._attribute(path, name, seen[name], limit)

    def _unknown(self, path: ReadingPath, seen: Sightings) -> list[str]:
        baseline = self._baseline.get(path.declared.name)
        if baseline is None:
            return []
        known = baseline.union(self._ledger.open_names())
        return [
            name
            for name in seen.others
            if name not in known and not self._ledger.is_put_away(name) and not ignored(name, self._ignore)
        ]

    def _attribute(self, path: ReadingPath, name: str, seen: Observation, limit: int) -> Observation:
        content = path.read(name, limit)
        if len(content) < limit and len(content) != (seen.size or 0):
            # It changed since it was hashed: what was read last is what is judged.
            seen = dataclasses.replace(seen, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        spans = attribute(content, self._ledger.candidates(name), self._run)
        return dataclasses.replace(seen, spans=spans, attributed=len(content))

    def _record_view(self, step: str, phase: Phase, path: str, view: View, seen: Sightings) -> None:
        directories = view.directories
        for part in _parts(seen, NAMES_A_RECORD):
            self._record(PathObserved(step, phase, path, view.method, part, directories, view.problem))
            directories = {}


def _parts(seen: Sightings, length: int) -> Iterator[dict[str, Observation]]:
    """At least one."""
    each = seen.each()
    part = dict(itertools.islice(each, length))
    while True:
        yield part
        if not (part := dict(itertools.islice(each, length))):
            return
