"""`up -d -V`: other containers, and other anonymous volumes for them; what the old ones held is left behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persistence_tests.events.base import Controls, During, Event, Proof
from persistence_tests.events.evidence import INSPECT, Case, changed
from persistence_tests.stack.state import Change, ContainerState, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class RenewAnon(Event):
    """Files of the stack on an anonymous volume must be kept all the same: nobody promised that they may go."""

    name = "renew-anon"
    summary = "`docker compose up -d --renew-anon-volumes`"
    controls = Controls(must_lose=Store.ANONYMOUS, must_keep=Store.NAMED)

    def apply(self, stack: Stack, during: During) -> None:
        stack.up("--renew-anon-volumes")

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RECREATED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected)
        case.volumes(expected)
        for key, old in before.containers.items():
            if new := after.containers.get(key):
                self._renewed(case, case.who(key), _anonymous(old, before), _anonymous(new, after))
        return case.proof()

    def _renewed(self, case: Case, who: str, old: dict[str, str], new: dict[str, str]) -> None:
        for target, volume in old.items():
            if new.get(target) == volume:
                case.problem(f"{who} has the same anonymous volume at {target} as before: {volume[:12]}")
            elif target in new:
                case.fact(
                    INSPECT, f"anonymous volume of {who} at {target}: {volume[:12]}, now {new[target][:12]}"
                )


def _anonymous(container: ContainerState, state: EngineState) -> dict[str, str]:
    """The container's anonymous volumes, by where they are mounted."""
    return {
        mount.target: mount.source
        for mount in container.mounts
        if mount.kind == "volume"
        and mount.source in state.volumes
        and state.volumes[mount.source].key is None
    }
