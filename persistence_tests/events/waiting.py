"""Waits for the engine: a container's end, another start, health. Polls the SDK, 50 ms apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.engine import engine_answers

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.stack import Stack

POLL_SECONDS = 0.05
DEFAULT_GRACE_SECONDS = 10
HEALTHY_SECONDS = 120.0


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition became true within that time; it is asked at least once."""
    from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

    poll = Retrying(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_result(lambda met: not met),
    )
    try:
        return poll(condition)
    except RetryError:
        return False


class Incarnation:
    """One start of a container, remembered to see it end and another one begin."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.running: bool = bool(self._state()["Running"])
        self._started_at: str = self._state()["StartedAt"]

    @property
    def grace(self) -> float:
        """Seconds that the container has to end after its stop signal."""
        timeout = self.container.attrs["Config"].get("StopTimeout")
        return float(DEFAULT_GRACE_SECONDS if timeout is None else timeout)

    @property
    def policy(self) -> str:
        """Name of the restart policy, empty where there is none."""
        name: str = self.container.attrs["HostConfig"].get("RestartPolicy", {}).get("Name", "")
        return "" if name == "no" else name

    def ended(self) -> bool:
        state = self._reloaded()
        return bool(state["StartedAt"] != self._started_at or not state["Running"] or state["Restarting"])

    def begun_again(self) -> bool:
        state = self._reloaded()
        return bool(state["StartedAt"] != self._started_at and state["Running"] and not state["Restarting"])

    def given_up(self) -> bool:
        """The container has ended and nothing of the engine's own will start it."""
        return self._reloaded()["Status"] in ("exited", "dead")

    def _reloaded(self) -> dict[str, Any]:
        with engine_answers(f"watching the container {self.container.name}"):
            self.container.reload()
        return self._state()

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.container.attrs["State"]
        return state


def incarnations(stack: Stack, services: Sequence[str]) -> list[Incarnation]:
    """The containers of these services that run now."""
    found = [Incarnation(container) for service in services for container in stack.containers(service)]
    return [incarnation for incarnation in found if incarnation.running]


def wait_healthy(stack: Stack, seconds: float = HEALTHY_SECONDS) -> bool:
    """Whether every container that has a health check is healthy within that time."""

    def all_healthy() -> bool:
        return not stack.starting() and all(
            state.health in (None, "none", "healthy")
            for state in stack.state().containers.values()
            if state.running
        )

    return wait_until(all_healthy, seconds)
