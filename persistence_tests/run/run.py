"""A run: one history, one directory of reports, one engine, any number of scenarios."""

from __future__ import annotations

import dataclasses
import itertools
import platform
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

from persistence_tests import __version__
from persistence_tests.errors import UsageError
from persistence_tests.model.free_text import reworded
from persistence_tests.model.history import HistoryWriter
from persistence_tests.model.oracle import Oracle
from persistence_tests.model.records import Entry, Record, RunBegan, RunEnded
from persistence_tests.model.secrets import Secrets
from persistence_tests.run.interruption import why_ended
from persistence_tests.run.parts import new_identity, point_latest_at
from persistence_tests.run.settings import Settings

if TYPE_CHECKING:
    from persistence_tests.run.scenario_run import ScenarioRun
    from persistence_tests.scenario.scenario import Scenario
    from persistence_tests.stack.engine import Engine

Listener = Callable[[Entry], None]


class Run:
    """Use as a context manager; the history is on disk before the first container is made.

    `directory` is reports/<run>, of a part reports/<run>/<part>; `report` is where the reports will be. `entries` is
    what the history holds so far.
    """

    def __init__(self, settings: Settings, engine: Engine, listeners: Sequence[Listener] = ()) -> None:
        self.settings = settings
        self.engine = engine
        whole, *part = settings.part_of or (new_identity(),)
        self.identity = "-".join([whole, *part])
        self.report = settings.report_dir / whole
        self.directory = self.report.joinpath(*part)
        self.entries: list[Entry] = []
        self.oracle = Oracle()
        self.identities = itertools.count(1)
        self.secrets = Secrets()
        self._names: set[str] = set()
        self._started = datetime.now(UTC)
        self._listeners = listeners
        self._lock = threading.Lock()

    def __enter__(self) -> Run:
        try:
            self.directory.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"the reports cannot be written to {self.settings.report_dir}: {error.strerror}",
                remedy="name another directory with --report-dir",
            ) from error
        self._history = HistoryWriter(self.directory / "history.jsonl")
        self._history.listeners += [self.entries.append, self.oracle.follow]
        self._history.listeners.extend(self._listeners)
        self.record(
            None,
            RunBegan(
                run=self.identity,
                seed=self.settings.seed,
                version=__version__,
                started=self._started.isoformat(timespec="seconds"),
                environment={
                    "python": platform.python_version(),
                    "platform": platform.platform(),
                    **self.engine.describe(),
                },
            ),
        )
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.record(None, RunEnded(complete=error is None, why=why_ended(error)))
        self.sync()
        self._history.close()
        if self.settings.part_of is None:
            point_latest_at(self.settings.report_dir, self.identity)

    def scenario(self, scenario: Scenario, steps: Collection[str] | None = None) -> ScenarioRun:
        """Prepare to run a scenario, or only the named steps of it; nothing is made yet.

        The history tells scenarios apart by their names: the second of one name becomes "name-2".
        """
        from persistence_tests.run.scenario_run import ScenarioRun

        names = (
            f"{scenario.name}-{number}" if number > 1 else scenario.name for number in itertools.count(1)
        )
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return ScenarioRun(self, dataclasses.replace(scenario, name=name), steps)

    def record(self, scenario: str | None, record: Record) -> None:
        """Put a record into the history, without the secrets that are known by now."""
        self._history.append(scenario, reworded(record, self.secrets.redact_in))

    def sync(self) -> None:
        """Put the history on the disk, before and after every event."""
        self._history.sync()
