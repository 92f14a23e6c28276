"""Whether the paths lie on the disks that an event is one on: elsewhere nothing could be lost, and nothing is shown."""

from __future__ import annotations

import posixpath
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.model.records import PathDeclared

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


def off_disks(paths: Iterable[PathDeclared], stack: Stack) -> list[str]:
    """One sentence for each stored path whose root is not on one of the stack's crash disks, and each database that has
    nothing on one."""
    laid = stack.laid
    if laid and laid.whole:
        return list(_off(paths, stack, _Elsewhere(stack.identity.workspace)))
    reached: set[str | None] = {stack.volume(stored.volume) for stored, _ in laid.pairs} if laid else set()
    return list(_off(paths, stack, reached))


class _Elsewhere(Container[str | None]):
    """Every place of a machine but what it has from outside."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace

    def __contains__(self, source: object) -> bool:
        return source is None or not _is_below(str(source), self._workspace)


def _off(paths: Iterable[PathDeclared], stack: Stack, reached: Container[str | None]) -> Iterator[str]:
    mounts = stack.mounts()
    for path in paths:
        if path.refers:
            server = path.detail["service"]
            # What it has on no mount is in its writable layer.
            kept: list[str | None] = [mount["source"] for mount in mounts.get(server, ())]
            if not any(place in reached for place in kept or [None]):
                yield f"{path.name} reads what {server} keeps on no crash disk: the event does not reach it"
        if not path.stored:
            continue
        if service := path.detail.get("service"):
            around = [m for m in mounts.get(service, ()) if _is_below(path.root, m["target"])]
            nearest = max(around, key=lambda mount: len(mount["target"]), default=None)
            where = "the container's writable layer" if nearest is None else f"a {nearest['kind']}"
            source = nearest["source"] if nearest else None
        else:
            where = path.root
            source = _source(path, stack)
        if source not in reached:
            yield f"{path.name} reads {path.root}, which is on no crash disk ({where}): the event does not reach it"


def _source(path: PathDeclared, stack: Stack) -> str | None:
    try:
        if volume := path.detail.get("volume"):
            return stack.volume(volume)
        return str(stack.bind_source(path.detail.get("bind", "")))
    except StackError:
        return None


def _is_below(path: str, directory: str) -> bool:
    path, directory = posixpath.normpath(path), posixpath.normpath(directory)
    return path == directory or path.startswith(directory.rstrip("/") + "/")
