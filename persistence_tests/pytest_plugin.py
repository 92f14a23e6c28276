"""The pytest plugin: collects *.persistence.yaml, one item a step. Imports nothing heavy.

Options `--persistence-*`, each with an ini twin `persistence_*`; marker `persistence`; fixtures `persistence_*`.
"""

from __future__ import annotations

import dataclasses
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from persistence_tests.errors import PersistenceError
    from persistence_tests.model.finding import StepJudgement
    from persistence_tests.report.result import RunResult, StepResult
    from persistence_tests.run.run import Run
    from persistence_tests.run.scenario_run import ScenarioRun
    from persistence_tests.scenario.scenario import Scenario

SUFFIXES = (".persistence.yaml", ".persistence.yml")
LOG_LINES = 40  # of each service, shown where a step is not kept
KEEP = ("always", "on-failure", "never")
OPTIONS = {
    "seed": "Seed of names, a number; every run prints its own.",
    "engine": "Docker engine; default: DOCKER_HOST or the current context.",
    "report-dir": "Where each run makes a directory for its reports (default: reports).",
    "keep": "When to leave the stack running: always, on-failure or never (default).",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("persistence", "persistence of files in a Compose stack")
    for name, text in OPTIONS.items():
        group.addoption(f"--persistence-{name}", default=None, metavar=name.upper(), help=text)
        parser.addini(ini_name(name), text, default=None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "persistence: a step of a *.persistence.yaml scenario on a real stack")
    config.stash[SESSION] = PersistenceSession(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if file_path.name.endswith(SUFFIXES):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def ini_name(option: str) -> str:
    return f"persistence_{option.replace('-', '_')}"


class PersistenceSession:
    """The one run of a pytest session, begun when the first step or fixture needs it.

    Raises pytest.UsageError for an option that makes no sense.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._run: Run | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self.result: RunResult | None = None
        seed, keep = self._option("seed"), self._option("keep")
        if seed is not None and not str(seed).isdecimal():
            raise pytest.UsageError(f"--persistence-seed takes a number, not {seed!r}")
        if keep is not None and keep not in KEEP:
            raise pytest.UsageError(f"--persistence-keep takes {', '.join(KEEP)}, not {keep!r}")
        self._seed = random.SystemRandom().randrange(1_000_000) if seed is None else int(seed)
        self._keep = keep or "never"

    @property
    def begun(self) -> Run | None:
        return self._run

    def run(self) -> Run:
        if self._run is None:
            from persistence_tests.run.run import Run
            from persistence_tests.run.settings import Keep, Settings
            from persistence_tests.stack.engine import Engine

            settings = Settings(
                report_dir=Path(self._option("report-dir") or "reports"),
                seed=self._seed,
                engine=self._option("engine"),
                keep=Keep(self._keep),
            )
            engine = Engine.connect(settings.engine)
            self._run = Run(settings, engine).__enter__()
            self._handle_interrupts()
        return self._run

    def finish(self, error: BaseException | None) -> None:
        """End the history and write the reports; `error` is what ended the session before its end."""
        if self._run is None or self.result is not None:
            return
        from persistence_tests.report.build import build
        from persistence_tests.report.files import write_reports

        self._run.__exit__(type(error) if error else None, error, None)
        self._run.engine.close()
        self.result = build(self._run.entries, judgements=self._run.oracle.judgements())
        write_reports(self.result, self._run.entries, self._run.directory)
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    def _handle_interrupts(self) -> None:
        """From here on SIGTERM too lets pytest tear down, and a second interrupt does not keep it from that."""
        if threading.current_thread() is not threading.main_thread():
            return
        from persistence_tests.run.interruption import INTERRUPTS, handle_interrupts

        self._handlers = {each: signal.getsignal(each) for each in INTERRUPTS}
        handle_interrupts()

    def _option(self, name: str) -> Any:
        given = self._config.getoption(f"--persistence-{name}")
        return given if given is not None else self._config.getini(ini_name(name))


SESSION = pytest.StashKey[PersistenceSession]()


class ScenarioFile(pytest.File):
    """A scenario file; its stack lives from its first item to its last."""

    def collect(self) -> Iterator[StepItem]:
        from persistence_tests.errors import ScenarioError
        from persistence_tests.scenario import load

        try:
            scenario = load(self.path)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        below = self.path.is_relative_to(Path.cwd())
        source = self.path.relative_to(Path.cwd()) if below else self.path  # as one would type it
        self.scenario: Scenario = dataclasses.replace(scenario, source=source)
        self.running: ScenarioRun | None = None
        self.refused: PersistenceError | None = None
        for planned in (self.scenario.up, *(step.planned for step in self.scenario.steps)):
            yield StepItem.from_parent(self, name=planned.step, line=planned.line, title=planned.title)

    def judged(self, step: str) -> StepResult:
        """The result of a step; whatever keeps the stack from being made at all is raised for each of them."""
        from persistence_tests.errors import PersistenceError
        from persistence_tests.report.build import step_result
        from persistence_tests.run.scenario_run import UP

        if self.refused is not None:
            raise self.refused
        run = self.config.stash[SESSION].run()
        judgement: StepJudgement | None = None
        if self.running is None:
            self.running = run.scenario(self.scenario, self._selected())
            try:
                judgement = self.running.open()
            except PersistenceError as error:
                self.refused = error
                raise
        if judgement is None or step != UP:
            judgement = self.running.step(step)
        return step_result(run.entries, self.running.scenario.name, judgement)

    def logs(self) -> dict[str, str]:
        """The last lines of each service's log."""
        return self.running.recent_logs(LOG_LINES) if self.running else {}

    def teardown(self) -> None:
        """Called by pytest after the last item of the file, and whenever the session ends before that."""
        from persistence_tests.errors import PersistenceError

        running, self.running = self.running, None
        if running is None:
            return
        try:
            running.close()
        except PersistenceError as error:
            pytest.fail(str(error), pytrace=False)

    def _selected(self) -> frozenset[str]:
        """The steps of this session: what nobody asked for is not missing from the report."""
        return frozenset(item.name for item in self.session.items if item.parent is self)


class StepNotKept(Exception):
    """A step that is lost, unavailable or inconclusive; pytest shows its block, not a traceback."""

    def __init__(self, step: StepResult, source: str) -> None:
        from persistence_tests.report.failure import because, step_block

        self.text = step_block(step, source)
        super().__init__("; ".join(because(step)) or step.verdict.value)


class StepItem(pytest.Item):
    """One step of a scenario."""

    parent: ScenarioFile

    def __init__(self, *, line: int, title: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._line = line
        self._title = title
        self.add_marker("persistence")

    def runtest(self) -> None:
        from persistence_tests.model.finding import Verdict
        from persistence_tests.report.failure import because
        from persistence_tests.report.printable import lines, printable

        step = self.parent.judged(self.name)
        self.user_properties += [("verdict", step.verdict.value), ("event", step.event)]
        self.user_properties += [
            (printable(f"path.{name}"), f"{count.ok}/{count.checked}") for name, count in step.paths.items()
        ]
        if step.verdict is Verdict.SKIPPED:
            raise pytest.skip.Exception(
                "; ".join(because(step)) or "no reason given", _use_item_location=True
            )
        if step.verdict is not Verdict.KEPT:
            for service, log in self.parent.logs().items():
                if log:
                    self.add_report_section("call", f"log of {printable(service)}", "\n".join(lines(log)))
            raise StepNotKept(step, str(self.parent.scenario.source))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from persistence_tests.errors import PersistenceError

        if isinstance(excinfo.value, StepNotKept):
            return excinfo.value.text
        if isinstance(excinfo.value, PersistenceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, max(self._line - 1, 0), f"{self.parent.name}::{self.name} ({self._title})"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """By now every stack is torn down: pytest's own hook of this name does that, and comes first."""
    from persistence_tests.errors import PersistenceError

    stopped = session.shouldfail or session.shouldstop
    error: BaseException | None = PersistenceError(str(stopped)) if stopped else None
    if exitstatus == pytest.ExitCode.INTERRUPTED and not stopped:
        error = KeyboardInterrupt()
    session.config.stash[SESSION].finish(error)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ours = config.stash[SESSION]
    if ours.begun is None:
        return
    if ours.result is not None:
        from persistence_tests.report.wording import budget

        terminalreporter.write_line(f"persistence: {ours.result.verdict}: {' · '.join(budget(ours.result))}")
    terminalreporter.write_line(
        f"persistence: seed {ours.begun.settings.seed}, report {ours.begun.directory}/"
    )


@pytest.fixture(scope="session")
def persistence_run(request: pytest.FixtureRequest) -> Run:
    """The run of this session: one history, one directory of reports."""
    return request.config.stash[SESSION].run()


@pytest.fixture
def persistence_scenario(persistence_run: Run) -> Iterator[Callable[[str | Path], ScenarioRun]]:
    """Call it with a scenario file: its stack is up, `.step("kill")` gives the judgement of a step.

    The stack is torn down when the test ends.
    """
    from persistence_tests.scenario import load

    with ExitStack() as opened:

        def open_scenario(path: str | Path) -> ScenarioRun:
            running = opened.enter_context(persistence_run.scenario(load(Path(path))))
            running.open()
            return running

        yield open_scenario
