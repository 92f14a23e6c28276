"""A scenario against the stack that it names; needs Compose, but no engine."""

from __future__ import annotations

from typing import Any

from persistence_tests.errors import ScenarioError, StackError
from persistence_tests.scenario.against_stack import check_against, refused_by_compose
from persistence_tests.scenario.scenario import Scenario


def resolve_stack(scenario: Scenario) -> dict[str, Any]:
    """The stack's configuration as Compose resolves it.

    Raises ScenarioError with everything that the scenario names and the stack does not have, or with what
    Compose says of its files.
    """
    from persistence_tests.stack.compose import Compose
    from persistence_tests.stack.engine import DEFAULT_SOCKET

    spec = scenario.stack
    compose = Compose(
        engine_url=DEFAULT_SOCKET,
        project="persistence-validation",
        directory=spec.project_directory,
        files=spec.compose,
        profiles=spec.profiles,
        env_files=spec.env_files,
        env=spec.env,
    )
    try:
        resolved = compose.config(all_profiles=True)
    except StackError as error:
        raise ScenarioError([refused_by_compose(scenario, error.what)]) from error
    problems = check_against(scenario, resolved)
    if problems:
        raise ScenarioError(problems)
    return resolved
