"""Trees and files out of the engine's archive streams, hashed as they pass.

The engine's archives differ from a plain tar file in ways that matter here: a file that cannot be
opened is left out without a word, an error in the middle ends the stream early, sockets are left
out, and every further name of a file with several is an entry that only refers to the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, MutableMapping

from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.paths.members import BrokenArchive, Member, Stream, content, members
from persistence_tests.paths.tree import Tree, mode_text, owner_text

_KINDS = {b"1": NodeKind.FILE, b"2": NodeKind.SYMLINK, b"5": NodeKind.DIRECTORY}
_HARD_LINK = b"1"


def read_tree(chunks: Iterable[bytes], files: MutableMapping[str, Observation] | None = None) -> Tree:
    """The tree that an archive of "<directory>/." holds; its first entry is the directory itself.

    Files are put into `files`. Raises BrokenArchive where the stream is not a whole archive. Memory grows with the
    number of names, not with their content.
    """
    stream, tree = Stream(chunks), Tree({} if files is None else files)
    names_of: dict[str, list[str]] = {}
    for member in members(stream):
        _add(tree, stream, member, names_of)
    tree.share(names_of.values())
    return tree


def _add(tree: Tree, stream: Stream, member: Member, names_of: dict[str, list[str]]) -> None:
    digest = hashlib.sha256()
    for piece in content(stream, member):
        digest.update(piece)
    name = _relative(member.name)
    if not name:
        return
    mode, owner = mode_text(member.mode), owner_text(member.uid, member.gid)
    kind = NodeKind.FILE if member.is_file else _KINDS.get(member.kind, NodeKind.OTHER)
    if kind is NodeKind.DIRECTORY:
        tree.directories[name] = Observation(kind, mode=mode, owner=owner)
    elif member.kind == _HARD_LINK:
        first = _relative(member.link)
        if first not in tree.files:
            raise BrokenArchive(f"{name!r} refers to {member.link!r}, which is not there")
        tree.files[name] = tree.files[first]
        names_of.setdefault(first, [first]).append(name)
    elif kind is NodeKind.FILE:
        tree.files[name] = Observation(kind, member.size, digest.hexdigest(), mode, owner)
    else:
        target = member.link if kind is NodeKind.SYMLINK else None
        tree.files[name] = Observation(kind, mode=mode, owner=owner, target=target)


def _relative(name: str) -> str:
    return name.removeprefix("./").rstrip("/") if name != "." else ""


def read_member(chunks: Iterable[bytes], name: str, limit: int) -> bytes:
    """The first `limit` bytes of a regular file of an archive; empty where there is none of that name."""
    stream = Stream(chunks)
    try:
        for member in members(stream):
            if _relative(member.name) == name and member.is_file:
                return b"".join(stream.pieces(min(limit, member.size)))
            for _ in content(stream, member):
                pass
    except BrokenArchive:
        pass
    return b""
