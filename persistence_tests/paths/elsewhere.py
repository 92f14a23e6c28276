"""Looks at a volume that no path of the scenario names, for bytes that are gone from their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.replica import CannotList, list_by_archive

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

_MOUNTED_AT = "/persistence"


def files_of(stack: Stack, volume: str) -> dict[str, Observation]:
    """Every regular file of a volume, by its name on the engine; none where the volume is gone."""
    try:
        with stack.helper({_MOUNTED_AT: volume}) as container:
            tree = list_by_archive(container, _MOUNTED_AT)
    except (CannotList, StackError):
        return {}
    return {name: seen for name, seen in tree.files.items() if seen.kind is NodeKind.FILE}
