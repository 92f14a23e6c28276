"""The one run of a pytest session, or of a worker of one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from persistence_tests.pytest_plugin.options import read_options
from persistence_tests.pytest_plugin.workers import WORKER_INPUT, Workers

if TYPE_CHECKING:
    from persistence_tests.report.result import RunResult
    from persistence_tests.run.run import Run


class PersistenceSession:
    """The run begins when the first step or fixture needs it.

    Raises pytest.UsageError for an option that makes no sense.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.options = read_options(config)
        self._given: dict[str, Any] | None = getattr(config, "workerinput", {}).get(WORKER_INPUT)
        self._run: Run | None = None
        self._workers: Workers | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._result: RunResult | None = None

    def workers(self) -> Workers:
        """Of the controller of a distributed session."""
        if self._workers is None:
            self._workers = Workers(self.options)
        return self._workers

    def run(self) -> Run:
        if self._run is None:
            from persistence_tests.run.run import Run
            from persistence_tests.run.settings import Keep, Settings
            from persistence_tests.stack.engine import Engine

            options, given = self.options, self._given or {}
            settings = Settings(
                report_dir=options.report_dir,
                seed=given.get("seed", options.seed),
                engine=given.get("engine", options.engines[0] if options.engines else None),
                keep=Keep(options.keep),
                part_of=given.get("part_of"),
            )
            engine = Engine.connect(settings.engine)
            self._run = Run(settings, engine).__enter__()
            self._handle_interrupts()
        return self._run

    def finish(self, error: BaseException | None) -> None:
        """End the history and write the reports; `error` is what ended the session before its end."""
        if self._workers is not None:
            self._result = self._workers.finish(error)
        if self._run is None or self._result is not None:
            return
        self._run.__exit__(type(error) if error else None, error, None)
        self._run.engine.close()
        if self._given is None:
            from persistence_tests.report.build import build
            from persistence_tests.report.files import append_step_summary, write_reports

            self._result = build(self._run.entries, judgements=self._run.oracle.judgements())
            write_reports(self._result, self._run.entries, self._run.directory)
            append_step_summary(self._result, os.environ.get("GITHUB_STEP_SUMMARY"))
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    def summary_lines(self) -> Iterator[str]:
        """What the end of pytest's own output says of the run."""
        result = self._result
        if result is None:
            return
        from persistence_tests.report.failure import known_lines
        from persistence_tests.report.kept import kept_lines
        from persistence_tests.report.wording import budget, verdict_said

        said = verdict_said(result.verdict, result.findings)
        yield f"persistence: {said}: {' · '.join(budget(result))}"
        for step in result.steps:
            for line in known_lines(step):
                yield f"persistence: {line}"
        for scenario in result.scenarios:
            if scenario.kept:
                yield from (f"persistence: {line}" for line in kept_lines(scenario.kept))
        yield f"persistence: seed {result.seed}, report {self.options.report_dir / result.run_id}/"

    def _handle_interrupts(self) -> None:
        """From here on SIGTERM too lets pytest tear down, and a second interrupt does not keep it from that."""
        if threading.current_thread() is not threading.main_thread():
            return
        from persistence_tests.run.interruption import INTERRUPTS, handle_interrupts

        self._handlers = {each: signal.getsignal(each) for each in INTERRUPTS}
        handle_interrupts()


SESSION = pytest.StashKey[PersistenceSession]()
