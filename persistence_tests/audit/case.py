"""A finding with all that the record knows around it: what the rules of `diagnosis` read."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from persistence_tests.audit.configuration import Backing, Configuration
from persistence_tests.model.finding import Finding, Symptom
from persistence_tests.model.records import DataFate


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule does not find here it does not know.

    `service` and `root`: the container and directory of the `direct` path on which the finding is; None where it
    is on none. `volume`: the Compose file's key of the volume whose `volume` path the finding is on.
    `fate`: what the event promised. `touched`: the services that the event acted on, None for all of them.
    `stored`: the paths that read stored bytes. `serving`: the paths that ask a server and had every name right.
    `intact`: the directories ("." for the root) in which a name of this run was right after the event.
    `seen_before`: names of the finding that a stored path showed before the event.
    `statuses`: what servers answered for names of the finding, None for no answer.
    `shows_absence`: false for a path that answers 2xx for a name never written.
    `found_on`: the volumes on which the bytes were seen. `remade`: the services whose containers the event made
    anew, None where the record does not say. `destroyed`: the Compose file's keys of the volumes that went in it.
    `former`: the configuration that was before, where the event is one that changes it.
    """

    finding: Finding
    configuration: Configuration
    fate: DataFate = DataFate.KEPT
    touched: frozenset[str] | None = None
    service: str | None = None
    root: str | None = None
    volume: str | None = None
    stored: frozenset[str] = frozenset()
    serving: tuple[str, ...] = ()
    intact: frozenset[str] = frozenset()
    seen_before: frozenset[str] = frozenset()
    statuses: frozenset[int | None] = frozenset()
    shows_absence: dict[str, bool] = field(default_factory=dict)
    found_on: tuple[str, ...] = ()
    remade: frozenset[str] | None = None
    destroyed: frozenset[str] = frozenset()
    former: Configuration | None = None

    @property
    def symptom(self) -> Symptom:
        return self.finding.symptom

    @property
    def kept(self) -> bool:
        """Whether the event had to leave everything as it was."""
        return self.fate is DataFate.KEPT

    @property
    def gone(self) -> bool:
        return self.symptom in {Symptom.MISSING, Symptom.ORPHANED, Symptom.DANGLING}

    @property
    def where_stored(self) -> bool:
        return bool(self.stored.intersection(self.finding.paths))

    @property
    def reached(self) -> bool:
        """Whether the event acted on the service that keeps the files."""
        return self.touched is None or self.service is None or self.service in self.touched

    @property
    def key(self) -> str | None:
        """The Compose file's key of the named volume that keeps the files."""
        if self.backing is not Backing.NAMED:
            return None
        mount = self.configuration.mount_of(self.service, self.root) if self.service and self.root else None
        return mount.source if mount else self.volume

    @property
    def directories(self) -> frozenset[str]:
        """The top directories of the names that are wrong."""
        return frozenset(top_directory(name) for name in self.finding.names)

    @property
    def backing(self) -> Backing | None:
        """What keeps all names of the finding; None where that is not known, or not the same for all."""
        if self.service is None or self.root is None:
            return Backing.NAMED if self.volume and not self.configuration.is_memory(self.volume) else None
        places = {posixpath.dirname(posixpath.join(self.root, name)) for name in self.finding.names}
        found = {self.configuration.backing(self.service, place) for place in places}
        return next(iter(found)) if len(found) == 1 else None

    @property
    def place(self) -> str:
        """Where the files are kept, in words."""
        if self.service is None or self.root is None:
            return f"volume `{self.volume}`"
        mount = self.configuration.mount_of(self.service, self.root)
        if mount is None:
            return f"{self.root} of service {self.service}"
        what = f"volume `{mount.source}`" if mount.backing is Backing.NAMED else f"the {mount.backing}"
        return f"{what} at {mount.target} of service {self.service}"

    def key_for_new_volume(self) -> str:
        """A volume of the Compose file that stands ready for the files, else a new name after their directory."""
        declared = self.configuration.volume_keys()
        unused = [key for key in declared if key not in self.configuration.keys_in_use()]
        if self.volume in declared:
            return str(self.volume)
        if len(unused) == 1:
            return unused[0]
        letters = [c if c.isascii() and c.isalnum() else "_" for c in posixpath.basename(self.root or "")]
        name = "".join(letters).strip("_").lower() or "files"
        name = name if len(name) > 1 else f"{name}_files"  # Compose reads one letter as a drive
        return f"{name}_files" if name in declared else name


def top_directory(name: str) -> str:
    """The first part of a name, "." for a name at the root."""
    return name.split("/", 1)[0] if "/" in name else "."
