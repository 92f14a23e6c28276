"""The Compose project that a scenario is to be written for: its files, as Compose finds and resolves them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persistence_tests.errors import StackError, UsageError

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
_UNSET = re.compile(r'The \\?"([^"\\]+)\\?" variable is not set')


@dataclass(frozen=True, slots=True)
class Project:
    """`config` is what Compose resolves, of all profiles; `active` the services of the profiles that are on.

    `unset` are variables that the files use and nothing sets: Compose takes them as empty.
    """

    files: tuple[Path, ...]
    config: dict[str, Any]
    active: tuple[str, ...]
    unset: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.config.get("name") or self.directory.name)

    @property
    def directory(self) -> Path:
        return self.files[0].parent

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services that run, in the order of the file."""
        return {
            name: service or {}
            for name, service in (self.config.get("services") or {}).items()
            if name in self.active
        }


def find_files(
    given: Path | None, directory: Path, environment: Mapping[str, str] = os.environ
) -> tuple[Path, ...]:
    """The Compose files, absolute: the one named, or those that Compose itself would take in `directory`.

    Raises UsageError where there is none.
    """
    if given is None and (named := environment.get("COMPOSE_FILE")):
        separator = environment.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return tuple(_readable(directory / name) for name in named.split(separator) if name)
    if given is not None and not given.is_dir():
        return (_readable(directory / given),)
    start = directory / given if given is not None else directory
    for place in (start, *(start.parents if given is None else ())):
        for name in NAMES:
            if (place / name).is_file():
                own = [_readable(place / name)]
                return (
                    *own,
                    *[_readable(place / other) for other in OVERRIDES if (place / other).is_file()][:1],
                )
    raise UsageError(
        "there is no Compose file",
        where=str(start),
        remedy=f"name one: `persistence init path/to/{NAMES[0]}`; without a name, {', '.join(NAMES)} are looked "
        "for here and above",
    )


def read_project(files: tuple[Path, ...]) -> Project:
    """What Compose makes of the files; needs no engine. Raises UsageError with Compose's own words."""
    from persistence_tests.stack.compose import Compose
    from persistence_tests.stack.engine import DEFAULT_SOCKET

    def compose(project: str) -> Compose:
        return Compose(engine_url=DEFAULT_SOCKET, project=project, directory=files[0].parent, files=files)

    try:
        first = compose("persistence-init").run("--profile", "*", "config", "--format", "json")
        active = compose("persistence-init").services()
    except StackError as error:
        said = " ".join(
            line.strip().removeprefix("| ") for line in error.what.partition(":\n")[2].splitlines()
        )
        raise UsageError(
            f"Compose refuses {files[0].name}: {said or error.what}",
            where=str(files[0]),
            remedy="mend the file; variables that it needs come from .env beside it or from the environment",
        ) from error
    config = json.loads(first.stdout)
    config["name"] = _project_name(files[0])
    if not config.get("services"):
        raise UsageError(
            "the Compose file has no services", where=str(files[0]), remedy="name the file that has them"
        )
    return Project(files, config, active, tuple(dict.fromkeys(_UNSET.findall(first.stderr))))


def _project_name(file: Path) -> str:
    """As Compose makes it: what the file or the environment says, else its directory's name."""
    from persistence_tests.stack.references import read_document

    document = read_document(file)
    named = document.get("name") if isinstance(document, dict) else None
    name = named if isinstance(named, str) and "$" not in named else file.parent.name
    return re.sub(r"[^a-z0-9_-]", "", name.lower()).lstrip("_-") or "stack"


def _readable(file: Path) -> Path:
    absolute = Path(os.path.normpath(file))
    try:
        with absolute.open("rb"):
            return absolute
    except FileNotFoundError:
        raise UsageError(
            "there is no such Compose file", where=str(file), remedy="check the path, or name another file"
        ) from None
    except OSError as error:
        raise UsageError(
            f"the Compose file cannot be read: {error.strerror or error}",
            where=str(file),
            remedy="make it readable, or name another file",
        ) from error
