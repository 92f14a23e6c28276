"""Puts an archive's media in the place of those on the volume, around the moment at which the databases change places.

    .restore-TOKEN/new/             the archive's files, on the disk and checked, before anything else is touched
    .restore-TOKEN/manifest.jsonl   the archive's
    .restore-TOKEN/plan.json        what `add` found in the places that they take

Before that moment, `add` only adds: every file that the old rows refer to is still there. After it, `finish` replaces
what was there already and removes the rest. So whatever cuts a restore off, each row that counts has its file. What is
replaced, removed or taken back must be the file that the plan means, by inode and time: neither `finish` nor
`discard` touches what has come there since, and both may run again, also while the application does.
"""

import ctypes
import json
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

from archive.entry import ArchiveError, Entry, Manifest, describe, digest_of, walk
from archive.reading import ArchiveReader

PREFIX = ".restore-"
Identity = list[int]  # inode, mtime in ns, size: a list, as JSON gives it back


@dataclass(frozen=True, slots=True)
class Plan:
    """`present` are the files that the archive's replace, `extra` what it does not hold; `added` those of the archive
    that replace nothing, by the identity that they have on the volume; `directories` are those that were not there."""

    present: dict[str, Identity] = field(default_factory=dict)
    extra: dict[str, Identity] = field(default_factory=dict)
    added: dict[str, Identity] = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)


class Restore:
    """One restore into a media root."""

    def __init__(self, root: Path, token: str) -> None:
        self._root = root
        self._area = root / f"{PREFIX}{token}"
        self._new = self._area / "new"

    # Before the databases change places

    def stage(self, stream: IO[bytes]) -> Manifest:
        """Unpack an archive, out of sight; when this raises, nothing stays."""
        self._area.mkdir(mode=0o700)
        try:
            self._new.mkdir(mode=0o700)
            reader = ArchiveReader(stream)
            reader.dump()
            for entry, content in reader.media():
                self._unpack(reader, entry, content)
            reader.end()
            self._check_arrival(reader.manifest)
            (self._area / "manifest.jsonl").write_bytes(reader.manifest.to_bytes())
            sync(self._root)
        except BaseException:
            shutil.rmtree(self._area)
            raise
        return reader.manifest

    def add(self) -> int:
        """Put in their places those files for which nothing has to go; how many. Nobody may write meanwhile."""
        if not self._entries:
            raise ArchiveError("nothing is staged under this token")
        named = {entry.path: entry for entry in self._entries}
        plan = Plan(directories=[entry.path for entry in self._directories if self._is_free(entry.path)])
        for path, status in walk(self._root):
            fits = path in named and (named[path].kind == "directory") == stat.S_ISDIR(status.st_mode)
            (plan.present if fits else plan.extra)[path] = _identity(status)
        for path, entry in named.items():
            if entry.kind != "directory" and path not in plan.present:
                plan.added[path] = _identity(os.lstat(self._new / path))
        self._write(plan)
        added = [path for path in plan.added if self._is_free(path)]
        for path in added:
            self._make_parents(path)
            (self._new / path).rename(self._root / path)
        sync(self._root)
        return len(added)

    def discard(self) -> None:
        """Back to before `add`: what it put in its place goes again."""
        plan = self._plan()
        for path, identity in plan.added.items():
            self._remove_file(path, identity)
        for path in sorted(plan.directories, reverse=True):
            self._remove_directory(path)
        self._close()

    # After it

    def finish(self) -> list[str]:
        """The media are what the archive holds; returns the paths that somebody else has taken since."""
        plan = self._plan()
        for path in sorted(plan.extra, reverse=True):  # what is in a directory before the directory
            if not self._remove_file(path, plan.extra[path]):
                self._remove_directory(path)
        taken = [entry.path for entry in self._entries if not self._place(entry, plan)]
        for entry in reversed(self._directories):
            if self._is_directory(entry.path):
                _apply(self._root / entry.path, entry)
        self._close()
        for entry in self._directories:
            if entry.path == ".":
                _apply(self._root, entry)
        return taken

    def _place(self, entry: Entry, plan: Plan) -> bool:
        """Whether the archive's entry is in its place."""
        target, source = self._root / entry.path, self._new / entry.path
        if entry.kind == "directory":
            if self._is_free(entry.path):
                self._make_parents(entry.path)
                target.mkdir(mode=0o755)
            return self._is_directory(entry.path)
        if not os.path.lexists(source):
            return True  # `add` has put it there, or an earlier `finish`
        found = _identity_at(target)
        if not self._way_is_clear(entry.path) or (
            found is not None and found != plan.present.get(entry.path)
        ):
            return False
        self._make_parents(entry.path)
        source.rename(target)
        return True

    # Both

    @cached_property
    def _entries(self) -> list[Entry]:
        """The archive's; none of an area that is not whole."""
        try:
            return list(Manifest.from_bytes((self._area / "manifest.jsonl").read_bytes()).entries)
        except FileNotFoundError:
            return []

    @property
    def _directories(self) -> list[Entry]:
        return [entry for entry in self._entries if entry.kind == "directory"]

    def _unpack(self, reader: ArchiveReader, entry: Entry, content: IO[bytes] | None) -> None:
        path = self._new / entry.path
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if entry.kind == "directory":
            path.mkdir(mode=0o755, exist_ok=True)
            return
        if content is None:
            path.symlink_to(entry.target)
        else:
            with path.open("xb") as file:
                reader.copied(entry, content, file)
        _apply(path, entry)

    def _check_arrival(self, manifest: Manifest) -> None:
        for entry in manifest.entries:
            path = self._new / entry.path
            found = describe(self._new, entry.path, os.lstat(path))
            if found is None or (found.kind, found.target) != (entry.kind, entry.target):
                raise ArchiveError(f"{entry.path!r} did not arrive on the volume")
            if entry.kind == "file":
                with path.open("rb") as file:
                    if digest_of(file) != (entry.size, entry.sha256):
                        raise ArchiveError(f"{entry.path!r} did not arrive on the volume as it is")

    def _write(self, plan: Plan) -> None:
        """Whole, and on the disk before anything that it says is done."""
        file = self._area / "plan.json"
        file.with_suffix(".next").write_text(json.dumps(asdict(plan)))
        sync(self._root)
        file.with_suffix(".next").rename(file)
        sync(self._root)

    def _plan(self) -> Plan:
        """Where none was written, nothing was touched."""
        try:
            return Plan(**json.loads((self._area / "plan.json").read_text()))
        except FileNotFoundError:
            return Plan()

    def _is_directory(self, path: str) -> bool:
        place = self._root / path
        return self._way_is_clear(path) and place.is_dir() and not place.is_symlink()

    def _way_is_clear(self, path: str) -> bool:
        """Whether what is above it is directories, as far as it is there; never a link."""
        ways = [self._root / parent for parent in PurePosixPath(path).parents]
        return all(way.is_dir() and not way.is_symlink() for way in ways if os.path.lexists(way))

    def _is_free(self, path: str) -> bool:
        return self._way_is_clear(path) and not os.path.lexists(self._root / path)

    def _make_parents(self, path: str) -> None:
        """As the archive has them: the application must reach at once what is added."""
        named = {entry.path: entry for entry in self._directories}
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            place = self._root / parent
            if not place.exists():
                place.mkdir(mode=0o755)
                if entry := named.get(str(parent)):
                    _apply(place, entry)

    def _remove_file(self, path: str, identity: Identity) -> bool:
        place = self._root / path
        if self._is_directory(path) or not self._way_is_clear(path) or _identity_at(place) != identity:
            return False
        place.unlink()
        return True

    def _remove_directory(self, path: str) -> None:
        if path != "." and self._is_directory(path):
            with suppress(OSError):  # something has come there since
                (self._root / path).rmdir()

    def _close(self) -> None:
        self._entries  # noqa: B018 — cached before their manifest goes
        sync(self._root)
        before = self._root.stat()
        if self._area.exists():
            # The plan last: what is left without one touches nothing.
            shutil.rmtree(self._new, ignore_errors=True)
            shutil.rmtree(self._area)
        os.utime(self._root, ns=(before.st_atime_ns, before.st_mtime_ns))
        sync(self._root)


def tokens(root: Path) -> list[str]:
    """Of the restores that were begun and not ended."""
    return sorted(path.name.removeprefix(PREFIX) for path in root.glob(f"{PREFIX}*"))


def sync(path: Path) -> None:
    """Put on the disk everything that was written to the filesystem of `path`. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "syncfs failed", str(path))
    finally:
        os.close(descriptor)


def _apply(path: Path, entry: Entry) -> None:
    """Owner, mode and time; a changed owner would clear mode bits, so it comes first."""
    os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    if entry.kind != "symlink":
        path.chmod(entry.mode)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _identity(status: os.stat_result) -> Identity:
    return [status.st_ino, status.st_mtime_ns, status.st_size]


def _identity_at(path: Path) -> Identity | None:
    try:
        return _identity(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
