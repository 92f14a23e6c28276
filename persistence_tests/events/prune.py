"""`prune`: somebody tidies the Docker host up while the stack is down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import INSPECT, STREAM, Case, changed, named_volumes
from persistence_tests.model.records import DataFate
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

COMMAND = ("docker", "system", "prune", "-af", "--volumes")
SPARING = (1, 42)
"""From this version of the API on, that of Engine 23, `--volumes` means anonymous volumes only."""
PRUNED = ("image", "network", "volume")


class Prune(Event):
    """With an engine before 23 it destroys every volume that no container has, named and external ones too; from 23
    on only anonymous ones. Images go in any case: those that the stack does not build are there again for its `up`, as
    from a registry, and so are external volumes, empty.
    """

    name = "prune"
    summary = (
        "`docker compose down`, `docker system prune -af --volumes`, then `up -d`: before Engine 23 all volumes are "
        "gone, from then on anonymous ones only"
    )
    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)
    resets = True
    isolations = ("machine",)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._api: tuple[int, ...] | None = None
        self._said = ""
        self._left: set[str] | None = None

    @property
    def _spares(self) -> bool:
        """Whether it leaves named volumes alone."""
        return self._api is not None and self._api >= SPARING

    def learn(self, stack: Stack) -> None:
        spoken = stack.machine.run(["docker", "version", "--format", "{{.Client.APIVersion}}"])
        self._api = tuple(map(int, spoken.strip().split(".")))

    def duties(self) -> Controls:
        return self.controls if self._spares else Controls(must_lose=Store.NAMED, must_keep=None)

    def fate(self) -> DataFate:
        return DataFate.KEPT if self._spares else DataFate.DESTROYED

    def removes(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        return () if self._spares else tuple(config.get("volumes") or ())

    def apply(self, stack: Stack, during: During) -> None:
        self._said, self._left = "", None
        stack.down()
        self._said = stack.machine.run(COMMAND)
        with engine_answers("looking at what the prune has left"):
            listed = stack.engine.client.api.volumes()["Volumes"] or ()
        self._left = {entry["Name"] for entry in listed}
        stack.restock()
        stack.up()

    def expected(self, before: EngineState) -> Delta:
        # Of the volumes the engine's stream says nothing: what the prune left is looked at before they are made again.
        return changed(before, containers=Change.RECREATED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        # What is built again is another image, what comes from a registry the same.
        case.judge(Delta(expected.containers, dict(case.delta.images), expected.volumes))
        case.volumes(expected)
        for name in named_volumes(before):
            there = self._left is None or name in self._left
            if there is not self._spares:
                case.problem(f"volume {name} {'is still there' if there else 'is gone'} after the prune")
            else:
                case.fact(INSPECT, f"volume {name}: {'still there' if there else 'gone'} after the prune")
        version = ".".join(map(str, self._api or ()))
        takes = (
            "anonymous volumes only" if self._spares else "every volume that no container has, named ones too"
        )
        case.fact(
            INSPECT, f"with version {version} of the API, `docker system prune --volumes` takes {takes}"
        )
        pruned = {event.kind for event in seen if event.action == "prune"}
        if missing := [kind for kind in PRUNED if kind not in pruned]:
            case.problem(f"no `prune` of {', '.join(missing)} in the engine's event stream")
        else:
            case.fact(STREAM, f"prune of {', '.join(PRUNED)}")
        if told := self._said.strip().splitlines():
            case.fact(INSPECT, f"`{' '.join(COMMAND)}`: {told[-1]}")
        return case.proof()
