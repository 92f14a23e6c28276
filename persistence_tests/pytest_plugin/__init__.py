"""The pytest plugin: collects *.persistence.yaml, one item a step. Imports nothing heavy.

Options `--persistence-*`, each with an ini twin `persistence_*`; marker `persistence`; fixtures `persistence_*`. With
pytest-xdist every worker has a run of its own, and the controller makes one report of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from persistence_tests.pytest_plugin.items import ScenarioFile
from persistence_tests.pytest_plugin.options import add_options
from persistence_tests.pytest_plugin.session import SESSION, PersistenceSession
from persistence_tests.pytest_plugin.workers import WORKER_INPUT

if TYPE_CHECKING:
    from persistence_tests.run.run import Run
    from persistence_tests.run.scenario_run import ScenarioRun

SUFFIXES = (".persistence.yaml", ".persistence.yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "persistence: a step of a *.persistence.yaml scenario on a real stack")
    config.stash[SESSION] = PersistenceSession(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if file_path.name.endswith(SUFFIXES):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of xdist, in the controller: what a worker must know."""
    workers = node.config.stash[SESSION].workers()
    node.workerinput[WORKER_INPUT] = workers.given(node.gateway.id)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[SESSION].workers().gone(node.gateway.id)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """By now every stack is torn down: pytest's own hook of this name does that, and comes first."""
    from persistence_tests.errors import PersistenceError

    dsession = session.config.pluginmanager.get_plugin("dsession")
    stopped = session.shouldfail or session.shouldstop or getattr(dsession, "shouldstop", False)
    error: BaseException | None = PersistenceError(str(stopped)) if stopped else None
    if exitstatus == pytest.ExitCode.INTERRUPTED and not stopped:
        error = KeyboardInterrupt()
    session.config.stash[SESSION].finish(error)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash[SESSION].summary_lines():
        terminalreporter.write_line(line)


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
