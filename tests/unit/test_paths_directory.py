"""A tree that is read where it lies, against what it was made of."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.paths.directory import DEEPEST, read_directory
from persistence_tests.paths.tree import Tree
from tests.unit.test_paths_listings import files


def tree_of(root: Path) -> Tree:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return read_directory(descriptor)
    finally:
        os.close(descriptor)


@settings(deadline=None, max_examples=50)
@given(files)
def test_a_directory_reads_as_what_is_in_it(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, content in contents.items():
            file = Path(place, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod(0o640)
        tree = tree_of(Path(place))

    owner = f"{os.getuid()}:{os.getgid()}"
    assert tree.files == {
        name: Observation(NodeKind.FILE, len(content), hashlib.sha256(content).hexdigest(), "0640", owner)
        for name, content in contents.items()
    }
    above = {name.rsplit("/", depth)[0] for name in contents for depth in range(1, name.count("/") + 1)}
    assert set(tree.directories) == above
    assert tree.observations(["never/there"])["never/there"] == ABSENT


def test_content_of_several_chunks_is_read_to_its_end(tmp_path: Path) -> None:
    content = os.urandom((1 << 21) + 1)
    (tmp_path / "large").write_bytes(content)
    assert tree_of(tmp_path).files["large"].sha256 == hashlib.sha256(content).hexdigest()


def test_links_and_other_nodes_are_seen_and_none_is_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"not of this tree")
    (inside / "file").write_bytes(b"x")
    os.link(inside / "file", inside / "a-hard-link")
    os.link(inside / "file", outside / "another")
    os.link(outside / "secret", inside / "alone-here")
    (inside / "out").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(inside / "socket"))
        tree = tree_of(inside)

    assert set(tree.files) == {"file", "a-hard-link", "alone-here", "out", "pipe"} and not tree.directories
    assert (tree.files["out"].kind, tree.files["out"].target) == (NodeKind.SYMLINK, str(outside))
    assert tree.files["pipe"].kind is NodeKind.OTHER
    shared = {name: seen.shared for name, seen in tree.files.items() if seen.kind is NodeKind.FILE}
    assert shared == {"file": "a-hard-link", "a-hard-link": "a-hard-link", "alone-here": None}


def test_what_is_too_deep_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(DEEPEST + 1):
        deep /= "d"
    deep.mkdir(parents=True)
    with pytest.raises(OSError, match="too long"):
        tree_of(tmp_path)
    deep.rmdir()
    assert len(tree_of(tmp_path).directories) == DEEPEST
