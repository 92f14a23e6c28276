"""Whether the containers of a stack are ready, by what the engine says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.inspection import service_of

if TYPE_CHECKING:
    from docker.models.containers import Container

LAST_LINES = 8


def obstacles(services: Mapping[str, dict[str, Any]], containers: Sequence[Container]) -> list[str]:
    """Services without container, not running, not healthy; `services` as Compose resolves them.

    One-shot services (no restart policy, ended with 0) are ready.
    """
    reasons = []
    for service, definition in services.items():
        own = [container for container in containers if service_of(container) == service]
        wanted = _scale(definition)
        if len(own) < wanted:
            reasons.append(f"{service}: {len(own)} of {wanted} containers are there")
        reasons += [f"{service}: {why}" for container in own if (why := _unready(container)) is not None]
    return reasons


def is_over(containers: Sequence[Container]) -> bool:
    """Whether a container has ended with an error and nothing will start it again: waiting for it is in vain."""
    return any(
        container.attrs["State"]["Status"] == "exited"
        and container.attrs["State"]["ExitCode"] != 0
        and _policy(container) == "no"
        for container in containers
    )


def last_words(containers: Sequence[Container]) -> list[str]:
    """The last lines that each container that does not run has logged, each behind a bar."""
    from docker.errors import APIError

    said = []
    for container in containers:
        if container.status in ("running", "created") or _unready(container) is None:
            continue
        try:
            text = container.logs(tail=LAST_LINES).decode(errors="replace")
        except APIError:
            continue  # gone meanwhile, or a logging driver that cannot be read
        said += [f"  | {service_of(container)}: {line}" for line in text.splitlines() if line.strip()]
    return said


def _policy(container: Container) -> str:
    return str((container.attrs["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no")


def starts(outline: Mapping[str, Any]) -> bool:
    """Whether a container, as the engine lists it, waits for its first health check."""
    return "(health: starting)" in outline["Status"]


def _scale(service: dict[str, Any]) -> int:
    replicas = (service.get("deploy") or {}).get("replicas")
    scale = service.get("scale", replicas)
    return 1 if scale is None else int(scale)


def _unready(container: Container) -> str | None:
    state = container.attrs["State"]
    policy = _policy(container)
    status = str(state["Status"])
    if status == "exited" and state["ExitCode"] == 0 and policy in ("no", "on-failure"):
        return None
    if status != "running":
        return f"{status} (exit code {state['ExitCode']})" if status in ("exited", "dead") else status
    health = (state.get("Health") or {}).get("Status")
    if health in (None, "none", "healthy"):
        return None
    log = (state["Health"].get("Log") or [{}])[-1].get("Output", "")
    return f"health {health}" + (f": {' '.join(str(log).split())[:200]}" if log else "")
