"""Events that take the project's volumes away: `down --volumes`, and removing them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from persistence_tests.events.archive import CommandFailed, back_up, restore
from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.events.configuration import own_volumes
from persistence_tests.events.evidence import INSPECT, Case, changed
from persistence_tests.events.waiting import wait_healthy
from persistence_tests.model.records import DataFate
from persistence_tests.stack.compose import ServicesNotStarted
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack


class _VolumesMadeAnew(Event):
    """Which volumes are the project's own is read from the configuration in `prepare`."""

    controls = Controls(must_lose=Store.NAMED, must_keep=Store.EXTERNAL)
    resets = True

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._own: dict[str, str] = {}

    def fate(self) -> DataFate:
        return DataFate.DESTROYED

    def removes(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        return own_volumes(config)

    def prepare(self, stack: Stack) -> None:
        self._own = {key: stack.volume(key) for key in own_volumes(stack.config)}

    def expected(self, before: EngineState) -> Delta:
        return changed(
            before,
            containers=Change.RECREATED,
            volumes={name: Change.RECREATED for name in self._own.values() if name in before.volumes},
        )

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        self._judge(case)
        return case.proof()

    def _judge(self, case: Case) -> None:
        expected = self.expected(case.before)
        case.judge(expected)
        case.volumes(expected)


class DownVolumes(_VolumesMadeAnew):
    name = "down-volumes"
    summary = "`docker compose down --volumes`, then `up -d`: what the project's volumes held is gone"

    def apply(self, stack: Stack, during: During) -> None:
        stack.down("--volumes")
        stack.up()


class VolumeRecreateOptions(Options):
    volume: str | None = Field(
        None,
        min_length=1,
        description="The volume that is removed, by its key in the Compose file; left out, all of the "
        "project's.",
        examples=["media_files"],
    )
    backup: str | None = Field(
        None,
        min_length=1,
        description="The stack's own backup command, run before the volumes are removed.",
        examples=["./backup-media.sh backup"],
    )
    restore: str | None = Field(
        None,
        min_length=1,
        description="The stack's own restore command, run once the stack is up again; `{archive}` stands for "
        "what the backup made. With both, every file must be back; with neither, all must be gone.",
        examples=["./backup-media.sh restore {archive} --yes"],
    )

    @model_validator(mode="after")
    def _both_commands(self) -> VolumeRecreateOptions:
        if (self.backup is None) != (self.restore is None):
            raise ValueError("backup and restore go together: one of them is missing")
        return self


class VolumeRecreate(_VolumesMadeAnew):
    name = "volume-recreate"
    summary = (
        "`down`, the project's volumes removed, `up -d`, restored by the stack's own script if there is one"
    )
    own_commands = ("backup", "restore")

    Options = VolumeRecreateOptions
    options: VolumeRecreateOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._failures: list[str] = []
        self._facts: list[str] = []

    def describe(self) -> str:
        what = f" of {self.options.volume}" if self.options.volume else ""
        return f"volume-recreate{what}{', then restore' if self.options.backup else ''}"

    def fate(self) -> DataFate:
        return DataFate.RESTORED if self.options.backup else DataFate.DESTROYED

    def volumes(self) -> tuple[str, ...]:
        return (self.options.volume,) if self.options.volume else ()

    def removes(self, config: Mapping[str, Any]) -> tuple[str, ...]:
        own = super().removes(config)
        return tuple(key for key in own if key == self.options.volume) if self.options.volume else own

    def prepare(self, stack: Stack) -> None:
        super().prepare(stack)
        if self.options.volume:
            chosen = (self.options.volume, NAMED_VOLUME)
            self._own = {key: name for key, name in self._own.items() if key in chosen}

    def apply(self, stack: Stack, during: During) -> None:
        self._failures, self._facts = [], []
        archive = None
        if self.options.backup:
            try:
                archive = back_up(stack, self.options.backup)
            except CommandFailed as failure:
                self._failures.append(str(failure))
                return
            self._facts.append(f"backup: {archive}")
            during.checkpoint()
        stack.down()
        with engine_answers("removing the volumes of the stack"):
            self._remove(stack)
        try:
            stack.up()
        except ServicesNotStarted:
            if archive is not None:
                self._failures.append("the restore was not run, because the stack did not come up")
            raise
        if archive is not None and self.options.restore:
            wait_healthy(stack)
            try:
                restore(stack, self.options.restore, archive)
            except CommandFailed as failure:
                self._failures.append(str(failure))

    def _remove(self, stack: Stack) -> None:
        from docker.errors import APIError, NotFound

        for name in self._own.values():
            try:
                stack.engine.client.volumes.get(name).remove()
            except NotFound:
                continue
            except APIError as error:
                self._failures.append(f"volume {name} could not be removed: {error.explanation}")

    def _judge(self, case: Case) -> None:
        for failure in self._failures:
            case.problem(failure)
        for fact in self._facts:
            case.fact(INSPECT, fact)
        super()._judge(case)
