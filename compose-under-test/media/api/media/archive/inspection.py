"""What the volume holds, as `backup-media.sh check` reports it."""

import os
import pwd
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from media.archive.tree import kind_of, walk
from media.layout import RESTORE_DIRECTORY

OK = 0
DIRECTORIES = 4
LITTLE_SPACE = 5
UNFINISHED_RESTORE = 7


def inspect(root: Path, standard: Sequence[str], user: str, min_free: int) -> tuple[list[str], int]:
    """Lines `name: value`, and the exit code of the gravest thing found. `min_free` is in bytes."""
    files = directories = 0
    # By inode: hard links share their bytes.
    sizes: dict[int, int] = {}
    for path, status in walk(root):
        kind = kind_of(status)
        files += kind == "file"
        directories += kind == "directory" and path != "."
        if kind == "file":
            sizes[status.st_ino] = status.st_size
    free = shutil.disk_usage(root).free
    missing = [name for name in standard if not (root / name).is_dir()]
    unwritable = [
        name for name in (".", *standard) if (root / name).is_dir() and not _writable(root / name, user)
    ]
    unfinished = os.path.lexists(root / RESTORE_DIRECTORY)
    lines = [
        f"files: {files}",
        f"directories: {directories}",
        f"bytes: {sum(sizes.values())}",
        f"free bytes: {free}",
        f"missing directories: {' '.join(missing) or 'none'}",
        f"not writable for {user}: {' '.join(unwritable) or 'none'}",
        f"interrupted restore: {'yes' if unfinished else 'no'}",
    ]
    if unfinished:
        return lines, UNFINISHED_RESTORE
    if missing or unwritable:
        return lines, DIRECTORIES
    return lines, LITTLE_SPACE if free < min_free else OK


def _writable(directory: Path, user: str) -> bool:
    status = directory.stat()
    account = pwd.getpwnam(user)
    if status.st_uid == account.pw_uid:
        needed = stat.S_IWUSR | stat.S_IXUSR
    elif status.st_gid == account.pw_gid:
        needed = stat.S_IWGRP | stat.S_IXGRP
    else:
        needed = stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & needed == needed
