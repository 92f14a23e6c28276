"""Writes an archive of the media root while the stack goes on using it.

Uploads appear by rename, so a file that is open here is one whole version. What is written in place, by
`docker exec` for instance, is caught by looking at the file again after it was read.
"""

import gzip
import hashlib
import io
import os
import tarfile
import time
import zlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

from media.archive.entry import ChangedWhileRead, Entry, Summary
from media.archive.tree import describe, kind_of, walk

# Media is mostly compressed already.
COMPRESSION = 1
MEMBER_BYTES = 1 << 20
SAMPLES, SAMPLE_BYTES = 4, 4096
# A file written this short before it was read may still be being written.
FRESH_SECONDS = 1.0
# A file that is being written changes again within this time.
QUIET_SECONDS = 0.25

_Identity = tuple[int, int]
_Version = tuple[int, int]


def write_archive(root: Path, output: IO[bytes]) -> Summary:
    """Writes the gzipped tar archive of `root` to `output`, and says what it holds.

    Raises ChangedWhileRead when a file was being written or moved; `output` then holds nothing of use.
    """
    compressed = _Compressed(output)
    entries = _Writer(root, compressed).write()
    compressed.close()
    return Summary.of(entries)


class _Compressed:
    """What is written to it, as gzip members of a megabyte; those that would hardly become smaller are stored.

    To find out of all of a picture that it cannot be compressed takes twenty times as long as to store it.
    """

    def __init__(self, output: IO[bytes]) -> None:
        self._output = output
        self._waiting = bytearray()

    def write(self, content: bytes) -> int:
        """Takes all of `content`."""
        self._waiting += content
        while len(self._waiting) >= MEMBER_BYTES:
            self._put(bytes(self._waiting[:MEMBER_BYTES]))
            del self._waiting[:MEMBER_BYTES]
        return len(content)

    def close(self) -> None:
        """Writes the rest; `output` stays open."""
        self._put(bytes(self._waiting))
        self._waiting.clear()

    def _put(self, member: bytes) -> None:
        level = COMPRESSION if _becomes_smaller(member) else 0
        self._output.write(gzip.compress(member, level, mtime=0))


def _becomes_smaller(content: bytes) -> bool:
    """Whether pieces from all over `content` do, by more than a twentieth."""
    pieces = range(0, len(content), max(SAMPLE_BYTES, len(content) // SAMPLES))
    sample = b"".join(content[place : place + SAMPLE_BYTES] for place in pieces)
    return len(zlib.compress(sample, COMPRESSION)) < len(sample) * 0.95


class _Writer:
    def __init__(self, root: Path, output: _Compressed) -> None:
        self._root = root
        self._tar = tarfile.open(  # noqa: SIM115
            fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
        )
        self._entries: list[Entry] = []
        self._archived: dict[_Identity, str] = {}
        self._fresh: dict[str, tuple[_Identity, _Version]] = {}

    def write(self) -> list[Entry]:
        before = {_identity(status) for path, status in walk(self._root) if kind_of(status) == "file"}
        with closing(self._tar):
            for path, status in walk(self._root):
                self._add(path, status)
        if self._fresh:
            time.sleep(QUIET_SECONDS)
        self._check_again(before)
        return self._entries

    def _add(self, path: str, status: os.stat_result) -> None:
        kind = kind_of(status)
        if kind is None:
            return
        try:
            if kind == "file":
                self._add_file(path)
            else:
                self._put(describe(self._root, path, status, kind))
        except FileNotFoundError:
            return

    def _add_file(self, path: str) -> None:
        descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with io.FileIO(descriptor) as file:
            status = os.fstat(descriptor)
            identity = _identity(status)
            entry = describe(self._root, path, status, "file")
            if first := self._archived.get(identity):
                link = Entry(path, "hardlink", entry.mode, entry.uid, entry.gid, entry.mtime_ns, target=first)
                self._put(link)
                return
            if time.time() - status.st_mtime < FRESH_SECONDS:
                self._fresh[path] = identity, _version(status)
            content = _Digesting(file)
            info = _header(entry)
            try:
                self._tar.addfile(info, content)
            except OSError as error:
                # What tarfile raises for a file that has become shorter has no number.
                if error.errno is not None:
                    raise
                raise ChangedWhileRead(f"{path!r} became shorter while it was read") from error
            if _version(os.fstat(descriptor)) != _version(status):
                raise ChangedWhileRead(f"{path!r} was written while it was read")
        self._archived[identity] = path
        self._entries.append(replace(entry, sha256=content.digest.hexdigest()))

    def _put(self, entry: Entry) -> None:
        self._tar.addfile(_header(entry))
        self._entries.append(entry)

    def _check_again(self, before: set[_Identity]) -> None:
        for path, status in walk(self._root):
            identity = _identity(status)
            if identity in before and identity not in self._archived and kind_of(status) == "file":
                raise ChangedWhileRead(f"{path!r} was moved while the archive was written")
            fresh = self._fresh.get(path)
            if fresh is not None and fresh[0] == identity and fresh[1] != _version(status):
                raise ChangedWhileRead(f"{path!r} was still being written when it was read")


class _Digesting:
    """Reads a file and digests what it reads."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _header(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path)
    info.type = {
        "file": tarfile.REGTYPE,
        "directory": tarfile.DIRTYPE,
        "symlink": tarfile.SYMTYPE,
        "hardlink": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }[entry.kind]
    info.mode, info.uid, info.gid, info.size = entry.mode, entry.uid, entry.gid, entry.size
    info.linkname = entry.target
    info.mtime = entry.mtime_ns // 1_000_000_000
    seconds, nanoseconds = divmod(entry.mtime_ns, 1_000_000_000)
    info.pax_headers = {"mtime": f"{seconds}.{nanoseconds:09d}"} if nanoseconds else {}
    for name, value in entry.xattrs.items():
        info.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return info


def _identity(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _version(status: os.stat_result) -> _Version:
    return status.st_size, status.st_mtime_ns
