"""`power-loss`: what had not reached the disks is gone, in all of them at once; then the stack starts again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from persistence_tests.events.archive import PLACEHOLDER, CommandFailed, back_up, with_archive
from persistence_tests.events.base import During, Pattern, Proof
from persistence_tests.events.cut import CutOptions, PowerCut, spoken
from persistence_tests.events.disk_event import station_of
from persistence_tests.events.evidence import INSPECT, START, Case, Wanted, changed
from persistence_tests.events.moment import Moment
from persistence_tests.events.standstill import ended
from persistence_tests.events.waiting import HEALTHY_SECONDS, wait_healthy
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

KILLED = Wanted("kill", signal=9)
VARIANTS: tuple[Mapping[str, Any], ...] = (
    {"noauto_da_alloc": False},
    {"after": "7s"},
    {
        "noauto_da_alloc": True,
        "strict": True,
    },  # by default ext4 writes the bytes of a rename, and strict shows nothing
    {"noauto_da_alloc": True},
    {"after": "7s", "noauto_da_alloc": True},
)


class PowerLossOptions(CutOptions):
    during: Literal["up"] | None = Field(
        None,
        description="`up`: the cut comes while Compose makes every container anew, as the first one has started.",
    )
    command: str | None = Field(
        None,
        min_length=1,
        description="A command of the stack's own, such as its deploy or backup, during which the cut comes. Once the "
        "stack is up again, it is run again and must end well. It may sync what it likes: the file never synced is "
        "written right before the cut.",
        examples=["./deploy.sh"],
    )
    backup: str | None = Field(
        None,
        min_length=1,
        description="With a `command` that restores: the stack's own backup command, run before it; `{archive}` in "
        "`command` stands for what the backup made.",
        examples=["./backup-media.sh backup"],
    )
    at: Pattern | None = Field(
        None,
        description="With `command`: the cut comes at the first line of its output in which this regular expression "
        "is found; by default at the first line.",
        examples=["Migrating"],
    )

    @model_validator(mode="after")
    def _one_moment(self) -> PowerLossOptions:
        if self.at is not None and self.command is None:
            raise ValueError("`at` is a line of a command's output; add `command`")
        if self.backup is not None and PLACEHOLDER not in (self.command or ""):
            raise ValueError(f"a `backup` is there to be restored; add `command` with {PLACEHOLDER} in it")
        if self.backup is None and PLACEHOLDER in (self.command or ""):
            raise ValueError(f"{PLACEHOLDER} stands for what a backup made; add `backup`")
        if self.during is not None and self.command is not None:
            raise ValueError("`during` and `command` name two moments; remove one of them")
        return self


class PowerLoss(PowerCut):
    """Every container is killed, so that nothing is acknowledged any more, and in the same moment the disks are cut,
    which the harness holds mounted: what the kernel had in memory goes. The containers are still there, as after a
    reboot, and `up` starts them. What does not lie on a disk, such as a container's writable layer, keeps what it has:
    only names on cut disks say anything.
    """

    name = "power-loss"
    summary = "the power goes: what had not reached the disks is lost, in all volumes at once"
    own_commands = ("backup", "command")

    Options: ClassVar[type[PowerLossOptions]] = PowerLossOptions
    options: PowerLossOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._moment = Moment()

    @classmethod
    def spread(cls, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        chosen = {"noauto_da_alloc", "strict"} & options.keys() or isinstance(
            options.get("after"), str | int | float
        )
        if chosen:
            return [options]
        busy = {"while", "during", "command"} & options.keys()
        variants = [variant for variant in VARIANTS if not (busy and "after" in variant)]
        title = options.get("title")
        return [
            {**options, **variant, **({"title": f"{title}{spoken(variant)}"} if title else {})}
            for variant in variants
        ]

    def describe(self) -> str:
        amid = self.options.during or self.options.command
        when = f" during `{amid}`" if amid else ""
        at = f', at "{self.options.at}"' if self.options.at else ""
        return f"power-loss{when}{at}{self.spoken_cut()}"

    def prepare(self, stack: Stack) -> None:
        super().prepare(stack)
        self._moment = Moment()

    def before_writes(self, stack: Stack) -> None:
        if self.options.command is None:
            super().before_writes(stack)
        else:
            self.begin(stack).write_synced(self._token)

    def apply(self, stack: Stack, during: During) -> None:
        station = station_of(stack)
        try:
            command = self._command(stack)
        except CommandFailed as failure:
            self._moment.problems.append(str(failure))
            return
        self._come_to_the_moment(stack, command)
        ended(stack)
        if command:
            # A command of the stack's own may well sync its whole filesystem, and all that was written before.
            station.write_never_synced(self._token)
        self._cuts = station.cut(journal=self.options.strict)
        self._conditions, self._held = station.look_anew(self._token)
        stack.up()
        if command:
            if not wait_healthy(stack):
                self._moment.facts.append(
                    f"after the cut not everything was healthy within {HEALTHY_SECONDS:g} s by itself"
                )
            self._moment.again(stack, command)

    def _command(self, stack: Stack) -> str:
        if self.options.command is None or self.options.backup is None:
            return self.options.command or ""
        archive = back_up(stack, self.options.backup)
        self._moment.facts.append(f"backup: {archive}")
        return with_archive(self.options.command, archive)

    def _come_to_the_moment(self, stack: Stack, command: str) -> None:
        if self.options.during == "up":
            self._moment.amid_up(stack)
        elif command:
            self._moment.amid_command(stack, command, self.options.at or "")

    def expected(self, before: EngineState) -> Delta:
        return changed(before, containers=Change.RESTARTED)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        for problem in self._moment.problems:
            case.problem(problem)
        for fact in self._moment.facts:
            case.fact(INSPECT, fact)
        if self._moment.facts:
            # What was being made or replaced when the power went is there in one state or another.
            self._cut_in_the_middle(case)
        else:
            expected = self.expected(before)
            case.judge(expected, ends=(KILLED, Wanted("die", exit_code=137)), begins=(START,))
            case.volumes(expected)
        self.judge_disks(case)
        return case.proof()

    def _cut_in_the_middle(self, case: Case) -> None:
        cut = 0
        for key, state in {**case.before.containers, **case.after.containers}.items():
            actions = [event.action for event in case.container_events(state.identity)]
            case.doings(case.who(key), state.identity)
            cut += "kill" in actions
        if not cut:
            case.problem("no container was running when the power went")
        for key, old in case.before.containers.items():
            new = case.after.containers.get(key)
            if old.running and (new is None or not new.running) and case.came_up:
                case.problem(f"{case.who(key)} ran before the cut and does not any more")
        case.out_of_memory()
