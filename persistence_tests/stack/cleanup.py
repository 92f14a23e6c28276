"""What runs left behind that could not clean up after themselves, and its removal.

Nothing is looked at that does not bear the label `persistence-tests.run`, and no directory that has no marker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack import buildcache, workspace
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.feed import SECOND, nanoseconds
from persistence_tests.stack.identity import RUN_LABEL, STACK_LABEL, WORKSPACE_LABEL
from persistence_tests.stack.machine import snapshot
from persistence_tests.stack.teardown import remove_labelled

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine


@dataclass(frozen=True, slots=True)
class Leftover:
    """`kind` is container, volume, network, image, workspace or cache; `age` in seconds, None where nobody knows.

    `live` says that the process that made it still runs on this machine.
    """

    kind: str
    name: str
    run: str
    stack: str
    age: float | None
    live: bool


@dataclass(frozen=True, slots=True)
class Leftovers:
    found: tuple[Leftover, ...]

    def __bool__(self) -> bool:
        return bool(self.found)

    def of_kind(self, kind: str) -> tuple[Leftover, ...]:
        return tuple(leftover for leftover in self.found if leftover.kind == kind)

    @property
    def abandoned(self) -> Leftovers:
        """Without what belongs to runs that are still alive."""
        return Leftovers(tuple(leftover for leftover in self.found if not leftover.live))

    def lines(self) -> list[str]:
        """One line for each, to be shown."""
        return [
            f"{leftover.kind:<9}  {leftover.name}"
            + (f"  (run {leftover.run}, {_ago(leftover.age)})" if leftover.run else "")
            for leftover in self.found
        ]


def leftovers(engine: Engine, *, cache: bool = False) -> Leftovers:
    """Everything on the engine with a run's label, and the workspaces on this machine; of live runs too.

    The layers kept for the next build, and the disks kept for the next machine, are in it only where `cache` is asked
    for.
    """
    api = engine.client.api
    filters = {"label": RUN_LABEL}
    with engine_answers("looking for leftovers"):
        now = nanoseconds(engine.now()) / SECOND
        listed: list[tuple[str, str, dict[str, str], Any]] = [
            *(
                ("container", _first_name(e), e["Labels"], e["Created"])
                for e in api.containers(all=True, filters=filters)
            ),
            *(
                ("volume", e["Name"], e["Labels"], e.get("CreatedAt"))
                for e in api.volumes(filters=filters)["Volumes"] or ()
            ),
            *(("network", e["Name"], e["Labels"], e.get("Created")) for e in api.networks(filters=filters)),
            *(("image", _tag(e), e["Labels"], e["Created"]) for e in api.images(filters=filters)),
        ]
    living = {str(path) for path in workspace.existing() if (m := workspace.read_marker(path)) and m.is_live}
    found = [
        Leftover(
            kind,
            name,
            labels.get(RUN_LABEL, ""),
            labels.get(STACK_LABEL, ""),
            _age(created, now),
            labels.get(WORKSPACE_LABEL) in living,
        )
        for kind, name, labels, created in listed
    ]
    found += _workspaces({labels.get(WORKSPACE_LABEL, "") for _, _, labels, _ in listed})
    if cache:
        kept = [*buildcache.kept(engine), *snapshot.volumes(engine)]
        found += [Leftover("cache", name, "", "", None, False) for name in kept]
    return Leftovers(tuple(found))


def remove(engine: Engine, leftovers: Leftovers) -> list[str]:
    """Remove them; returns what could not be removed, in words. Workspaces go last, their containers first."""
    failures: list[str] = []
    for stack, run in sorted(
        {(leftover.stack, leftover.run) for leftover in leftovers.found if leftover.run}
    ):
        failures += remove_labelled(engine, run, stack)
    for leftover in leftovers.of_kind("workspace"):
        labels = {RUN_LABEL: leftover.run, WORKSPACE_LABEL: leftover.name}
        try:
            workspace.remove(Path(leftover.name), engine, labels)
        except StackError as error:
            failures.append(error.what)
    cached = {leftover.name for leftover in leftovers.of_kind("cache")}
    disks = cached & set(snapshot.volumes(engine)) if cached else set()
    return failures + snapshot.forget(engine, disks) + buildcache.forget(engine, cached - disks)


def _ago(age: float | None) -> str:
    if age is None:
        return "age unknown"
    minutes = int(age // 60)
    return f"{minutes} min old" if minutes < 120 else f"{minutes // 60} h old"


def _workspaces(labelled: Iterable[str]) -> list[Leftover]:
    paths = {*workspace.existing(), *(Path(path) for path in labelled if path)}
    found = []
    for path in sorted(paths):
        marker = workspace.read_marker(path)
        if marker is not None:
            age = datetime.now(UTC).timestamp() - path.stat().st_mtime
            found.append(Leftover("workspace", str(path), marker.run, "", age, marker.is_live))
    return found


def _first_name(entry: dict[str, Any]) -> str:
    names = entry.get("Names") or [entry["Id"][:12]]
    return str(names[0]).lstrip("/")


def _tag(entry: dict[str, Any]) -> str:
    tags = [tag for tag in entry.get("RepoTags") or () if tag != "<none>:<none>"]
    return str(tags[0] if tags else entry["Id"][:19])


def _age(created: Any, now: float) -> float | None:
    if isinstance(created, int | float):
        return max(0.0, now - created)
    if not isinstance(created, str) or not created:
        return None
    return max(0.0, now - nanoseconds(created) / SECOND)
