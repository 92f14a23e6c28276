"""Every name below a directory, whatever it was read by."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from persistence_tests.model.observation import ABSENT, Observation


@dataclass(slots=True)
class Tree:
    """Every name below a root, relative to it: directories, and all other nodes."""

    files: MutableMapping[str, Observation] = field(default_factory=dict)
    directories: dict[str, Observation] = field(default_factory=dict)

    def observations(self, names: Sequence[str]) -> MutableMapping[str, Observation]:
        """All files, and from now on each of `names` whatever it is."""
        for name in names:
            if name not in self.files:
                self.files[name] = self.directories.get(name) or ABSENT
        return self.files

    def share(self, groups: Iterable[Sequence[str]]) -> None:
        """Note that each group's names are of one file."""
        for names in groups:
            first = min(names) if len(names) > 1 else None
            for name in names:
                self.files[name] = replace(self.files[name], shared=first)


@lru_cache
def mode_text(mode: int) -> str:
    """As an observation has it: four octal digits."""
    return f"{mode & 0o7777:04o}"


@lru_cache
def owner_text(uid: int, gid: int) -> str:
    """As an observation has it."""
    return f"{uid}:{gid}"
