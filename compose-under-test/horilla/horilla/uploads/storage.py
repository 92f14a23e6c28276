"""Media on a disk: a file that was saved, or removed, is so after a power cut too."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

TEMPORARY_PREFIX = ".upload-"
# Of the 255 that a file system allows, the rest is for suffixes.
NAME_BYTES = 200


class DurableStorage(FileSystemStorage):
    """Files below MEDIA_ROOT under names that no other file had: nothing is ever overwritten."""

    def get_valid_name(self, name: str) -> str:
        """The client's name without what would not do in an address, and never a hidden file."""
        # The dash keeps the extension apart where nothing is left before it.
        stem, extension = os.path.splitext(super().get_valid_name(f"-{name.strip()}"))
        extension = _cut(extension, NAME_BYTES)
        stem = _cut(stem[1:].lstrip("."), NAME_BYTES - len(extension.encode()))
        return (stem or "upload") + extension

    def _save(self, name: str, content: File) -> str:
        """Writes and syncs a temporary file beside the final name, gives it the name, and syncs the directory."""
        directory = Path(self.path(name)).parent
        make_durably(directory)
        temporary = directory / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                # Whoever sweeps sees by the lock that it is still being written.
                fcntl.flock(file, fcntl.LOCK_EX)
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), self.file_permissions_mode or 0o644)
                os.fsync(file.fileno())
                name = self._named(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)
        sync(directory)
        return name

    def _named(self, temporary: Path, name: str) -> str:
        """Unlike a rename, a link never takes the place of a file that came in between."""
        while True:
            try:
                os.link(temporary, self.path(name))
            except FileExistsError:
                name = self.get_available_name(name)
            else:
                return name

    def delete(self, name: str) -> None:
        """Removes the file, if it is there, for good."""
        path = Path(self.path(name))
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            sync(path.parent)

    def sweep(self) -> int:
        """Removes what interrupted uploads left, never what is still being written; returns how many."""
        return sum(map(_remove_abandoned, Path(self.location).rglob(f"{TEMPORARY_PREFIX}*")))


def sync(directory: Path) -> None:
    """Until then a new name in `directory`, or the loss of one, is in memory only."""
    with _opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def make_durably(directory: Path) -> None:
    """Makes `directory` and what is missing above it, each on the disk before the next."""
    if directory.is_dir():
        return
    make_durably(directory.parent)
    directory.mkdir(mode=0o755, exist_ok=True)
    sync(directory.parent)


def _cut(text: str, size: int) -> str:
    """As much of `text` as `size` bytes hold."""
    return text.encode()[:size].decode(errors="ignore")


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _remove_abandoned(path: Path) -> bool:
    try:
        with _opened(path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True
