"""`backup-restore`: the stack's own scripts, as a real operator would call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from persistence_tests.events.archive import CommandFailed, back_up, restore
from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.events.evidence import INSPECT, STREAM, WORDS, Case, named_volumes, unchanged
from persistence_tests.model.records import DataFate
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

LASTING = (Change.SAME, Change.RESTARTED, Change.RECREATED)


class BackupRestoreOptions(Options):
    backup: str = Field(
        min_length=1,
        description="The stack's own backup command, run in the project directory. The last line that it "
        "prints names the archive, else the newest file that appeared is it.",
        examples=["./backup-media.sh backup"],
    )
    restore: str = Field(
        min_length=1,
        description="The stack's own restore command; `{archive}` stands for what the backup made. "
        "It must not ask.",
        examples=["./backup-media.sh restore {archive} --yes"],
    )


class BackupRestore(Event):
    """The scripts may stop, start or replace containers as they like; in the end each of them must run."""

    name = "backup-restore"
    summary = "a backup and a restore of it by the stack's own scripts"
    controls = Controls(must_lose=Store.AFTER_BACKUP, must_keep=Store.BEFORE_BACKUP)
    own_commands = ("backup", "restore")

    Options = BackupRestoreOptions
    options: BackupRestoreOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._failure: str | None = None
        self._facts: list[str] = []

    def fate(self) -> DataFate:
        return DataFate.RESTORED

    def apply(self, stack: Stack, during: During) -> None:
        self._failure, self._facts = None, []
        try:
            archive = back_up(stack, self.options.backup)
            self._facts.append(f"backup: {archive}")
            during.checkpoint()
            restore(stack, self.options.restore, archive)
            self._facts.append(f"restore of {archive.path}: exit code 0")
        except CommandFailed as failure:
            self._failure = str(failure)

    def expected(self, before: EngineState) -> Delta:
        return unchanged(before)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        if self._failure:
            case.problem(self._failure)
        elif not self._facts:
            case.problem("neither the backup nor the restore command was run")
        for fact in self._facts:
            case.fact(INSPECT, fact)
        for key in before.containers:
            self._still_there(case, key)
        for name in named_volumes(before):
            if others := case.mounted_by_others(name):
                case.fact(STREAM, f"volume {name}: mounted by {others} other containers")
        for name, change in case.delta.volumes.items():
            if change is Change.GONE:
                case.problem(f"volume {name} is gone after the restore")
        case.out_of_memory()
        return case.proof()

    def _still_there(self, case: Case, key: str) -> None:
        who = case.who(key)
        old, new = case.before.containers[key], case.after.containers.get(key)
        change = case.delta.containers.get(key, Change.SAME)
        if new is None or (old.running and not new.running):
            case.problem(f"{who} ran before the backup, and after the restore it is {WORDS[change]}")
        case.doings(who, old.identity)
        if change is not Change.SAME and change in LASTING:
            case.fact(INSPECT, f"{who}: {WORDS[change]} by the stack's own commands")
