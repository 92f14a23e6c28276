"""The pytest plugin: collects *.persistence.yaml, one item a step. Imports nothing heavy.

Options `--persistence-*`, each with an ini twin `persistence_*`; marker `persistence`; fixtures `persistence_*`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from persistence_tests.model.finding import StepJudgement
    from persistence_tests.report.result import StepResult
    from persistence_tests.run.run import Run
    from persistence_tests.run.scenario_run import ScenarioRun
    from persistence_tests.scenario.scenario import Scenario

SUFFIXES = (".persistence.yaml", ".persistence.yml")
OPTIONS = {
    "seed": "Seed of names; every run prints its own.",
    "engine": "Docker engine; default: DOCKER_HOST or the current context.",
    "report-dir": "Where each run makes a directory for its reports (default: reports).",
    "keep": "When to leave the stack running: always, on-failure or never (default).",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("persistence", "persistence of files in a Compose stack")
    for name, text in OPTIONS.items():
        group.addoption(f"--persistence-{name}", default=None, metavar=name.upper(), help=text)
        parser.addini(f"persistence_{name.replace('-', '_')}", text, default=None)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "persistence: a step of a *.persistence.yaml scenario on a real stack")
    config.stash[SESSION] = PersistenceSession(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if file_path.name.endswith(SUFFIXES):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class PersistenceSession:
    """The one run of a pytest session, begun when the first step or fixture needs it."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._run: Run | None = None

    @property
    def begun(self) -> Run | None:
        return self._run

    def run(self) -> Run:
        if self._run is None:
            from persistence_tests.run.run import Run
            from persistence_tests.run.settings import Keep, Settings
            from persistence_tests.stack.engine import Engine

            seed = self._option("seed")
            settings = Settings(
                report_dir=Path(self._option("report-dir") or "reports"),
                seed=random.SystemRandom().randrange(1_000_000) if seed is None else int(seed),
                engine=self._option("engine"),
                keep=Keep(self._option("keep") or Keep.NEVER),
            )
            self._run = Run(settings, Engine.connect(settings.engine)).__enter__()
        return self._run

    def finish(self, interrupted: bool) -> None:
        """End the history and write the reports."""
        if self._run is None:
            return
        from persistence_tests.report.build import build
        from persistence_tests.report.files import write_reports

        error = KeyboardInterrupt() if interrupted else None
        self._run.__exit__(type(error) if error else None, error, None)
        write_reports(build(self._run.entries), self._run.directory)

    def _option(self, name: str) -> Any:
        given = self._config.getoption(f"--persistence-{name}")
        return given if given is not None else self._config.getini(f"persistence_{name.replace('-', '_')}")


SESSION = pytest.StashKey[PersistenceSession]()


class ScenarioFile(pytest.File):
    """A scenario file; its stack lives from its first item to its last."""

    def collect(self) -> Iterator[StepItem]:
        from persistence_tests.errors import ScenarioError
        from persistence_tests.scenario import load

        try:
            self.scenario: Scenario = load(self.path)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        self.running: ScenarioRun | None = None
        for planned in (self.scenario.up, *(step.planned for step in self.scenario.steps)):
            yield StepItem.from_parent(self, name=planned.step, line=planned.line, title=planned.title)

    def judged(self, step: str) -> StepResult:
        from persistence_tests.report.build import step_result
        from persistence_tests.run.scenario_run import UP

        run = self.config.stash[SESSION].run()
        judgement: StepJudgement | None = None
        if self.running is None:
            self.running = run.scenario(self.scenario)
            judgement = self.running.open()
        if judgement is None or step != UP:
            judgement = self.running.step(step)
        return step_result(run.entries, self.scenario.name, judgement)

    def close(self) -> None:
        running, self.running = self.running, None
        if running is not None:
            running.close()


class StepNotKept(Exception):
    """A step that is lost, unavailable or inconclusive; pytest shows its block, not a traceback."""

    def __init__(self, step: StepResult, source: str) -> None:
        from persistence_tests.report.failure import finding_block, headline, reason_block

        blocks = [finding_block(finding, step) for finding in step.findings]
        if step.reasons or not blocks:
            blocks.append(reason_block(step, source))
        self.text = "\n\n".join(blocks)
        super().__init__(
            headline(step.findings[0]) if step.findings else f"{step.verdict}: {'; '.join(step.reasons)}"
        )


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

        step = self.parent.judged(self.name)
        self.user_properties += [("verdict", step.verdict.value), ("event", step.event)]
        self.user_properties += [
            (f"path.{name}", f"{count['ok']}/{count['checked']}") for name, count in step.paths.items()
        ]
        if step.verdict is Verdict.SKIPPED:
            pytest.skip("; ".join(step.reasons))
        if step.verdict is not Verdict.KEPT:
            raise StepNotKept(step, self.parent.scenario.source.name)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from persistence_tests.errors import PersistenceError

        if isinstance(excinfo.value, StepNotKept):
            return excinfo.value.text
        if isinstance(excinfo.value, PersistenceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, max(self._line - 1, 0), f"{self.parent.name}::{self.name} ({self._title})"


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if isinstance(item, StepItem) and (nextitem is None or nextitem.parent is not item.parent):
        item.parent.close()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    for item in session.items if hasattr(session, "items") else ():
        if isinstance(item, StepItem):
            item.parent.close()
    session.config.stash[SESSION].finish(exitstatus == pytest.ExitCode.INTERRUPTED)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    run = config.stash[SESSION].begun
    if run is not None:
        terminalreporter.write_line(f"persistence: seed {run.settings.seed}, report {run.directory}/")


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

    opened: list[ScenarioRun] = []

    def open_scenario(path: str | Path) -> ScenarioRun:
        running = persistence_run.scenario(load(Path(path)))
        opened.append(running)
        running.open()
        return running

    yield open_scenario
    for running in opened:
        running.close()
