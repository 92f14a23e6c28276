"""Looks at rows that refer to files: those of the names that were written, and those whose file is not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.rows import allows_row, makes_row
from persistence_tests.model.sightings import Sightings
from persistence_tests.paths.base import ReadingPath, View

POLL_SECONDS = 0.1


class RowsLook:
    """One path that shows rows, beside the paths that show the files."""

    def __init__(self, path: ReadingPath, files: Sequence[ReadingPath], ledger: Ledger) -> None:
        self.name = path.declared.name
        self._path = path
        self._stored = [each for each in files if each.declared.stored and each.declared.lists]
        self._ledger = ledger

    def look(
        self, names: Sequence[str], hopeless: Collection[str], files: Sequence[Mapping[str, Observation]]
    ) -> tuple[View, Sightings]:
        """What the rows show once they are right, or the path's time is over. `hopeless` are not waited for; `files` is
        what the stored paths have just shown."""
        asked = [name for name in names if makes_row(self._ledger, name)]
        looked: list[tuple[View, Sightings]] = []

        def look_again() -> bool:
            there = self._files() if looked and self._strange(looked[0][1]) else files
            rows = Sightings(self._ledger)
            view = self._path.observe(asked, _Wanted(rows, self._ledger, there))
            looked[:] = [(view, Sightings(self._ledger) if view.problem else rows)]
            return bool(view.problem or self._strange(rows) or self._wrong(asked, hopeless, rows))

        Retrying(
            stop=stop_after_delay(self._path.within),
            wait=wait_fixed(POLL_SECONDS),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _: None,
        )(look_again)
        return looked[0]

    def _files(self) -> list[Mapping[str, Observation]]:
        """What the stored paths show now; a file may come after its row."""
        views = [path.observe(()) for path in self._stored]
        return [view.observations for view in views if view.problem is None]

    def _wrong(self, asked: Sequence[str], hopeless: Collection[str], rows: Sightings) -> bool:
        seen = rows.others
        return any(
            name in seen and name not in hopeless and not allows_row(self._ledger, name, seen[name])
            for name in asked
        )

    def _strange(self, rows: Sightings) -> bool:
        """Whether there are rows without a file, which were not there before and are not of the run's own names."""
        before = self._ledger.baseline.get(self.name, frozenset())
        return any(name not in before and not self._ledger.knows(name) for name in rows.others)


class _Wanted(MutableMapping[str, Observation]):
    """Takes what rows say and lets go of what nobody asks for: a row of a name that the run does not know, with a file
    or where no path shows files. So memory does not grow with the tables."""

    def __init__(self, seen: Sightings, ledger: Ledger, files: Sequence[Mapping[str, Observation]]) -> None:
        self._seen, self._ledger, self._files = seen, ledger, files

    def __setitem__(self, name: str, seen: Observation) -> None:
        if self._ledger.knows(name) or not self._has_file(name):
            self._seen[name] = seen

    def _has_file(self, name: str) -> bool:
        if not self._files:
            return True
        return any(name in files and files[name].kind is not NodeKind.ABSENT for files in self._files)

    def __getitem__(self, name: str) -> Observation:
        return self._seen[name]

    def __delitem__(self, name: str) -> None:
        del self._seen[name]

    def __contains__(self, name: object) -> bool:
        return name in self._seen

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen)

    def __len__(self) -> int:
        return len(self._seen)
