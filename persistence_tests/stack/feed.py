"""The engine's events, from the moment a stack is made: complete and in order, although every source alone has gaps.

The live stream keeps everything but may lag; the engine's own buffer, replayed, is up to date but holds only the
last 256 events. The two are united.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.state import EngineEvent

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

KINDS = ("container", "volume", "image", "network")
# All but exec_*: each health check and each command makes three of those, on the whole engine.
ACTIONS = (
    *("create", "start", "restart", "pause", "unpause", "stop", "kill", "die", "oom", "destroy", "remove"),
    *("rename", "update", "attach", "detach", "resize", "top", "copy", "export", "commit", "health_status"),
    *("archive-path", "extract-to-dir", "mount", "unmount", "connect", "disconnect", "prune"),
    *("pull", "push", "load", "save", "import", "tag", "untag", "delete"),
)
CATCH_UP = 5.0
RECONNECT = 0.05
SECOND = 1_000_000_000

Key = tuple[int, str, str, str]


class EventFeed:
    """Events of one stack's containers, and of all volumes, images and networks; commands run in containers
    (health checks among them) are left out."""

    def __init__(self, engine: Engine, owns: Callable[[Mapping[str, str]], bool]) -> None:
        """`owns` says by its labels whether a container is one of the stack's."""
        self._engine = engine
        self._owns = owns
        self._began = nanoseconds(engine.now())
        self._events: dict[Key, EngineEvent] = {}
        self._latest = self._began
        self._arrived = threading.Condition()
        self._closed = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._follow, name="engine-events", daemon=True)
        self._thread.start()

    def now(self) -> int:
        """The engine's clock, in nanoseconds since 1970."""
        return nanoseconds(self._engine.now())

    def since(self, moment: int) -> list[EngineEvent]:
        """Every event from `moment` (nanoseconds) until now. Raises StackError where the stream does not keep up."""
        with engine_answers("reading its events"):
            replayed = list(self._read(moment, self.now()))
        with self._arrived:
            if replayed:
                latest = max(int(raw["timeNano"]) for raw in replayed)
                if not self._arrived.wait_for(
                    lambda: self._latest >= latest or self._closed.is_set(), CATCH_UP
                ):
                    raise StackError("the engine's event stream did not keep up")
            for raw in replayed:
                self._keep(raw)
            found = [event for event in self._events.values() if event.nanoseconds >= moment]
        return sorted(found, key=lambda event: event.nanoseconds)

    def volumes_created(self) -> dict[str, int]:
        """When each volume that was made since the feed began was made, in nanoseconds.

        The engine's own CreatedAt does not serve: before Engine 23 it moves with every write into the volume's root.
        """
        made: dict[str, int] = {}
        for event in self.since(self._began):
            if event.kind == "volume" and event.action == "create":
                made.setdefault(event.identity, event.nanoseconds)
            elif event.kind == "volume" and event.action == "destroy":
                made.pop(event.identity, None)
        return made

    def close(self) -> None:
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.close()
        self._thread.join(CATCH_UP)

    def _follow(self) -> None:
        while not self._closed.is_set():
            # An engine that goes away, and a stream that is closed, end it in many ways.
            with suppress(Exception):
                self._stream = self._read(self._latest)
                for raw in self._stream:
                    with self._arrived:
                        self._keep(raw)
                        self._arrived.notify_all()
            self._closed.wait(RECONNECT)

    def _read(self, since: int, until: int | None = None) -> Any:
        # The SDK's own signature knows whole seconds only; the engine takes nanoseconds.
        options: dict[str, Any] = {
            "since": _seconds(since),
            "filters": {"type": [*KINDS], "event": [*ACTIONS]},
        }
        if until is not None:
            options["until"] = _seconds(until)
        return self._engine.client.events(decode=True, **options)

    def _keep(self, raw: dict[str, Any]) -> None:
        event = _event(raw)
        self._latest = max(self._latest, event.nanoseconds)
        foreign = event.kind == "container" and not self._owns(event.attributes)
        if not foreign:
            self._events[(event.nanoseconds, event.kind, event.action, event.identity)] = event


def nanoseconds(moment: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 moment, whose fraction may have nine digits."""
    match = re.fullmatch(r"(?P<whole>[^.Z+]+?)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)", moment)
    if match is None:
        raise StackError(f"the engine's clock says {moment!r}, which is no RFC 3339 time")
    whole = datetime.fromisoformat(match["whole"] + match["zone"].replace("Z", "+00:00"))
    return int(whole.timestamp()) * SECOND + int((match["fraction"] or "0").ljust(9, "0")[:9])


def _seconds(moment: int) -> str:
    return f"{moment // SECOND}.{moment % SECOND:09d}"


def _event(raw: dict[str, Any]) -> EngineEvent:
    actor = raw.get("Actor") or {}
    return EngineEvent(
        nanoseconds=int(raw["timeNano"]),
        kind=str(raw["Type"]),
        action=str(raw["Action"]),
        identity=str(actor.get("ID", "")),
        attributes={str(key): str(value) for key, value in (actor.get("Attributes") or {}).items()},
    )
