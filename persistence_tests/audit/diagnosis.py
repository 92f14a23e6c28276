"""The cause of a finding, read from what was recorded, and the change that mends it.

A rule says nothing unless the record supports it: a wrong cause costs more than none.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from persistence_tests.audit.case import Case, top_directory
from persistence_tests.audit.configuration import Backing, Configuration, MountTarget
from persistence_tests.model.finding import Symptom
from persistence_tests.model.records import DataFate


@dataclass(frozen=True, slots=True)
class Diagnosis:
    rule: str
    cause: str
    fix: str


Rule = Callable[[Case], "tuple[str, str] | None"]

NEW_PROCESS = frozenset({"restart", "stop-start", "kill", "crash"})
NEW_CONTAINER = frozenset({"recreate", "down-up", "rebuild", "image-upgrade", "up-changed", "rename-project"})
# No container in between, so that nothing is carried over.
NEW_PROJECT = frozenset({"down-up", "rename-project"})
SUDDEN = frozenset({"kill", "crash"})
POWER_LOSSES = frozenset({"power-loss", "host-power-loss", "disk-error"})
DURABLE = frozenset({Backing.NAMED, Backing.BIND})
CUT_SHORT = frozenset({Symptom.EMPTY, Symptom.TRUNCATED, Symptom.ZEROED, Symptom.TORN})
UPSTREAM_STATUSES = frozenset({502, 503, 504})


def diagnose(case: Case) -> Diagnosis | None:
    """The first rule, in the order of `RULES`, that the record supports; None where none does."""
    for name, rule in RULES.items():
        found = rule(case)
        if found is not None:
            return Diagnosis(name, *found)
    return None


def _tmpfs(case: Case) -> tuple[str, str] | None:
    lost = case.gone and case.backing is Backing.TMPFS and case.kept and case.reached
    remade = case.service in (case.remade or ())
    if not lost or not (remade or case.finding.event in NEW_PROCESS | NEW_CONTAINER):
        return None
    mount = case.configuration.mount_of(case.service or "", case.root or "/")
    if mount is not None and mount.backing is Backing.NAMED:
        return (
            f"volume `{mount.source}` is a tmpfs: it is empty once no container holds it",
            f"remove `type: tmpfs` from the `driver_opts` of volume `{mount.source}`",
        )
    return (
        f"{case.root} of service {case.service} is a tmpfs: it is empty after every start of the container",
        f"mount a named volume at {case.root} instead of the tmpfs: "
        f'`volumes: ["{case.key_for_new_volume()}:{case.root}"]`',
    )


def _mount_elsewhere(case: Case) -> tuple[str, str] | None:
    if not _in_layer(case):
        return None
    mount = _meant_for(case)
    if mount is None:
        return None
    return (
        f"service {case.service} writes to {case.root}, but volume `{mount.source}` is mounted at "
        f"{mount.target}: the files are in the container's writable layer and go with the container",
        f'mount it where the service writes: `volumes: ["{mount.source}:{case.root}"]`',
    )


def _no_volume(case: Case) -> tuple[str, str] | None:
    if not _in_layer(case):
        return None
    key = case.key_for_new_volume()
    declare = "" if key in case.configuration.volume_keys() else f" and `volumes: {{{key}: {{}}}}`"
    return (
        f"no volume is mounted at {case.root} of service {case.service}: the files are in the container's "
        "writable layer and go with the container",
        f'mount a named volume: `services.{case.service}.volumes: ["{key}:{case.root}"]`{declare}',
    )


def _in_layer(case: Case) -> bool:
    """Whether the container's writable layer held the names and the event made the container anew."""
    if not (case.gone and case.kept and case.backing is Backing.LAYER and case.service is not None):
        return False
    if case.remade is not None:
        return case.service in case.remade
    built = case.finding.event != "rebuild" or case.configuration.is_built(case.service)
    return case.finding.event in NEW_CONTAINER and built


def _meant_for(case: Case) -> MountTarget | None:
    """The named volume that was meant to hold the files: the scenario says so, or its target ends like the root."""
    named = [m for m in case.configuration.targets(case.service or "") if m.backing is Backing.NAMED]
    wanted = posixpath.basename(case.root or "")
    alike = [m for m in named if m.source == case.volume or posixpath.basename(m.target) == wanted]
    return alike[0] if len(alike) == 1 else None


def _anonymous_volume(case: Case) -> tuple[str, str] | None:
    if not (case.gone and case.kept and case.backing is Backing.ANONYMOUS and case.service is not None):
        return None
    if case.symptom is not Symptom.ORPHANED and case.finding.event not in NEW_PROJECT:
        return None
    mount = case.configuration.mount_of(case.service, case.root or "/")
    target = mount.target if mount else case.root
    still = f"; the bytes are still on volume {case.found_on[0]}" if case.found_on else ""
    return (
        f"{target} of service {case.service} is an anonymous volume: after `down` the next container gets a "
        f"new one{still}",
        f'give the volume a name: `services.{case.service}.volumes: ["{case.key_for_new_volume()}:{target}"]`',
    )


def _volume_removed(case: Case) -> tuple[str, str] | None:
    if not (case.gone and case.kept and case.key is not None and case.key in case.destroyed):
        return None
    match case.finding.event:
        case "deploy":
            return (
                f"the deploy command removed volume `{case.key}`, and what it held is gone with it",
                "leave out of the deploy command what removes volumes: `-v` and `--volumes` of `down` and `rm`, "
                "`-y` of `up`, `docker volume rm` and `prune`",
            )
        case "up-changed":
            return (
                f"volume `{case.key}` is described otherwise in the edited file: `up -y` made it anew, and what it "
                "held is gone",
                "leave `-y` out, so that Compose keeps the volume; where it must change, give it another key, copy "
                "its content there, then remove the old one",
            )
    return (
        f"volume `{case.key}` was removed in {case.finding.event}, and what it held is gone with it",
        "look for what removes volumes: `down -v`, `docker volume rm`, `prune`",
    )


def _project_volume(case: Case) -> tuple[str, str] | None:
    orphaned = case.symptom is Symptom.ORPHANED and case.kept and case.key is not None
    if not orphaned or case.finding.event != "rename-project":
        return None
    return (
        f"volume `{case.key}` is named after the project, and the project after its directory: in the renamed one "
        f"Compose made a new volume, and the bytes are still on {_first(case.found_on)}",
        f"give the volume a name of its own: `volumes: {{{case.key}: {{name: {case.key}}}}}`; or pin the project: "
        "`name: my-project` at the top of the Compose file, or COMPOSE_PROJECT_NAME in `.env`",
    )


def _other_volume(case: Case) -> tuple[str, str] | None:
    if not (case.gone and case.kept and case.former and case.service and case.root):
        return None
    old = case.former.mount_of(case.service, case.root)
    new = case.configuration.mount_of(case.service, case.root)
    if case.finding.event == "rename-project" or old is None or old.backing not in DURABLE:
        return None
    if _kept_in(case.former, old) == (_kept_in(case.configuration, new) if new else None):
        return None
    now = f"{_called(new)} is mounted there" if new else "nothing is mounted there"
    still = f"; the bytes are still on {_first(case.found_on)}" if case.found_on else ""
    return (
        f"{case.root} of service {case.service} was on {_called(old)}, and in the edited file {now}{still}",
        "keep the mount, the volume's key and its name when the Compose file is edited, or copy the content to "
        "the new place first",
    )


def _kept_in(configuration: Configuration, mount: MountTarget) -> tuple[str, ...]:
    """What tells two stores apart: a volume's name on the engine, a directory of the host."""
    volume = (configuration.resolved.get("volumes") or {}).get(mount.source) or {}
    return (mount.backing, str(volume.get("name") or mount.source), mount.target)


def _called(mount: MountTarget) -> str:
    return f"volume `{mount.source}`" if mount.backing is Backing.NAMED else f"the {mount.backing}"


def _first(found_on: tuple[str, ...]) -> str:
    return f"volume {found_on[0]}" if found_on else "the old one"


def _incomplete_restore(case: Case) -> tuple[str, str] | None:
    restored = case.fate is DataFate.RESTORED and case.symptom is Symptom.MISSING and case.where_stored
    lost = case.directories - case.intact
    # Where nothing at all is back, it may have been put elsewhere, or removed again by something else.
    if not restored or not lost or not case.intact:
        return None
    return (
        f"after the restore nothing is left of {_some(lost)}: the archive does not hold it, or the "
        "restore does not put it back",
        "back up and restore the root of the volume rather than a list of its directories, and compare the "
        "archive with the volume after each backup",
    )


def _restored_apart(case: Case) -> tuple[str, str] | None:
    apart = case.symptom in {Symptom.DANGLING, Symptom.UNREFERENCED}
    if not apart or case.fate is not DataFate.RESTORED:
        return None
    if case.symptom is Symptom.UNREFERENCED:
        cause = "the files came back and not the rows that refer to them: the database is of an older moment, or is not"
        cause += " restored"
    elif case.intact:
        cause = "the rows came back and not all the files that they refer to: the files are of another moment than the"
        cause += " database"
    else:
        cause = "the rows came back and none of the files that they refer to: the backup holds the database alone, or"
        cause += " the files were put elsewhere"
    return cause, (
        "back up the database and the files together, the database first and no file removed until both are done; "
        "keep both in one archive, and restore both or neither"
    )


def _merging_restore(case: Case) -> tuple[str, str] | None:
    restored = case.fate is DataFate.RESTORED and case.symptom is Symptom.RESURRECTED and case.where_stored
    if not restored or case.finding.event != "backup-restore":
        return None
    return (
        "files made after the backup are still there after the restore: it adds to what is there instead of "
        "replacing it",
        "empty the volume before the archive is extracted, or extract beside it and swap",
    )


def _acknowledged_too_early(case: Case) -> tuple[str, str] | None:
    damaged = case.symptom in {Symptom.MISSING, Symptom.EMPTY, Symptom.TRUNCATED, Symptom.TORN}
    durable = case.backing in DURABLE and case.where_stored
    # A name that was seen on the disk before the event was written, whatever happened to it then.
    last_moment = case.finding.event in SUDDEN and bool(case.intact) and not case.seen_before
    if not (damaged and durable and last_moment and case.kept):
        return None
    return (
        f"the write was acknowledged before its bytes were in the file: {case.finding.event} ended the process "
        "between the answer and the write",
        "answer only after the file is written, synced (file and directory) and renamed to its name",
    )


def _never_synced(case: Case) -> tuple[str, str] | None:
    """What was on its way to the disk, and nothing else, goes with the power."""
    if not _by_power_loss(case):
        return None
    match case.symptom:
        case Symptom.MISSING:
            return (
                f"the answer came before the file was on the disk: neither it nor its name in the directory was synced "
                f"when the power went ({case.place})",
                "write a temporary file in the same directory, fsync it, rename it to its name, fsync the directory, "
                "and answer only then",
            )
        case Symptom.STALE:
            return (
                f"the answer came before the new version was on the disk: the old one is back ({case.place})",
                "fsync the new file before it is renamed over the old one, and the directory after that, before the "
                "answer; of a database, let every commit be synced",
            )
        case Symptom.RESURRECTED:
            return (
                f"the answer came before the removal was on the disk: the name is back ({case.place})",
                "fsync the directory after a name is removed or renamed, before the answer",
            )
    return None


def _name_before_bytes(case: Case) -> tuple[str, str] | None:
    if not _by_power_loss(case) or case.symptom not in CUT_SHORT:
        return None
    return (
        f"the name was on the disk before the bytes: the file was not synced before it was renamed, or before the "
        f"answer ({case.place})",
        "fsync the file, not only its directory, before it is renamed to its name, and answer only then",
    )


def _by_power_loss(case: Case) -> bool:
    return case.finding.event in POWER_LOSSES and case.kept and case.where_stored and case.backing in DURABLE


def _wiped_at_start(case: Case) -> tuple[str, str] | None:
    starts = case.finding.event in NEW_PROCESS | NEW_CONTAINER and case.kept and case.reached
    durable = case.backing in DURABLE and case.where_stored
    wiped = case.directories - case.intact
    was_there = wiped and wiped <= {top_directory(name) for name in case.seen_before}
    if not (case.symptom is Symptom.MISSING and durable and starts and was_there):
        return None
    if case.intact and wiped != case.directories:
        return None
    what = f"everything in {_some(wiped)}" if case.intact else "what was in it"
    who = f"service {case.service}" if case.service else "the stack"
    return (
        f"{case.place} is the same one as before, but {what} is gone: something that runs when {who} starts "
        "removes or replaces its content",
        "look for `rm -rf`, `rsync --delete`, `mkfs` or an unguarded `cp` in the entrypoint and init scripts, "
        "and make them create only what is absent",
    )


def _answers_for_everything(case: Case) -> tuple[str, str] | None:
    blind = [path for path in case.finding.paths if case.shows_absence.get(path) is False]
    if case.symptom is not Symptom.MASKED or blind != list(case.finding.paths):
        return None
    return (
        f"{', '.join(blind)} answers 2xx for names that never existed, so a missing file looks served: "
        "a fallback page covers the files' location",
        "end the location of the files with `=404` instead of an index page (`try_files $uri =404;`)",
    )


def _not_served(case: Case) -> tuple[str, str] | None:
    if case.symptom is not Symptom.UNSERVED or case.where_stored or not case.statuses:
        return None
    besides = f" and {', '.join(case.serving)} serves them" if case.serving else ""
    what = f"the bytes are stored{besides}, but {', '.join(sorted(case.finding.paths))}"
    if case.statuses <= UPSTREAM_STATUSES:
        return (
            f"{what} does not reach the server behind it ({_codes(case)})",
            "let the proxy look up its upstream again and again instead of once at start (nginx: `resolver` and "
            "a variable in `proxy_pass`), and retry while it starts",
        )
    if case.statuses == {403}:
        return (
            f"{what} may not read them (403)",
            "give the server's user read permission on the files and search permission on their directories: "
            "compare mode and owner before and after the event",
        )
    if case.statuses <= {404, 410}:
        return (
            f"{what} looks somewhere else ({_codes(case)})",
            "compare the server's root or alias with its mounts: the volume may be missing there, or stand "
            "under another directory",
        )
    return None


def _codes(case: Case) -> str:
    return ", ".join(str(status) for status in sorted(s for s in case.statuses if s is not None))


def _some(directories: frozenset[str], most: int = 5) -> str:
    shown = [f"`{directory}`" for directory in sorted(directories)]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


# In order: what is certain from the configuration before what is inferred from the pattern of the loss.
RULES: dict[str, Rule] = {
    "other-volume": _other_volume,
    "tmpfs": _tmpfs,
    "mount-elsewhere": _mount_elsewhere,
    "no-volume": _no_volume,
    "anonymous-volume": _anonymous_volume,
    "volume-removed": _volume_removed,
    "project-volume": _project_volume,
    "incomplete-restore": _incomplete_restore,
    "restored-apart": _restored_apart,
    "merging-restore": _merging_restore,
    "acknowledged-too-early": _acknowledged_too_early,
    "never-synced": _never_synced,
    "name-before-bytes": _name_before_bytes,
    "wiped-at-start": _wiped_at_start,
    "answers-for-everything": _answers_for_everything,
    "not-served": _not_served,
}
