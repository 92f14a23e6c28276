"""The engine's event stream while something is done to the stack: what really happened, with signals and exit codes.

Two readings are united: the live stream, which keeps everything but may lag, and a replay of the engine's own
buffer, which is up to date but holds only the last 256 events.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.identity import STACK_LABEL
from persistence_tests.stack.state import EngineEvent

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

KINDS = ("container", "volume", "image", "network")
CATCH_UP = 5.0


class EventWatch:
    """A subscription, from its making on. `volumes` says, when asked, which volumes are the stack's."""

    def __init__(self, engine: Engine, project: str, volumes: Callable[[], set[str]]) -> None:
        self._engine = engine
        self._project = project
        self._volumes = volumes
        self._seen: dict[tuple[int, str, str, str], EngineEvent] = {}
        self._arrived = threading.Condition()
        self._ended = False
        self._finished: list[EngineEvent] | None = None
        with engine_answers("subscribing to its events"):
            self._since = engine.now()
            self._stream = engine.client.events(
                since=_timestamp(self._since), decode=True, filters={"type": [*KINDS]}
            )
        self._thread = threading.Thread(target=self._follow, name="engine-events", daemon=True)
        self._thread.start()

    def finish(self) -> list[EngineEvent]:
        """Every event of the stack's containers, volumes, images and networks so far, in the engine's order."""
        if self._finished is not None:
            return self._finished
        try:
            with engine_answers("reading its events"):
                until = self._engine.now()
                replayed = list(
                    self._engine.client.events(
                        since=_timestamp(self._since),
                        until=_timestamp(until),
                        decode=True,
                        filters={"type": [*KINDS]},
                    )
                )
            events = {_key(event): event for event in map(_event, replayed)}
            if events:
                self._wait_for(max(event.nanoseconds for event in events.values()))
        finally:
            self.close()
        with self._arrived:
            events |= self._seen
        self._finished = self._of_this_stack(sorted(events.values(), key=lambda event: event.nanoseconds))
        return self._finished

    def close(self) -> None:
        self._stream.close()
        self._thread.join(timeout=CATCH_UP)

    def _follow(self) -> None:
        try:
            for raw in self._stream:
                event = _event(raw)
                with self._arrived:
                    self._seen[_key(event)] = event
                    self._arrived.notify_all()
        except Exception:  # noqa: BLE001  closing the stream, and an engine that dies, end it in many ways
            pass
        finally:
            with self._arrived:
                self._ended = True
                self._arrived.notify_all()

    def _wait_for(self, nanoseconds: int) -> None:
        def caught_up() -> bool:
            return self._ended or any(key[0] >= nanoseconds for key in self._seen)

        with self._arrived:
            if not self._arrived.wait_for(caught_up, timeout=CATCH_UP):
                raise StackError("the engine's event stream did not keep up")

    def _of_this_stack(self, events: list[EngineEvent]) -> list[EngineEvent]:
        containers = {
            event.identity
            for event in events
            if event.kind == "container" and event.attributes.get(STACK_LABEL) == self._project
        }
        mounted = {
            event.identity
            for event in events
            if event.kind == "volume" and event.attributes.get("container") in containers
        }
        volumes = self._volumes() | mounted

        def is_own(event: EngineEvent) -> bool:
            match event.kind:
                case "container":
                    return event.identity in containers
                case "volume":
                    return event.identity in volumes or self._is_named(event.identity)
                case "network":
                    return self._is_named(event.attributes.get("name", ""))
                case _:
                    name = event.attributes.get("name", "")
                    return event.attributes.get(STACK_LABEL) == self._project or self._is_named(name)

        return [event for event in events if is_own(event)]

    def _is_named(self, name: str) -> bool:
        return name.startswith((f"{self._project}_", f"{self._project}-", f"{self._project}/"))


def _event(raw: dict[str, Any]) -> EngineEvent:
    actor = raw.get("Actor") or {}
    return EngineEvent(
        nanoseconds=int(raw["timeNano"]),
        kind=str(raw["Type"]),
        action=str(raw["Action"]),
        identity=str(actor.get("ID", "")),
        attributes={str(key): str(value) for key, value in (actor.get("Attributes") or {}).items()},
    )


def _key(event: EngineEvent) -> tuple[int, str, str, str]:
    return event.nanoseconds, event.kind, event.action, event.identity


def _timestamp(moment: str) -> str:
    """RFC 3339 with nanoseconds as "seconds.nanoseconds" since 1970, which the engine takes exactly."""
    from datetime import datetime

    seconds, _, fraction = moment.partition(".")
    digits = fraction.rstrip("Z").split("+")[0].split("-")[0]
    zone = fraction[len(digits) :] if fraction else ""
    whole = datetime.fromisoformat(
        (seconds.rstrip("Z") if fraction else seconds) + (zone or "Z" if fraction else "")
    )
    return f"{int(whole.timestamp())}.{digits or '0':0<9}"
