"""A scenario file and its steps as pytest collects and runs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from persistence_tests.pytest_plugin.session import SESSION

if TYPE_CHECKING:
    from persistence_tests.errors import PersistenceError
    from persistence_tests.model.finding import StepJudgement
    from persistence_tests.report.result import StepResult
    from persistence_tests.run.scenario_run import ScenarioRun
    from persistence_tests.scenario.scenario import Scenario

LOG_LINES = 40  # of each service, shown where a step is not kept


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
        if self.running is not None and self.running.failed and self.running.kept_running:
            pytest.skip("not run: the stack stays as the step that failed left it (--persistence-keep)")
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
        if self.config.pluginmanager.hasplugin("xdist"):
            # The steps of a scenario share a stack: apart, each would need one of its own (`--dist loadgroup`).
            self.add_marker(pytest.mark.xdist_group(self.parent.scenario.name))

    def runtest(self) -> None:
        from persistence_tests.model.finding import Verdict
        from persistence_tests.report.failure import because, known_lines
        from persistence_tests.report.junit import properties
        from persistence_tests.report.printable import lines, printable

        step = self.parent.judged(self.name)
        run = self.config.stash[SESSION].run()
        self.user_properties += properties(step, run.identity, run.settings.seed, str(run.report))
        if known := known_lines(step):
            self.add_report_section("call", "known losses", "\n".join(known))
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
