"""All containers of a stack brought to a standstill, so that nothing is acknowledged any more, and then ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from persistence_tests.events.waiting import wait_until
from persistence_tests.stack.engine import engine_answers

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.stack import Stack

ENDED_SECONDS = 30.0
ALIVE = ("running", "paused", "restarting")
CONFLICT = 409


def paused(stack: Stack) -> list[Container]:
    """Every container that ran, now that none runs; what the engine was still starting is waited for."""
    stand_still: list[Container] = []
    while running := [container for container in stack.containers() if container.status == "running"]:
        at_once(running, lambda container: container.pause())
        stand_still += running
    return stand_still


def killed(containers: Sequence[Container]) -> None:
    """Never let go on: they are killed as they stand, and waited for."""
    at_once(containers, lambda container: container.kill())
    for container in containers:
        wait_until(lambda container=container: _over(container), ENDED_SECONDS)  # type: ignore[misc]


def ended(stack: Stack) -> frozenset[str]:
    """Every container that ran, killed, be it that its restart policy is just at work; their identities."""
    ran: set[str] = set()
    while alive := [container for container in stack.containers() if container.status in ALIVE]:
        ran |= {str(container.id) for container in alive if container.status != "restarting"}
        at_once(alive, _end)
    return frozenset(ran)


def _end(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.stop(timeout=0) if container.status == "restarting" else container.kill()
    except APIError as error:
        if error.status_code != CONFLICT:  # it has just ended by itself
            raise
    wait_until(lambda: _over(container), ENDED_SECONDS)


def at_once(containers: Sequence[Container], do: Callable[[Container], None]) -> None:
    with engine_answers("working on containers"), ThreadPoolExecutor(max(1, len(containers))) as pool:
        for done in [pool.submit(do, container) for container in containers]:
            done.result()


def _over(container: Container) -> bool:
    with engine_answers(f"watching the container {container.name}"):
        container.reload()
    return not container.attrs["State"]["Running"]
