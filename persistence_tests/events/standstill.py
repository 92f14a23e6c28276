"""All containers of a stack ended at once, so that nothing is acknowledged any more.

They are killed as they run, never paused first: a program that is just being started in a container that is frozen,
such as its health check, keeps the engine from killing the container, or even from looking at it, for ever (seen on
20.10 with cgroup v1).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING

from persistence_tests.events.waiting import wait_until
from persistence_tests.stack.engine import engine_answers

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.stack import Stack

ENDED_SECONDS = 30.0
ALIVE = ("running", "paused", "restarting")


def ended(stack: Stack) -> frozenset[str]:
    """Every container that ran, killed, be it that its restart policy is just at work; their identities."""
    ran: set[str] = set()
    while alive := [container for container in stack.containers() if container.status in ALIVE]:
        ran |= {str(container.id) for container in alive if container.status != "restarting"}
        with engine_answers("ending the stack"), ThreadPoolExecutor(len(alive)) as pool:
            for done in [pool.submit(_end, container) for container in alive]:
                done.result()
    return frozenset(ran)


def _end(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.stop(timeout=0) if container.status == "restarting" else container.kill()
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:  # it has just ended by itself
            raise
    wait_until(lambda: _over(container), ENDED_SECONDS)


def _over(container: Container) -> bool:
    with engine_answers(f"watching the container {container.name}"):
        container.reload()
    return not container.attrs["State"]["Running"]
