"""What the engine did to a stack while something was done to it: with signals, exit codes and identities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from persistence_tests.stack.feed import EventFeed
from persistence_tests.stack.identity import HELPER_LABEL
from persistence_tests.stack.state import EngineEvent


class Owner(Protocol):
    """Who says what on an engine is the stack's; see `host.Host`."""

    def owns(self, labels: Mapping[str, str]) -> bool: ...

    def owns_name(self, name: str) -> bool: ...


class EventWatch:
    """The events from its making on. `volumes` says, when asked, which volumes are the stack's."""

    def __init__(self, feed: EventFeed, owner: Owner, volumes: Callable[[], set[str]]) -> None:
        self._feed = feed
        self._owner = owner
        self._volumes = volumes
        self._began = feed.now()
        self._finished: list[EngineEvent] | None = None

    def finish(self) -> list[EngineEvent]:
        """Every event of the stack's containers, volumes, images and networks until the first call, in order.

        Helper containers and what they mount are left out, and so are commands run in containers.
        """
        if self._finished is None:
            self._finished = of_stack(self._feed.since(self._began), self._owner, self._volumes())
        return self._finished


def of_stack(events: Iterable[EngineEvent], owner: Owner, volumes: set[str]) -> list[EngineEvent]:
    """Those of `events` that are a stack's; `volumes` are the names of its volumes that are known already."""
    events = list(events)
    labelled = [e for e in events if e.kind == "container" and owner.owns(e.attributes)]
    helpers = {event.identity for event in labelled if HELPER_LABEL in event.attributes}
    containers = {event.identity for event in labelled} - helpers
    mounts = [event for event in events if event.kind == "volume" and "container" in event.attributes]
    volumes = volumes | {event.identity for event in mounts if event.attributes["container"] in containers}

    def is_own(event: EngineEvent) -> bool:
        if event.attributes.get("container") in helpers:
            return False
        match event.kind:
            case "container":
                return event.identity in containers
            case "volume":
                return event.identity in volumes or owner.owns_name(event.identity)
            case _:
                return owner.owns(event.attributes) or owner.owns_name(event.attributes.get("name", ""))

    return [event for event in events if is_own(event)]
