"""Files below the media root, written so that what was acknowledged survives a power cut.

Everything here blocks and is called from worker threads.
"""

import fcntl
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from media.layout import UPLOAD_PREFIX, UPLOAD_SUFFIX, is_service_name, is_upload_leftover
from media.refusal import Refusal

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: `size` in bytes, `sha256` in hex, `created` false when an older file was replaced."""

    name: str
    size: int
    sha256: str
    created: bool


class MediaStore:
    """The media directory `root`, in which missing `standard` directories are made again."""

    def __init__(self, root: Path, standard: Sequence[str]) -> None:
        self.root = Path(os.path.realpath(root))
        self._standard = frozenset(standard)

    def resolve(self, segments: Sequence[str]) -> Path:
        """The path of `segments`, links resolved; Refusal 404 out of the root or for the service's own."""
        if any(is_service_name(segment) for segment in segments):
            raise Refusal(404, "no such file")
        path = Path(os.path.realpath(self.root.joinpath(*segments)))
        if path != self.root and self.root not in path.parents:
            raise Refusal(404, "no such file")
        return path

    @contextmanager
    def directory(self, segments: Sequence[str]) -> Iterator[int]:
        """A descriptor of an existing directory, or of a standard one made now; Refusal 404 otherwise."""
        path = self.resolve(segments)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            if len(segments) != 1 or segments[0] not in self._standard or os.path.lexists(path):
                raise Refusal(404, "no such directory") from error
            path.mkdir(DIRECTORY_MODE, exist_ok=True)
            _sync_path(self.root)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def delete(self, directory: Sequence[str], name: str) -> None:
        """Removes a file for good: the removal is on the disk when this returns. Refusal 404 without one."""
        with self.directory(directory) as parent:
            try:
                os.unlink(name, dir_fd=parent)
            except FileNotFoundError as error:
                raise Refusal(404, "no such file") from error
            os.fsync(parent)

    def exists(self, directory: Sequence[str], name: str) -> bool:
        """Whether anything has this name."""
        return os.path.lexists(self.resolve(directory) / name)

    def sweep(self) -> int:
        """Removes what interrupted uploads left, never what an upload still writes; returns how many."""
        removed = 0
        for parent, _, files in os.walk(self.root):
            for name in filter(is_upload_leftover, files):
                removed += _remove_abandoned(Path(parent, name))
        return removed


class Upload:
    """One file on its way into `directory`: a temporary file beside its final name until `commit`.

    The temporary file is locked while it is written, so that a sweep elsewhere leaves it alone.
    """

    def __init__(self, store: MediaStore, directory: Sequence[str], name: str, *, replace: bool) -> None:
        self._store = store
        self._directory = directory
        self._name = name
        self._replace = replace
        self._temporary = f"{UPLOAD_PREFIX}{secrets.token_hex(8)}{UPLOAD_SUFFIX}"
        self._digest = hashlib.sha256()
        self._size = 0
        self._descriptor: int | None = None
        # A cancelled request aborts while its last write may still be running in another thread.
        self._lock = threading.Lock()

    def write(self, content: bytes | bytearray) -> None:
        """Appends `content`."""
        with self._lock:
            if self._descriptor is None:
                with self._store.directory(self._directory) as parent:
                    self._open(parent)
            self._append(content)

    def commit(self, content: bytes | bytearray = b"") -> Stored:
        """Appends `content` and publishes the file under its name; when this returns it is on the disk.

        Refusal 409 when the name exists and is not to be replaced, or is a directory.
        """
        with self._lock, self._store.directory(self._directory) as parent:
            if self._descriptor is None:
                self._open(parent)
            self._append(content)
            assert self._descriptor is not None
            os.fsync(self._descriptor)
            created = self._publish(parent)
            os.fsync(parent)
            self._close()
        return Stored(self._name, self._size, self._digest.hexdigest(), created)

    def abort(self) -> None:
        """Removes the temporary file, if there is one; harmless after `commit`."""
        with self._lock:
            if self._descriptor is None:
                return
            self._close()
            with self._store.directory(self._directory) as parent:
                _unlink_if_there(self._temporary, parent)

    def _open(self, parent: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._temporary, flags, FILE_MODE, dir_fd=parent)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        os.fchmod(self._descriptor, FILE_MODE)

    def _append(self, content: bytes | bytearray) -> None:
        assert self._descriptor is not None
        self._digest.update(content)
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._size += len(content)

    def _publish(self, parent: int) -> bool:
        if self._replace:
            created = not _exists(self._name, parent)
            os.rename(self._temporary, self._name, src_dir_fd=parent, dst_dir_fd=parent)
            return created
        try:
            # Unlike a rename, a link never takes the place of a file that came in between.
            os.link(self._temporary, self._name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError as error:
            raise Refusal(409, "a file of that name exists") from error
        os.unlink(self._temporary, dir_fd=parent)
        return True

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unlink_if_there(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return


def _remove_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
