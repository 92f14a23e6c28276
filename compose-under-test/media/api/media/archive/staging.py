"""Unpacks an archive beside the media, where nobody sees it, and proves that it arrived.

Below the root, while a restore is under way:

    .media-restore/state.json   the phase, see `State`
    .media-restore/new/         what the archive holds; its own mode and owner are the root's to be
    .media-restore/old/         what was there, entry by entry, while the two change places
"""

import ctypes
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from media.archive.entry import ArchiveError, Entry, Summary, without_times
from media.archive.reading import ArchiveReader, digested
from media.archive.tree import describe, kind_of, walk
from media.layout import RESTORE_DIRECTORY

Phase = Literal["staging", "staged", "swapping", "done"]


@dataclass(frozen=True, slots=True)
class Place:
    """A top-level name that changes places: whether it `was` there before and `comes` from the archive."""

    name: str
    was: bool
    comes: bool


@dataclass(frozen=True, slots=True)
class State:
    """How far a restore is. Only between `swapping` and `done` is anything of the media out of its place."""

    phase: Phase
    token: str
    places: tuple[Place, ...] = ()
    root: tuple[int, int, int, int] = field(default=(0, 0, 0, 0))
    """Mode, owner, group and mtime in ns that the root had before."""


class RestoreArea:
    """The `.media-restore` directory of one media root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / RESTORE_DIRECTORY
        self.new = self.path / "new"
        self.old = self.path / "old"
        self._state = self.path / "state.json"

    def state(self) -> State | None:
        """None when no restore is under way, or one that had not begun to write its state."""
        try:
            document = json.loads(self._state.read_text(encoding="ascii"))
        except FileNotFoundError:
            return None
        places = tuple(Place(**place) for place in document["places"])
        return State(document["phase"], document["token"], places, tuple(document["root"]))

    def enter(self, state: State) -> None:
        """Writes the state so that it is on the disk, and all before it, when this returns."""
        sync_filesystem(self.root)
        temporary = self._state.with_suffix(".next")
        with temporary.open("w", encoding="ascii") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
            _own(temporary, self.root)
        temporary.rename(self._state)
        sync_filesystem(self.root)

    def remove(self) -> None:
        """Removes the area; an interruption leaves one that is removed the next time."""
        if self.path.exists():
            before = self.root.stat()
            shutil.rmtree(self.new, ignore_errors=True)
            shutil.rmtree(self.old, ignore_errors=True)
            shutil.rmtree(self.path)
            os.utime(self.root, ns=(before.st_atime_ns, before.st_mtime_ns))
            sync_filesystem(self.root)


def stage(root: Path, stream: IO[bytes]) -> tuple[str, Summary]:
    """Unpacks the archive in `stream`; returns the token for the swap, and what was unpacked.

    The caller holds the lock and has recovered from an earlier restore.
    When this raises, nothing stays behind.
    """
    area = RestoreArea(root)
    token = secrets.token_hex(8)
    area.path.mkdir(mode=0o700)
    try:
        # The API recovers from a restore that was cut off when it starts, and is not root.
        _own(area.path, root)
        area.enter(State("staging", token))
        for directory in (area.new, area.old):
            directory.mkdir(mode=0o700)
            _own(directory, root)
        shutil.copystat(root, area.new)
        expected = _unpack(area.new, ArchiveReader(stream))
        _check_arrival(area.new, expected)
        area.enter(State("staged", token))
    except BaseException:
        area.remove()
        raise
    return token, Summary.of(expected)


def _own(path: Path, root: Path) -> None:
    """Gives `path` to whom the media root belongs."""
    status = root.stat()
    os.chown(path, status.st_uid, status.st_gid)


def _unpack(target: Path, reader: ArchiveReader) -> list[Entry]:
    entries: list[Entry] = []
    for entry, content in reader.entries():
        path = target / entry.path
        # An archive need not name the directories that its files are in.
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        match entry.kind:
            case "directory":
                path.mkdir(mode=0o700, exist_ok=True)
            case "symlink":
                path.symlink_to(entry.target)
            case "hardlink":
                os.link(target / entry.target, path, follow_symlinks=False)
            case "fifo":
                os.mkfifo(path, 0o600)
            case "file":
                assert content is not None
                with path.open("xb") as file:
                    entry = digested(entry, content, file)
        if entry.kind not in ("directory", "hardlink"):
            apply_metadata(path, entry)
        entries.append(entry)
    for entry in reversed(entries):
        if entry.kind == "directory":
            apply_metadata(target / entry.path, entry)
    return entries


def apply_metadata(path: Path, entry: Entry) -> None:
    """Gives `path` the owner, mode, attributes and time of `entry`; a changed owner would clear mode bits."""
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        os.chmod(path, entry.mode)
        for name, value in entry.xattrs.items():
            os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _check_arrival(target: Path, expected: list[Entry]) -> None:
    """Compares what is on the disk with the archive, apart from directories that it does not name."""
    named = {entry.path: entry for entry in expected}
    found: list[Entry] = []
    for path, status in walk(target):
        kind = kind_of(status)
        if path not in named or kind is None:
            continue
        entry = describe(target, path, status, kind)
        if named[path].kind == "hardlink":
            if not os.path.samefile(target / path, target / named[path].target):
                raise ArchiveError(f"{path!r} is no longer a link to {named[path].target!r}")
            entry = named[path]
        elif kind == "file":
            with (target / path).open("rb") as file:
                entry = digested(entry, file)
        found.append(entry)
    if Summary.of(without_times(found)) != Summary.of(without_times(expected)):
        raise ArchiveError("what was unpacked differs from the archive: the volume cannot hold it exactly")


def sync_filesystem(path: Path) -> None:
    """Puts everything that was written to the filesystem of `path` on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(path))
    finally:
        os.close(descriptor)
