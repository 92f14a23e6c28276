"""Which files are scenarios."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from persistence_tests.errors import UsageError

SUFFIX = ".persistence.yaml"


def find(paths: Iterable[str | Path]) -> list[Path]:
    """The scenario files at `paths`, each once: files as given, in directories every `*.persistence.yaml`.

    Hidden directories are left out. Raises UsageError for a path that does not exist, and for a file whose
    name does not end in `.persistence.yaml`.
    """
    found: dict[Path, Path] = {}
    for given in map(Path, paths):
        for file in _files(given):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def name_of(file: Path) -> str:
    """ "media" for scenarios/media.persistence.yaml."""
    return file.name.removesuffix(SUFFIX)


def _files(given: Path) -> list[Path]:
    if given.is_dir():
        return sorted(
            file
            for file in given.rglob(f"*{SUFFIX}")
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(given).parts)
        )
    if not given.exists():
        raise UsageError(
            "there is no such scenario",
            where=str(given),
            remedy=f"name a file `*{SUFFIX}`, or a directory of them",
        )
    if not given.name.endswith(SUFFIX):
        raise UsageError(
            "the file's name is not that of a scenario",
            where=str(given),
            remedy=f"scenarios are named `*{SUFFIX}`",
        )
    return [given]
