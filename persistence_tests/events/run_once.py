"""`compose run --rm`: a command in a container of its own writes a file, and the container is gone afterwards."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.events.evidence import CREATE, DESTROY, INSPECT, START, Case, Wanted, unchanged
from persistence_tests.stack.inspection import ONEOFF, SERVICE
from persistence_tests.stack.state import Delta, EngineEvent, EngineState, Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

# Not ${name}, which is the shell's own.
PLACEHOLDER = re.compile(r"(?<!\$)\{(name|directory|filename)\}")
ENDED_WELL = (CREATE, START, Wanted("die", exit_code=0), DESTROY)


class RunOnceOptions(Options):
    service: str = Field(
        min_length=1, description="The service whose image, mounts and user it has.", examples=["api"]
    )
    command: str = Field(
        min_length=1,
        description="What writes the file that comes on its standard input, and ends with 0 once it is written. "
        "`{name}` is where the file must be, relative to the root of the paths; `{directory}` and `{filename}` "
        "are its parts. It is no shell's line: call one where you need it.",
        examples=["sh -c 'cat > /srv/files/{name}'"],
    )

    @field_validator("command")
    @classmethod
    def _names_the_file(cls, command: str) -> str:
        try:
            shlex.split(command)
        except ValueError as error:
            raise ValueError(f"the command cannot be split into words: {error}; close the quote") from error
        if not {"name", "filename"} & set(PLACEHOLDER.findall(command)):
            raise ValueError(
                "the command does not say which file it writes; put `{name}` where its name belongs"
            )
        return command


class RunOnce(Event):
    """The file's name has letters, digits, dots and dashes only, so that no shell can misread it.

    The services that the service depends on run already: it is started with `--no-deps`.
    """

    name = "run-once"
    summary = "`docker compose run --rm` of a command that writes a file"
    controls = Controls(must_lose=None, must_keep=Store.NAMED)

    Options: ClassVar[type[RunOnceOptions]] = RunOnceOptions
    options: RunOnceOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._written: str | None = None

    def describe(self) -> str:
        return f"run-once in {self.options.service}"

    def services(self) -> tuple[str, ...]:
        return (self.options.service,)

    def apply(self, stack: Stack, during: During) -> None:
        self._written = None

        def write(name: str, content: bytes) -> None:
            command = ("run", "--rm", "--no-deps", "-T", self.options.service, *self._words(name))
            stack.compose.run(*command, input=content)
            self._written = name

        during.write(write)

    def _words(self, name: str) -> list[str]:
        """The command with the file's name in it, word by word."""
        directory, _, filename = name.rpartition("/")
        values = {"name": name, "directory": directory or ".", "filename": filename}
        words = shlex.split(self.options.command)
        return [PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words]

    def expected(self, before: EngineState) -> Delta:
        return unchanged(before)

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        case = Case(before, after, seen, came_up)
        expected = self.expected(before)
        case.judge(expected)
        case.volumes(expected)
        who = f"the container of {self.options.service} that was run once"
        identities = {event.identity for event in seen if self._is_own(event)}
        if len(identities) != 1:
            case.problem(f"{len(identities)} containers were run once in the engine's event stream, not one")
        for identity in identities:
            case.follow(who, identity, ENDED_WELL)
        if self._written is None:
            case.problem("the command wrote nothing")
        else:
            case.fact(INSPECT, f"{who}: exit code 0 for {self._written}")
        return case.proof()

    def _is_own(self, event: EngineEvent) -> bool:
        labels = event.attributes
        return (
            event.kind == "container"
            and labels.get(ONEOFF) == "True"
            and labels.get(SERVICE) == self.options.service
        )
