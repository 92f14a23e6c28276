"""What the services wrote to their standard output and error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from persistence_tests.stack.inspection import number_of, service_of

if TYPE_CHECKING:
    from docker.models.containers import Container


def logs(containers: Iterable[Container], since: float | None) -> dict[str, str]:
    """The log of each container by service, or by "service-number" where it has several; `since` in Unix seconds."""
    from docker.errors import APIError

    containers = list(containers)
    services = [service_of(container) for container in containers]
    out = {}
    for container, service in zip(containers, services, strict=True):
        key = service if services.count(service) == 1 else f"{service}-{number_of(container)}"
        try:
            out[key] = container.logs(timestamps=True, since=since).decode(errors="replace")
        except APIError as error:  # gone meanwhile, or a logging driver that cannot be read
            out[key] = f"(no log: {error.explanation or error})"
    return out
