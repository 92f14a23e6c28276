"""How two states of a stack differ."""

from __future__ import annotations

from persistence_tests.stack.state import Change, ContainerState, Delta, EngineState, VolumeState


def difference(before: EngineState, after: EngineState) -> Delta:
    """What changed between two states; every container and every named volume of either is in it."""
    return Delta(
        containers={
            key: _container(before.containers.get(key), after.containers.get(key))
            for key in sorted({*before.containers, *after.containers})
        },
        images={
            key: Change.SAME if state.image == after.containers[key].image else Change.RECREATED
            for key, state in sorted(before.containers.items())
            if key in after.containers
        },
        volumes={
            name: _volume(before.volumes.get(name), after.volumes.get(name))
            for name in sorted({*_named(before), *_named(after)})
        },
    )


def _named(state: EngineState) -> set[str]:
    return {name for name, volume in state.volumes.items() if volume.key is not None}


def _container(before: ContainerState | None, after: ContainerState | None) -> Change:
    if before is None:
        return Change.NEW
    if after is None:
        return Change.GONE
    if before.identity != after.identity:
        return Change.RECREATED
    if before.started_at != after.started_at:
        return Change.RESTARTED
    return Change.STOPPED if before.running and not after.running else Change.SAME


def _volume(before: VolumeState | None, after: VolumeState | None) -> Change:
    if before is None:
        return Change.NEW
    if after is None:
        return Change.GONE
    return Change.SAME if before.created_at == after.created_at else Change.RECREATED
