"""Files outside the project directory that the Compose files name: included, extended, environment and label files.

Compose has to find them from the workspace too, at the same place relative to the project directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FILE_KEYS = ("env_file", "label_file")


def outside_references(compose: Iterable[Path], project: Path) -> tuple[Path, ...]:
    """Existing files that `compose` names by a relative path which leads out of the project directory, absolute.

    Follows included and extended files. Names with variables in them are not seen.
    """
    found: dict[Path, None] = {}
    todo = [(file, project) for file in compose]
    seen = set()
    while todo:
        file, base = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for name, is_compose in _named(read_document(file)):
            path = Path(os.path.normpath(base / name))
            if Path(name).is_absolute() or not path.is_file():
                continue
            if not path.is_relative_to(project):
                found[path] = None
            if is_compose:
                todo.append((path, path.parent))
    return tuple(found)


def common_ancestor(project: Path, references: Iterable[Path]) -> Path:
    """The deepest directory that holds the project directory's parent and all references."""
    return Path(os.path.commonpath([project.parent, *(path.parent for path in references)]))


def _named(document: Any) -> Iterator[tuple[str, bool]]:
    """Files that a Compose document names, and whether they are Compose files themselves."""
    if not isinstance(document, dict):
        return
    for entry in _list(document.get("include")):
        if isinstance(entry, dict):
            yield from ((name, True) for name in _strings(entry.get("path")))
            yield from ((name, False) for name in _strings(entry.get("env_file")))
        else:
            yield from ((name, True) for name in _strings(entry))
    services = document.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        if not isinstance(service, dict):
            continue
        extends = service.get("extends")
        if isinstance(extends, dict):
            yield from ((name, True) for name in _strings(extends.get("file")))
        for key in FILE_KEYS:
            for entry in _list(service.get(key)):
                named = entry.get("path") if isinstance(entry, dict) else entry
                yield from ((name, False) for name in _strings(named))


def read_document(file: Path) -> Any:
    """What a YAML file holds, None where it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML().load(file.read_text())
    except (OSError, UnicodeDecodeError, YAMLError):
        return None  # Compose says what is wrong with it


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _strings(value: Any) -> list[str]:
    return [entry for entry in _list(value) if isinstance(entry, str) and "$" not in entry]
