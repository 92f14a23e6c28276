"""Tables of paths and events of the tests' own: a scenario can name whatever the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from persistence_tests.duration import Duration
from persistence_tests.errors import ScenarioError
from persistence_tests.events.base import Controls, During, Event, Options, Proof
from persistence_tests.scenario import Scenario, load
from persistence_tests.scenario.vocabulary import Vocabulary
from persistence_tests.stack.state import Delta, EngineEvent, EngineState


class VolumeConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    volume: str | None = Field(None, description="The volume's key in the Compose file.")
    bind: str | None = Field(None, description="The source of a bind mount.")

    @model_validator(mode="after")
    def _one(self) -> VolumeConfig:
        if (self.volume is None) == (self.bind is None):
            raise ValueError("needs either `volume` or `bind`")
        return self


class DirectConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    service: str = Field(description="The service in whose containers the files are.")
    root: str = Field(description="The directory, an absolute path in the container.")
    atomic: bool = False


class HttpConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    service: str = Field(description="The service that answers.")
    port: int = Field(description="Its port in the container.", ge=1, le=65535)
    url: str = Field(description="Where a file is served.")
    within: Duration = 5.0
    atomic: bool = True


@dataclass(frozen=True)
class Kind:
    config: type[BaseModel]
    summary: str = "a way to the files"


class Plain(Event):
    name = "restart"
    summary = "the services are started again"
    controls = Controls(None, None)

    def apply(self, stack: Any, during: During) -> None: ...

    def expected(self, before: EngineState) -> Delta:
        return Delta()

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        return Proof((), ())


class Up(Plain):
    name = "up"
    summary = "the stack is brought up once more"


class DownUp(Plain):
    name = "down-up"
    summary = "the stack is taken down and brought up"


class KillOptions(Options):
    service: str | list[str] | None = Field(None, description="The service that is killed.")
    signal: Literal["SIGKILL", "SIGTERM"] = "SIGKILL"


class Kill(Plain):
    name = "kill"
    summary = "one service or all are killed"
    Options: ClassVar[type[Options]] = KillOptions

    def describe(self) -> str:
        return f"kill {', '.join(self.services()) or 'all services'}"

    def services(self) -> tuple[str, ...]:
        chosen = self.options.service or ()
        return (chosen,) if isinstance(chosen, str) else tuple(chosen)


class BackupOptions(Options):
    backup: str = Field(description="The stack's own backup command.")
    restore: str = Field(description="The stack's own restore command.")
    volume: str | None = None


class Backup(Plain):
    name = "backup-restore"
    summary = "the stack's own backup is restored"
    own_commands = ("backup", "restore")
    Options: ClassVar[type[Options]] = BackupOptions


_PATHS: Any = {
    "volume": Kind(VolumeConfig),
    "direct": Kind(DirectConfig),
    "api": Kind(HttpConfig),
    "proxy": Kind(HttpConfig),
}
VOCABULARY = Vocabulary(_PATHS, {event.name: event for event in (Up, Plain, DownUp, Kill, Backup)})

SOUND = """\
stack:
  compose: compose.yaml
  ready: { path: api, url: /health }
paths:
  volume: { volume: media }
  direct: { service: app, root: /data }
  api: { service: app, port: 8001, url: "/files/{name}" }
writes:
  - { through: direct, into: [admin, blog], files: 4 }
  - { through: api, request: "POST /files/{directory}", multipart: file, into: [uploads] }
expect: { directories: [admin, blog, uploads], mode: "0755" }
events:
  - restart
  - kill: { service: app, while: writing }
claims:
  Force kill container: kill
"""


def written(directory: Path, content: str | bytes, name: str = "sound.persistence.yaml") -> Path:
    """`content` as a scenario file next to a Compose file."""
    (directory / "compose.yaml").write_text("services: {}\n")
    file = directory / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def loaded(directory: Path, content: str | bytes) -> Scenario:
    return load(written(directory, content), VOCABULARY)


def complaints(file: Path | str) -> str:
    """The whole message about a wrong file."""
    try:
        load(file, VOCABULARY)
    except ScenarioError as error:
        return str(error)
    raise AssertionError("the file was accepted")
