"""The tree below an open directory, hashed in this very process: what an archive of it would hold."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import MutableMapping

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.tree import Tree, mode_text, owner_text

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENTER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_CHUNK = 1 << 20
DEEPEST = 100
"""Levels of directories: each takes two descriptors of a process that often has no more than 1024."""


def read_directory(descriptor: int, files: MutableMapping[str, Observation] | None = None) -> Tree:
    """The tree below an open directory; no symbolic link is followed.

    Files are put into `files`. As in the engine's archives, sockets are left out, and so is what is gone again before
    it is read. Raises OSError for whatever else cannot be read.
    """
    tree = Tree({} if files is None else files)
    _Walk(tree).enter(descriptor, "")
    return tree


class _Walk:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._buffer = memoryview(bytearray(_CHUNK))
        self._names_of: dict[tuple[int, int], list[str]] = {}

    def enter(self, directory: int, above: str) -> None:
        if above.count("/") > DEEPEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), above)
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    self._add(entry, directory, above + entry.name)
                except FileNotFoundError:
                    continue
        if not above:
            self._tree.share(self._names_of.values())

    def _add(self, entry: os.DirEntry[str], directory: int, name: str) -> None:
        if entry.is_file(follow_symlinks=False):
            self._add_file(entry.name, directory, name)
        elif entry.is_dir(follow_symlinks=False):
            inner = os.open(entry.name, _ENTER, dir_fd=directory)
            try:
                found = os.fstat(inner)
                self._tree.directories[name] = _node(NodeKind.DIRECTORY, found)
                self.enter(inner, f"{name}/")
            finally:
                os.close(inner)
        elif entry.is_symlink():
            found = entry.stat(follow_symlinks=False)
            target = os.readlink(entry.name, dir_fd=directory)
            self._tree.files[name] = _node(NodeKind.SYMLINK, found, target)
        elif not stat.S_ISSOCK((found := entry.stat(follow_symlinks=False)).st_mode):
            self._tree.files[name] = _node(NodeKind.OTHER, found)

    def _add_file(self, entry: str, directory: int, name: str) -> None:
        file = os.open(entry, _READ, dir_fd=directory)
        try:
            found = os.fstat(file)
            size, digest = self._read(file)
        finally:
            os.close(file)
        self._tree.files[name] = Observation(
            NodeKind.FILE, size, digest, mode_text(found.st_mode), owner_text(found.st_uid, found.st_gid)
        )
        if found.st_nlink > 1:
            self._names_of.setdefault((found.st_dev, found.st_ino), []).append(name)

    def _read(self, file: int) -> tuple[int, str]:
        """To the very end: after a part that was read, only the next read says that the rest cannot be."""
        size, digest = 0, hashlib.sha256()
        while length := os.readv(file, [self._buffer]):
            size += length
            digest.update(self._buffer[:length])
        return size, digest.hexdigest()


def _node(kind: NodeKind, found: os.stat_result, target: str | None = None) -> Observation:
    return Observation(
        kind, mode=mode_text(found.st_mode), owner=owner_text(found.st_uid, found.st_gid), target=target
    )
