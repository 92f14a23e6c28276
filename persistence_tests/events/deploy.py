"""`deploy`: the stack's own deploy command, run to its end, or cut short at a step of it and run again."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from persistence_tests.events.base import Controls, During, Event, Options, Pattern, Proof
from persistence_tests.events.configuration import building
from persistence_tests.events.evidence import INSPECT, STREAM, WORDS, Case, destroyed_volumes, unchanged
from persistence_tests.events.image_upgrade import another_version
from persistence_tests.stack.compose import last_lines
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.difference import difference
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.interruption import Interruption
from persistence_tests.stack.state import Change, Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.process import CommandResult
    from persistence_tests.stack.stack import Stack

COMMAND_SECONDS = 1800.0
CONTROL = f"{CONTROL_SERVICE}-1"


class DeployOptions(Options):
    command: str = Field(
        min_length=1,
        description="The stack's own deploy command, run in the project directory.",
        examples=["./deploy.sh"],
    )
    interrupt: Pattern | Annotated[list[Pattern], Field(min_length=1)] | None = Field(
        None,
        description="Cut the deploy short at the first line of its output in which this regular expression is "
        "found, then run it again to its end. A list makes a step of each.",
        examples=["Building", ["Building", "Migrating", "Starting"]],
    )
    signal: Literal["SIGKILL", "SIGTERM", "SIGINT"] = Field(
        "SIGKILL",
        description="With `interrupt`: what the command and all that it started gets. SIGKILL as from a runner that "
        "is gone, SIGTERM as from a CI that cancels, SIGINT as from Ctrl-C.",
    )

    @model_validator(mode="after")
    def _signal_of_interrupt(self) -> DeployOptions:
        if "signal" in self.model_fields_set and self.interrupt is None:
            raise ValueError("`signal` says how the deploy is cut short; add `interrupt: PATTERN`")
        return self


class Deploy(Event):
    """Before it, everything that the stack builds gets another version, so that there is something to deploy.

    The command may stop, start, replace and build what it likes; what it leaves is for the paths to judge. It must
    end well, and something of the stack must have changed by it. A deploy of single services does not reach the
    control service: that is then made anew beside it. One that removes the project's volumes removes the control's
    too: then that must be lost, and the external volume kept.
    """

    name = "deploy"
    summary = "the stack's own deploy command, also interrupted at each of its steps and run again"
    controls = Controls(must_lose=Store.LAYER, must_keep=Store.NAMED)
    own_commands = ("command",)

    Options: ClassVar[type[DeployOptions]] = DeployOptions
    options: DeployOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._problems: list[str] = []
        self._facts: list[str] = []
        self._volumes_removed = False

    @classmethod
    def spread(cls, options: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        patterns = options.get("interrupt")
        if isinstance(patterns, list) and patterns:
            return [{**options, "interrupt": pattern} for pattern in patterns]
        return [options]

    def describe(self) -> str:
        if self.options.interrupt is None:
            return "deploy"
        how = "" if self.options.signal == "SIGKILL" else f" by {self.options.signal}"
        return f'deploy, interrupted at "{self.options.interrupt}"{how}'

    def duties(self) -> Controls:
        return Controls(Store.NAMED, Store.EXTERNAL) if self._volumes_removed else self.controls

    def prepare(self, stack: Stack) -> None:
        built = [name for name in building(stack.config) if name != CONTROL_SERVICE]
        stack.edit({"services": {name: {"build": another_version()} for name in built}})

    def apply(self, stack: Stack, during: During) -> None:
        self._problems, self._facts, self._volumes_removed = [], [], False
        begun = stack.state()
        if self.options.interrupt is not None:
            self._interrupted(stack, str(self.options.interrupt))
            if self._problems:
                return
            stack.edit()  # the control service is another one: what is run again leaves a trace
        before = stack.state()
        result = stack.command(self.options.command, timeout=COMMAND_SECONDS)
        again = ", run again," if self.options.interrupt is not None else ""
        if result.exit_code != 0:
            self._problems.append(f"the deploy{again} {_ended(result)}")
            return
        changes = difference(before, stack.state())
        spoke = self.options.interrupt is not None and (result.stdout or result.stderr).strip()
        if not spoke and not _changed(changes):
            self._problems.append(
                f"the deploy{again} ended with exit code 0, but nothing of the stack changed by it"
            )
        self._facts.append(
            f"`{self.options.command}`{again} ended with exit code 0 after {result.seconds:.1f} s"
        )
        now = stack.state().containers
        if CONTROL not in now or now[CONTROL] == begun.containers.get(CONTROL):
            stack.compose.run("up", "-d", "--no-deps", CONTROL_SERVICE)

    def expected(self, before: EngineState) -> Delta:
        return unchanged(before)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        for problem in self._problems:
            case.problem(problem)
        if not self._facts and not self._problems:
            case.problem("the deploy command was not run")
        for fact in self._facts:
            case.fact(INSPECT, fact)
        for key, old in before.containers.items():
            change = case.delta.containers.get(key, Change.SAME)
            if key == CONTROL and change is not Change.RECREATED and not case.problems:
                case.problem(f"the control service is {WORDS[change]}: nothing could be lost with it")
            if change is not Change.SAME:
                case.fact(INSPECT, f"{case.who(key)}: {WORDS[change]} by the deploy")
            case.doings(case.who(key), old.identity)
        for name in destroyed_volumes(before, seen):
            case.fact(STREAM, f"volume {name}: destroyed by the deploy")
            volume = before.volumes.get(name)
            self._volumes_removed |= volume is not None and volume.key == NAMED_VOLUME
        case.images(case.delta)
        case.out_of_memory()
        return case.proof()

    def _interrupted(self, stack: Stack, at: str) -> None:
        number = signal.Signals[self.options.signal]
        interruption = Interruption(re.compile(at), number)
        result = stack.command(self.options.command, timeout=COMMAND_SECONDS, interruption=interruption)
        if interruption.line is None:
            self._problems.append(f'no line of the deploy\'s output matches "{at}"; it {_ended(result)}')
        elif not interruption.delivered or result.exit_code == 0:
            self._problems.append(
                f'the deploy was over before it could be interrupted at "{interruption.line}"'
            )
        elif result.exit_code == -signal.SIGKILL and number is not signal.SIGKILL:
            self._problems.append(f"the deploy outlived {number.name} and had to be killed")
        else:
            died = (
                f"died of {number.name}"
                if result.exit_code == -number
                else f"ended with exit code {result.exit_code}"
            )
            self._facts.append(
                f'{number.name} at "{interruption.line}" after {result.seconds:.1f} s: the deploy {died}'
            )


def _changed(delta: Delta) -> bool:
    parts = (delta.containers, delta.images, delta.volumes)
    return any(change is not Change.SAME for part in parts for change in part.values())


def _ended(result: CommandResult) -> str:
    if result.exit_code == 0:
        return "ended with exit code 0"
    said = last_lines(result.stderr.strip() or result.stdout)
    return f"ended with exit code {result.exit_code}" + (f":\n{said}" if said else "")
