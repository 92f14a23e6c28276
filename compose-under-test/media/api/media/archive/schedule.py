"""Backups on a schedule, with retention: the Compose profile `backup`."""

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from media.archive.entry import ArchiveError, ChangedWhileRead
from media.archive.locking import locked
from media.archive.reading import verify
from media.archive.writing import write_archive

ATTEMPTS = 5
RETRY_SECONDS = 60.0
# How late a backup may be before the schedule counts as ill.
LATE = 1.5

_NAME = re.compile(r"media-backup-(\d{8}_\d{6})\.tar\.gz")


def archives(directory: Path) -> list[Path]:
    """The archives in `directory`, oldest first."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def newest_time(directory: Path) -> float | None:
    """When the newest archive was begun, in seconds since the epoch, by its name, which is in UTC."""
    names = [match[1] for path in archives(directory) if (match := _NAME.fullmatch(path.name))]
    return _seconds(names[-1]) if names else None


def make_archive(root: Path, directory: Path, standard: tuple[str, ...]) -> Path:
    """A new verified archive in `directory`, under its name only when it is whole and on the disk."""
    partial = directory / ".media-backup-scheduled.partial"
    for attempt in range(1, ATTEMPTS + 1):
        partial.unlink(missing_ok=True)
        try:
            with partial.open("xb") as output:
                os.fchmod(output.fileno(), 0o600)
                with locked(root, exclusive=False):
                    written = write_archive(root, output)
                output.flush()
                os.fsync(output.fileno())
            with partial.open("rb") as stream:
                read, sha256 = verify(stream, standard)
            if read != written:
                raise ArchiveError("the archive read back differs from what was written")
            return _publish(partial, directory, sha256)
        except ChangedWhileRead:
            if attempt == ATTEMPTS:
                raise
        finally:
            partial.unlink(missing_ok=True)
    raise AssertionError("unreachable")


def retain(directory: Path, keep: int) -> list[Path]:
    """Removes all but the newest `keep` archives; returns what was removed."""
    old = archives(directory)[:-keep]
    for path in old:
        _mark(path).unlink(missing_ok=True)
        path.unlink()
    return old


def run(
    root: Path,
    directory: Path,
    standard: tuple[str, ...],
    *,
    every: float,
    keep: int,
    wait: Callable[[float], bool],
    log: Callable[[str], None],
) -> None:
    """Makes archives until `wait(seconds)` says true; one at once if none is younger than `every` seconds."""
    while True:
        newest = newest_time(directory)
        due = 0.0 if newest is None else newest + every - time.time()
        if wait(max(0.0, min(due, every))):
            return
        try:
            log(f"wrote {make_archive(root, directory, standard).name}")
            for path in retain(directory, keep):
                log(f"removed {path.name}")
        except (ArchiveError, OSError) as error:
            log(f"ERROR: no backup: {error}")
            if wait(min(RETRY_SECONDS, every)):
                return


def on_time(directory: Path, every: float) -> bool:
    """Whether the newest archive is as young as the schedule promises."""
    newest = newest_time(directory)
    return newest is not None and time.time() - newest < every * LATE + RETRY_SECONDS


def _publish(partial: Path, directory: Path, sha256: str) -> Path:
    owner = directory.stat()
    os.chown(partial, owner.st_uid, owner.st_gid)
    while True:
        path = directory / f"media-backup-{datetime.now(UTC):%Y%m%d_%H%M%S}.tar.gz"
        try:
            os.link(partial, path)
            break
        except FileExistsError:
            time.sleep(0.1)
    mark = _mark(path)
    mark.write_text(f"{sha256}  {path.name}\n", encoding="ascii")
    os.chmod(mark, 0o600)
    os.chown(mark, owner.st_uid, owner.st_gid)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _seconds(name: str) -> float:
    return datetime.strptime(name, "%Y%m%d_%H%M%S").replace(tzinfo=UTC).timestamp()
