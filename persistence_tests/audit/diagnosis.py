"""The cause of a finding, read from what was recorded, and the change that mends it.

A rule says nothing unless the record supports it: a wrong cause costs more than none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from persistence_tests.audit.configuration import Backing, Configuration
from persistence_tests.model.finding import Finding, Symptom
from persistence_tests.model.records import DataFate


@dataclass(frozen=True, slots=True)
class Diagnosis:
    rule: str
    cause: str
    fix: str


@dataclass(frozen=True, slots=True)
class Case:
    """A finding with what the record knows around it.

    `service` and `root` are where the stack writes (the `direct` path), None where no such path is declared.
    `fate` is what the event promised. `stored` and `served` are the names of the paths that read stored bytes,
    and of those that ask a server. `intact` holds the directories of which at least one promised name is
    right after the event. `shows_absence` is false for a path that answers 2xx for a name never written.
    `found_on` are the volumes on which the bytes were seen. `volume` and `under` are the `volume` path's.
    """

    finding: Finding
    configuration: Configuration
    fate: DataFate
    service: str | None
    root: str | None
    volume: str | None
    stored: frozenset[str]
    served: frozenset[str]
    intact: frozenset[str]
    shows_absence: dict[str, bool]
    found_on: tuple[str, ...]

    @property
    def gone(self) -> bool:
        return self.finding.symptom in {Symptom.MISSING, Symptom.ORPHANED}

    @property
    def damaged(self) -> bool:
        return self.finding.symptom in {Symptom.MISSING, Symptom.EMPTY, Symptom.TRUNCATED, Symptom.TORN}

    @property
    def where_stored(self) -> bool:
        return bool(self.stored.intersection(self.finding.paths))

    @property
    def backing(self) -> Backing | None:
        if self.service is None or self.root is None:
            return None
        return self.configuration.backing(self.service, self.root)


Rule = Callable[[Case], "tuple[str, str] | None"]

NEW_CONTAINER = frozenset({"recreate", "down-up", "rebuild", "down-volumes", "volume-recreate", "deploy"})
NEW_PROCESS = frozenset({"restart", "stop-start", "kill", "crash"})
SUDDEN = frozenset({"kill", "crash"})


def diagnose(case: Case) -> Diagnosis | None:
    """The first rule, in the order of `RULES`, that the record supports; None where none does."""
    for name, rule in RULES.items():
        found = rule(case)
        if found is not None:
            return Diagnosis(name, *found)
    return None


def _tmpfs(case: Case) -> tuple[str, str] | None:
    if not case.gone or case.backing is not Backing.TMPFS:
        return None
    return (
        f"{case.root} of service {case.service} is a tmpfs: it is empty after every start of the container",
        f"mount a named volume at {case.root} instead of the tmpfs",
    )


def _mount_elsewhere(case: Case) -> tuple[str, str] | None:
    if not case.gone or case.backing is not Backing.LAYER or case.service is None:
        return None
    named = [m for m in case.configuration.targets(case.service) if m.backing is Backing.NAMED]
    if not named:
        return None
    mount = next((m for m in named if m.source == case.volume), named[0])
    return (
        f"service {case.service} writes to {case.root}, but volume `{mount.source}` is mounted at "
        f"{mount.target}: the files are in the container's writable layer and go with the container",
        f'mount it where the service writes: `volumes: ["{mount.source}:{case.root}"]`',
    )


def _no_volume(case: Case) -> tuple[str, str] | None:
    if not case.gone or case.backing is not Backing.LAYER:
        return None
    return (
        f"no volume is mounted at {case.root} of service {case.service}: the files are in the container's "
        "writable layer and go with the container",
        f'add a named volume: `services.{case.service}.volumes: ["media_files:{case.root}"]` and '
        "`volumes: {media_files: {}}`",
    )


def _anonymous_volume(case: Case) -> tuple[str, str] | None:
    if not case.gone or case.backing is not Backing.ANONYMOUS or case.service is None:
        return None
    mount = case.configuration.mount_of(case.service, case.root or "/")
    target = mount.target if mount else case.root
    still = f"; the bytes are still on volume {case.found_on[0]}" if case.found_on else ""
    return (
        f"{target} of service {case.service} is an anonymous volume: a container that is made anew gets a "
        f"new one{still}",
        f"give the volume a name: `media_files:{target}`",
    )


def _incomplete_restore(case: Case) -> tuple[str, str] | None:
    if case.fate is not DataFate.RESTORED or not case.gone or not case.where_stored:
        return None
    lost = sorted({_directory(name) for name in case.finding.names} - case.intact)
    if not lost:
        return None
    return (
        f"after the restore nothing is left of {', '.join(lost)}: the archive does not hold it, or the "
        "restore does not put it back",
        "back up and restore the root of the volume rather than a list of its directories, and compare the "
        "archive with the volume after each backup",
    )


def _merging_restore(case: Case) -> tuple[str, str] | None:
    if case.fate is not DataFate.RESTORED or case.finding.symptom is not Symptom.RESURRECTED:
        return None
    return (
        "files made after the backup are still there after the restore: it merges instead of replacing",
        "empty the volume before the archive is extracted, or extract beside it and swap",
    )


def _wiped_at_start(case: Case) -> tuple[str, str] | None:
    durable = case.backing in {Backing.NAMED, Backing.BIND}
    starts = case.finding.event in NEW_PROCESS | NEW_CONTAINER and case.fate is DataFate.KEPT
    if not (case.gone and case.where_stored and durable and starts) or case.intact:
        return None
    return (
        f"the volume at {case.root} is the same one, but what was in it is gone: something that runs when "
        f"service {case.service} starts removes or replaces its content",
        "look for `rm -rf`, `rsync --delete`, `mkfs` or an unguarded `cp` in the entrypoint and init scripts, "
        "and make them create only what is absent",
    )


def _acknowledged_too_early(case: Case) -> tuple[str, str] | None:
    durable = case.backing in {Backing.NAMED, Backing.BIND}
    sudden = case.finding.event in SUDDEN and bool(case.intact)
    if not (case.damaged and case.where_stored and durable and sudden):
        return None
    return (
        f"the upload was acknowledged before its bytes were written: {case.finding.event} ended the process "
        "between the answer and the write",
        "answer only after the file is written, synced (file and directory) and renamed to its name",
    )


def _answers_for_everything(case: Case) -> tuple[str, str] | None:
    blind = [path for path in case.finding.paths if case.shows_absence.get(path) is False]
    if case.finding.symptom is not Symptom.MASKED or not blind:
        return None
    return (
        f"{', '.join(blind)} answers 2xx for names that never existed, so a missing file looks served: "
        "a fallback page covers the files' location",
        "end the location of the files with `=404` instead of an index page (`try_files $uri =404;`)",
    )


def _not_served(case: Case) -> tuple[str, str] | None:
    wrong = case.served.intersection(case.finding.paths)
    if case.finding.symptom is not Symptom.UNSERVED or case.where_stored or not wrong:
        return None
    right = sorted(case.served - wrong)
    besides = f" and {', '.join(right)} serves them" if right else ""
    return (
        f"the bytes are stored{besides}, but {', '.join(sorted(wrong))} does not: its root, alias or upstream "
        "does not lead to them, or it may not read them",
        "compare the server's root or alias with its mounts, the upstream it resolved at start, and the mode "
        "and owner of the files",
    )


def _directory(name: str) -> str:
    return name.split("/", 1)[0] if "/" in name else "."


# In order: what is certain from the configuration before what is inferred from the pattern of the loss.
RULES: dict[str, Rule] = {
    "tmpfs": _tmpfs,
    "mount-elsewhere": _mount_elsewhere,
    "no-volume": _no_volume,
    "anonymous-volume": _anonymous_volume,
    "incomplete-restore": _incomplete_restore,
    "merging-restore": _merging_restore,
    "acknowledged-too-early": _acknowledged_too_early,
    "wiped-at-start": _wiped_at_start,
    "answers-for-everything": _answers_for_everything,
    "not-served": _not_served,
}
