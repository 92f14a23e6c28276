"""Looks at a volume that no path of the scenario names, for bytes that are gone from their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.replica import CannotList, list_by_archive

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


def files_of(stack: Stack, volume: str) -> dict[str, Observation]:
    """Every regular file of a volume, by its name on the engine; none where the volume is gone."""
    try:
        with stack.opened(volume) as (container, place):
            tree = list_by_archive(container, place)
    except (CannotList, StackError):
        return {}
    return {name: seen for name, seen in tree.files.items() if seen.kind is NodeKind.FILE}
