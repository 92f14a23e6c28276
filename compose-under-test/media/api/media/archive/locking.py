"""One restore at a time, and no backup during it, whichever container or project they run in."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media.archive.entry import ArchiveError

WAIT_SECONDS = 60.0


@contextmanager
def locked(root: Path, *, exclusive: bool, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds the volume's lock; ArchiveError when another holds it for longer than `wait` seconds."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + wait
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        while True:
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise ArchiveError("another backup or restore is at work on the volume") from error
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
