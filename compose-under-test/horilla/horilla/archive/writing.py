"""Writes an archive, a plain tar that any tar can list and take single files from:

manifest.jsonl      what follows, with digests
database.dump       pg_dump's custom format
media/…             every file, directory and symbolic link
complete            the manifest's digest: what comes last, so that nothing that was cut off has it
"""

import hashlib
import io
import os
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import IO

from archive.entry import PIECE, ArchiveError, ChangedWhileRead, Entry, Manifest, describe, digest_of, walk

MANIFEST, DUMP, MEDIA, COMPLETE = "manifest.jsonl", "database.dump", "media", "complete"


def write_archive(
    root: Path, dump: IO[bytes], output: IO[bytes], *, dump_size: int, dump_sha256: str, about: dict[str, str]
) -> Manifest:
    """Write the archive of the media below `root` (a snapshot) and of the dump, which is read from a stream.

    Raises ChangedWhileRead where a file was written to, ArchiveError where the dump is not what was said of it.
    """
    manifest = Manifest(dump_size, dump_sha256, _entries(root), about)
    content = manifest.to_bytes()
    archive = tarfile.open(  # noqa: SIM115
        fileobj=output, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape"
    )
    with closing(archive):
        _add(archive, MANIFEST, content)
        _stream(archive, _member(DUMP, dump_size), dump, dump_sha256, "the dump of the database")
        for entry in manifest.entries:
            info = _member(f"{MEDIA}/{entry.path}" if entry.path != "." else MEDIA, entry.size)
            info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
            info.mtime = entry.mtime_ns // 1_000_000_000
            if entry.kind == "file":
                with _opened(root / entry.path) as file:
                    _stream(archive, info, file, entry.sha256, entry.path)
                continue
            info.type = tarfile.DIRTYPE if entry.kind == "directory" else tarfile.SYMTYPE
            info.linkname = entry.target
            archive.addfile(info)
        _add(archive, COMPLETE, hashlib.sha256(content).hexdigest().encode() + b"\n")
    return manifest


def _entries(root: Path) -> tuple[Entry, ...]:
    entries = []
    for path, status in walk(root):
        entry = describe(root, path, status)
        if entry is None:
            continue
        if entry.kind == "file":
            with _opened(root / path) as file:
                size, sha256 = digest_of(file)
            entry = replace(entry, size=size, sha256=sha256)
        entries.append(entry)
    return tuple(entries)


def _stream(archive: tarfile.TarFile, info: tarfile.TarInfo, file: IO[bytes], sha256: str, what: str) -> None:
    content = _Digesting(file)
    try:
        archive.addfile(info, content)
    except OSError as error:
        if error.errno is not None:  # what tarfile raises for a file that has become shorter has no number
            raise
        raise ChangedWhileRead(f"{what} became shorter while it was read") from error
    if content.digest.hexdigest() != sha256:
        raise ChangedWhileRead(f"{what} was written while it was read")
    if file.read(1):
        raise ChangedWhileRead(f"{what} became longer while it was read")


class _Digesting:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_member(name, len(content)), io.BytesIO(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    return info


def _opened(path: Path) -> IO[bytes]:
    try:
        return io.BufferedReader(io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)), PIECE)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror}") from error
