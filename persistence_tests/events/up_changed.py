"""`up-changed`: an edited Compose file, then `up -d`: Compose makes anew what differs, and asks before data is lost."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.events.configuration import services, volumes_unlike
from persistence_tests.events.evidence import INSPECT, WORDS, Case, changed
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.inspection import service_of
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

EDIT_LABEL = "persistence-tests.edit"
CONFIG_HASH = "com.docker.compose.config-hash"
NOTHING = "the edit changes nothing of what Compose reads in the files"


class UpChangedOptions(Options):
    edits: dict[str, Any] | None = Field(
        None,
        min_length=1,
        description="What is merged over the Compose files, as one more of them.",
        examples=[{"services": {"api": {"environment": {"X": "2"}}}}],
    )
    file: str | None = Field(
        None,
        min_length=1,
        description="Instead of `edits`, a file that is merged over the Compose files, relative to the project "
        "directory; with Compose's `!reset` it takes something away.",
        examples=["compose.next.yaml"],
    )
    yes: bool = Field(
        False,
        description="`up -d -y`: where a volume's driver, options or labels differ, Compose makes it anew, and what "
        "it held is lost. Without it, Compose finds no terminal to ask on and keeps the volume as it is.",
    )

    @model_validator(mode="after")
    def _one_edit(self) -> UpChangedOptions:
        if self.edits is not None and self.file is not None:
            raise ValueError("edits and file both say what is edited: write one of them")
        return self


class UpChanged(Event):
    """Which containers Compose must make anew is read from its own hashes; what else it does is told.

    The edit is merged in the workspace and goes through the same isolation as the stack itself. It stays until the
    stack is torn down.
    """

    name = "up-changed"
    summary = "an edited Compose file, then `docker compose up -d`; without options every service has one more label"
    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)

    Options: ClassVar[type[UpChangedOptions]] = UpChangedOptions
    options: UpChangedOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._differs = False
        self._unlike: frozenset[str] = frozenset()
        self._volumes: dict[str, str] = {}

    def describe(self) -> str:
        what = self.options.file or ", ".join(_places(self.options.edits or {}))
        return f"up-changed{f' {what}' if what else ''}{' -y' if self.options.yes else ''}"

    def prepare(self, stack: Stack) -> None:
        before, config = stack.prepared.original, stack.config
        stack.edit(self._edits(stack), self.options.file)
        self._differs = stack.prepared.original != before
        self._volumes = {key: stack.volume(key) for key in volumes_unlike(config, stack.config)}
        printed = stack.compose.run("config", "--hash", "*").stdout.splitlines()
        hashes = dict(line.split(maxsplit=1) for line in printed if line.strip())
        self._unlike = frozenset(
            service_of(container)
            for container in stack.containers()
            if container.labels.get(CONFIG_HASH) != hashes.get(service_of(container))
            and service_of(container) in hashes
        )

    def apply(self, stack: Stack, during: During) -> None:
        stack.up(*(("-y",) if self.options.yes else ()))

    def expected(self, before: EngineState) -> Delta:
        unlike = {key for key, state in before.containers.items() if state.service in self._unlike}
        anew = self._volumes.values() if self.options.yes else ()
        return changed(
            before,
            containers=dict.fromkeys(unlike, Change.RECREATED),
            volumes={name: Change.RECREATED for name in anew if name in before.volumes},
        )

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if not self._differs:
            case.problem(NOTHING)
        if CONTROL_SERVICE not in self._unlike:
            case.problem("the control service is as it was, so that nothing shows whether `up` ran")
        expected = self._with_doings(case)
        case.judge(expected)
        case.images(expected)
        case.volumes(expected)
        if not self.options.yes:
            for name in self._volumes.values():
                case.fact(INSPECT, f"volume {name} is not as the edited file says, and was kept")
        return case.proof()

    def _with_doings(self, case: Case) -> Delta:
        """What must be, and what Compose did besides: it follows networks, images and dependencies."""
        demanded = self.expected(case.before)
        besides = {
            key: change
            for key, change in case.delta.containers.items()
            if demanded.containers.get(key) is not Change.RECREATED
        }
        for key, change in besides.items():
            if change is not Change.SAME:
                case.fact(INSPECT, f"{case.who(key)}: {WORDS[change]}, although its own part is not edited")
        volumes = {
            name: change
            for name, change in case.delta.volumes.items()
            if change is Change.NEW or (change is Change.RECREATED and self.options.yes)
        }
        return Delta(demanded.containers | besides, dict(case.delta.images), demanded.volumes | volumes)

    def _edits(self, stack: Stack) -> Mapping[str, Any] | None:
        if self.options.edits is not None or self.options.file is not None:
            return self.options.edits
        label = {"labels": {EDIT_LABEL: secrets.token_hex(4)}}
        return {"services": {name: label for name in services(stack.config) if name != CONTROL_SERVICE}}


def _places(edits: Mapping[str, Any]) -> list[str]:
    """What is edited, two levels deep: "services.api"."""
    return [
        f"{part}.{name}" if isinstance(entries, Mapping) else part
        for part, entries in edits.items()
        for name in (entries if isinstance(entries, Mapping) else (part,))
    ]
