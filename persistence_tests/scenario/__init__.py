"""The scenario file: schema, loader, and every error in it with its place and a remedy."""

from __future__ import annotations

from persistence_tests.scenario.against_stack import check_against, refused_by_compose
from persistence_tests.scenario.discovery import find
from persistence_tests.scenario.loader import load
from persistence_tests.scenario.scenario import (
    Expectation,
    PlannedEvent,
    Promise,
    Ready,
    Scenario,
    WriteRule,
)
from persistence_tests.scenario.schema import json_schema
from persistence_tests.scenario.validation import resolve_stack

__all__ = [
    "Expectation",
    "PlannedEvent",
    "Promise",
    "Ready",
    "Scenario",
    "WriteRule",
    "check_against",
    "find",
    "json_schema",
    "load",
    "refused_by_compose",
    "resolve_stack",
]
