"""Waits until the stack serves again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

POLL_SECONDS = 0.02
_STARTING = "still starting"


class HealthProbe(Protocol):
    """A path that can ask its server whether it is well."""

    def ask(self, url: str) -> str | None:
        """None for a 2xx, else the answer in words."""
        ...


def wait_ready(stack: Stack, probe: tuple[HealthProbe, str] | None, within: float) -> tuple[bool, str | None]:
    """Whether the stack became ready within `within` seconds, and why not.

    Ready: every container runs and no health check is open; where the scenario names a URL, it answers 2xx. Where
    a container has ended for good it is not waited for. The first line says why not, the others what was logged.
    """

    def obstacle() -> str | None:
        # Asked often, while the stack needs the processors itself: the cheap question comes first.
        return _STARTING if stack.starting() else reasons()

    def reasons() -> str | None:
        unready = stack.unready()
        if unready:
            return "; ".join(unready)
        return probe[0].ask(probe[1]) if probe else None

    def give_up(state: RetryCallState) -> str | None:
        found = state.outcome.result() if state.outcome else None
        reason = reasons() if found == _STARTING else found
        return reason and "\n".join((str(reason), *stack.last_words()))

    def over(state: RetryCallState) -> bool:
        starting = state.outcome is not None and state.outcome.result() == _STARTING
        return late(state) or (not starting and stack.is_over())

    late = stop_after_delay(within)
    why = Retrying(
        stop=over,
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_result(bool),
        retry_error_callback=give_up,
    )(obstacle)
    return why is None, why
