"""The HR stack's archives, without an engine: what a restore leaves, whatever it meets and wherever it is cut off."""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "compose-under-test/horilla/horilla"))
entry: Any = import_module("archive.entry")
moving: Any = import_module("archive.moving")
reading: Any = import_module("archive.reading")
restoring: Any = import_module("archive.restoring")
snapshot: Any = import_module("archive.snapshot")
writing: Any = import_module("archive.writing")

DUMP = b"a dump"
TOKEN = "1_1"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
Tree = dict[str, bytes | None]  # a file's content; None is a directory

NAMES = st.sampled_from(["a", "b", "a/c", "a/d", "a/c/e", "b/f", "g"])
TREES = st.dictionaries(NAMES, st.one_of(st.none(), st.sampled_from([b"", b"one", b"two"])), max_size=6)


class Cut(Exception):
    """The process ends here."""


def plant(root: Path, tree: Tree) -> None:
    """What of it does not fit, below a file for instance, is left out."""
    for name in sorted(tree):
        content = tree[name]
        with suppress(OSError):
            if content is None:
                (root / name).mkdir(parents=True, exist_ok=True)
            else:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)


def held(root: Path, *, times: bool = True) -> dict[str, Any]:
    found = {}
    for path, status in entry.walk(root):
        seen = entry.describe(root, path, status)
        content = (root / path).read_bytes() if seen.kind == "file" else None
        found[path] = (seen.kind, seen.mode, seen.mtime_ns if times else 0, content)
    return found


def files(root: Path) -> dict[str, Any]:
    return {path: seen for path, seen in held(root).items() if seen[0] == "file"}


def archive_of(root: Path) -> bytes:
    snapshot.link(root, TOKEN)
    output = io.BytesIO()
    try:
        writing.write_archive(
            snapshot.area(root, TOKEN), io.BytesIO(DUMP), output, dump_size=len(DUMP),
            dump_sha256=hashlib.sha256(DUMP).hexdigest(), about={"project": "p"},
        )  # fmt: skip
    finally:
        snapshot.unlink(root, TOKEN)
    return output.getvalue()


@contextmanager
def roots(old: Tree, new: Tree) -> Iterator[tuple[Path, bytes, dict[str, Any]]]:
    """A media root that holds `new`; an archive of `old`, and what a restore of it must leave."""
    # Durability is for machines that lose power: here it would only wait for the disk.
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as directory,
        patch.object(restoring, "sync", lambda path: None),
    ):
        first, second = Path(directory, "first"), Path(directory, "second")
        for root, tree in ((first, old), (second, new)):
            root.mkdir()
            plant(root, tree)
        yield second, archive_of(first), held(first)


@contextmanager
def cut_after(calls: int) -> Iterator[None]:
    """From the given number of changes on, nothing more is done."""
    left = [calls]

    def limited(real: Any) -> Any:
        def change(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Cut
            left[0] -= 1
            return real(*arguments, **options)

        return change

    with (
        patch.object(Path, "rename", limited(Path.rename)),
        patch.object(Path, "unlink", limited(Path.unlink)),
        patch.object(Path, "rmdir", limited(Path.rmdir)),
        patch.object(Path, "mkdir", limited(Path.mkdir)),
        patch("shutil.rmtree", limited(restoring.shutil.rmtree)),
        suppress(Cut),
    ):
        yield


@settings(max_examples=40, deadline=None)
@given(TREES)
def test_an_archive_is_made_without_a_trace_and_can_be_read_back(tree: Tree) -> None:
    with roots(tree, tree) as (root, _, _):
        before = held(root)
        archive = archive_of(root)
        assert held(root) == before
        manifest = reading.verify(io.BytesIO(archive))
        assert {file.path: file.size for file in manifest.files()} == {
            path: len(seen[3]) for path, seen in before.items() if seen[0] == "file"
        }


@settings(max_examples=40, deadline=None)
@given(TREES, TREES)
def test_a_restore_adds_first_and_is_exact_in_the_end(old: Tree, new: Tree) -> None:
    with roots(old, new) as (root, archive, wanted):
        before = files(root)
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        restoring.Restore(root, TOKEN).add()
        between = files(root)
        # Whichever database counts now, its files are there.
        assert before.items() <= between.items()
        assert all(
            path in between or not restoring.Restore(root, TOKEN)._is_free(path)
            for path, seen in wanted.items()
            if seen[0] == "file"
        )
        assert restoring.Restore(root, TOKEN).finish() == []
        assert held(root) == wanted
        assert restoring.tokens(root) == []


@settings(max_examples=40, deadline=None)
@given(TREES, TREES)
def test_a_restore_can_be_taken_back(old: Tree, new: Tree) -> None:
    with roots(old, new) as (root, archive, _):
        before, plain = files(root), held(root, times=False)
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        restoring.Restore(root, TOKEN).add()
        restoring.Restore(root, TOKEN).discard()
        assert (files(root), held(root, times=False)) == (before, plain)


@settings(max_examples=100, deadline=None)
@given(TREES, TREES, st.integers(0, 20), st.integers(0, 20))
def test_wherever_it_is_cut_off_the_next_run_ends_it(old: Tree, new: Tree, first: int, then: int) -> None:
    with roots(old, new) as (root, archive, wanted):
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        restoring.Restore(root, TOKEN).add()
        for calls in (first, then):
            with cut_after(calls):
                restoring.Restore(root, TOKEN).finish()
        restoring.Restore(root, TOKEN).finish()
        assert {path: seen[3] for path, seen in files(root).items()} == {
            path: seen[3] for path, seen in wanted.items() if seen[0] == "file"
        }
        assert restoring.tokens(root) == []


@settings(max_examples=100, deadline=None)
@given(TREES, TREES, st.integers(0, 20), st.integers(0, 20))
def test_wherever_adding_is_cut_off_it_can_be_taken_back(old: Tree, new: Tree, first: int, then: int) -> None:
    with roots(old, new) as (root, archive, _):
        before = files(root)
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        with cut_after(first):
            restoring.Restore(root, TOKEN).add()
        assert before.items() <= files(root).items()
        with cut_after(then):
            restoring.Restore(root, TOKEN).discard()
        restoring.Restore(root, TOKEN).discard()
        assert files(root) == before
        assert restoring.tokens(root) == []


def test_what_somebody_writes_after_a_cut_is_never_touched() -> None:
    """The application may be up again before anybody ends the restore."""
    old: Tree = {"kept": b"old", "changed": b"old", "both": b"same"}
    with roots(old, {"changed": b"new", "gone": b"x", "both": b"same"}) as (root, archive, _):
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        restoring.Restore(root, TOKEN).add()
        for name in ("changed", "gone"):
            (root / name).unlink()
            (root / name).write_bytes(b"uploaded since")
        (root / "later").write_bytes(b"uploaded since")
        assert restoring.Restore(root, TOKEN).finish() == ["changed"]
        assert {path: seen[3] for path, seen in files(root).items()} == {
            "kept": b"old", "both": b"same",
            "changed": b"uploaded since", "gone": b"uploaded since", "later": b"uploaded since",
        }  # fmt: skip


def test_nothing_is_written_through_a_link() -> None:
    with roots({"a/c": b"x"}, {}) as (root, archive, wanted):
        outside = root.parent / "outside"
        outside.mkdir()
        (root / "a").symlink_to(outside)
        restoring.Restore(root, TOKEN).stage(io.BytesIO(archive))
        restoring.Restore(root, TOKEN).add()
        assert list(outside.iterdir()) == []
        assert restoring.Restore(root, TOKEN).finish() == []
        assert (held(root), list(outside.iterdir())) == (wanted, [])


@settings(max_examples=40, deadline=None)
@given(TREES, st.data())
def test_no_damage_is_taken_for_an_archive(tree: Tree, data: st.DataObject) -> None:
    """A bit that no file and no row knows of may be any; all others are missed at once."""
    with roots(tree, {}) as (root, archive, _):
        good = reading.verify(io.BytesIO(archive))
        place = data.draw(st.integers(0, len(archive) - 1))
        flipped = bytearray(archive)
        flipped[place] ^= 1 << data.draw(st.integers(0, 7))
        cut = archive[:place]
        for wrong in (bytes(flipped), cut):
            with suppress(entry.ArchiveError):
                assert reading.verify(io.BytesIO(wrong)) == good
            with suppress(entry.ArchiveError):
                restoring.Restore(root, TOKEN).stage(io.BytesIO(wrong))
                restoring.Restore(root, TOKEN).discard()
            assert list(root.iterdir()) == []


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", ".restore-1/x", "a/.upload-1"])
def test_no_archive_leads_out_of_the_media(path: str) -> None:
    manifest = entry.Manifest(0, "", (entry.Entry(path, "file", 0o644, 0, 0, 0),), {})
    with pytest.raises(entry.ArchiveError):
        entry.Manifest.from_bytes(manifest.to_bytes())


def test_media_are_brought_whole_and_nothing_is_replaced(tmp_path: Path) -> None:
    import tarfile

    old, root = tmp_path / "old", tmp_path / "root"
    for directory in (old, root):
        directory.mkdir()
    plant(old, {"a/c": b"one", "g": b"two", ".upload-1": b"half"})
    os.link(old / "g", old / "h")
    plant(root, {"b": b"already"})
    (root / ".import-7").write_bytes(b"cut off")

    def stream() -> io.BytesIO:
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w") as tar:
            tar.add(old, ".")
        return io.BytesIO(output.getvalue())

    assert str(moving.compare(root, stream())) == "same=0 missing=3 different=0 other=0"
    assert moving.bring(root, stream()) == 3
    assert str(moving.compare(root, stream())) == "same=3 missing=0 different=0 other=0"
    assert {path: seen[3] for path, seen in files(root).items()} == {
        "a/c": b"one", "b": b"already", "g": b"two", "h": b"two",
    }  # fmt: skip
    assert not list(root.glob(".*"))
    (root / "g").write_bytes(b"other")
    assert moving.bring(root, stream()) == 0
    assert moving.compare(root, stream()).different == ["g"]
