"""What reads a stream of an archive or of a listing: all of it, or an error."""

from __future__ import annotations

import hashlib
import io
import os
import string
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.model.observation import ABSENT, NodeKind
from persistence_tests.paths.archive import read_member, read_tree
from persistence_tests.paths.attributes import parse_attributes
from persistence_tests.paths.frames import escaped
from persistence_tests.paths.listing import SCRIPT, BrokenListing, ToolsMissing, parse_listing
from persistence_tests.paths.members import BrokenArchive

# The machine may be busy: how long an example takes says nothing.
examples = settings(deadline=None, max_examples=50)

part = st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.replace(b"/", b"-").replace(b"\0", b"_").decode(errors="surrogateescape")
)
names = st.lists(part.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map("/".join)
files = st.dictionaries(names, st.binary(max_size=2000), max_size=8).map(
    lambda found: {n: c for n, c in found.items() if not any(o.startswith(f"{n}/") for o in found)}
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive_of(contents: dict[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive as the engine makes one of "directory/."."""
    raw = io.BytesIO()
    with tarfile.open(
        fileobj=raw, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        root = tarfile.TarInfo("./")
        root.type = tarfile.DIRTYPE
        archive.addfile(root)
        for name, content in contents.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode, member.uid, member.gid = len(content), 0o100640, 12, 34
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in pieces of `sizes`, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        pieces.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


@examples
@given(
    files,
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
def test_an_archive_reads_as_what_it_was_made_of(
    contents: dict[str, bytes], tar_format: int, sizes: list[int]
) -> None:
    tree = read_tree(cut(archive_of(contents, tar_format), sizes))

    assert {name: (seen.size, seen.sha256) for name, seen in tree.files.items()} == {
        name: (len(content), sha256(content)) for name, content in contents.items()
    }
    assert all(
        (seen.kind, seen.mode, seen.owner) == (NodeKind.FILE, "0640", "12:34") for seen in tree.files.values()
    )
    assert tree.observations(["never/there"])["never/there"] == ABSENT


@examples
@given(files, st.data())
def test_an_archive_that_ends_early_is_never_taken_for_a_whole_one(
    contents: dict[str, bytes], data: st.DataObject
) -> None:
    whole = archive_of(contents)
    # The engine's own archives end with two empty blocks; tarfile fills up to 20 blocks.
    end = len(whole.rstrip(b"\0")) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
    length = data.draw(st.integers(0, end + tarfile.BLOCKSIZE - 1 if contents else tarfile.BLOCKSIZE))
    with pytest.raises(BrokenArchive):
        read_tree([whole[:length]])


def test_links_directories_and_other_nodes_of_an_archive() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, kind_of, linked in (
            (".", tarfile.DIRTYPE, ""), ("./d/", tarfile.DIRTYPE, ""), ("./d/f", tarfile.REGTYPE, ""),
            ("./hard", tarfile.LNKTYPE, "./d/f"), ("./soft", tarfile.SYMTYPE, "d/f"),
            ("./pipe", tarfile.FIFOTYPE, ""),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind_of, linked, 0o4755
            archive.addfile(member)
    tree = read_tree([raw.getvalue()])

    assert set(tree.directories) == {"d"} and set(tree.files) == {"d/f", "hard", "soft", "pipe"}
    assert tree.files["hard"] == tree.files["d/f"]
    assert [tree.files[name].kind for name in ("soft", "pipe")] == [NodeKind.SYMLINK, NodeKind.OTHER]
    assert tree.files["soft"].sha256 is None and tree.files["d/f"].mode == "4755"
    assert (tree.files["soft"].target, tree.files["hard"].shared, tree.files["pipe"].shared) == (
        "d/f", "d/f", None,
    )  # fmt: skip
    assert tree.observations(["d"])["d"].kind is NodeKind.DIRECTORY


def test_the_first_of_the_names_of_a_file_is_so_in_every_listing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a-b", "a/c"):
        (tmp_path / name).write_text(name)
        for other in ("z", "a/z"):
            (tmp_path / f"{other}-of-{name[-1]}").hardlink_to(tmp_path / name)
    (tmp_path / "soft").symlink_to("a/\n c")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.add(tmp_path, ".")
    listing = parse_listing(*listed(tmp_path))
    assert read_tree([raw.getvalue()]).files == listing.files
    shared = {name: seen.shared for name, seen in listing.files.items()}
    assert shared == {
        "a-b": "a-b", "z-of-b": "a-b", "a/z-of-b": "a-b",
        "a/c": "a/c", "z-of-c": "a/c", "a/z-of-c": "a/c",
        "soft": None,
    }  # fmt: skip
    assert listing.files["soft"].target == "a/\n c"


def test_attributes_as_getfattr_prints_them() -> None:
    printed = (
        b"# file: a b\nuser.persistence=0x41ff0a\n\n"
        b"# file: sub/c\nuser.other=0x74657874\nuser.empty\n\n"
        b"# file: n\\012l=x\\134y\xc3\xa9\nuser.persistence=0x41\n\n"
    )
    assert parse_attributes(printed) == {
        "a b": ("user.persistence=41ff0a",),
        "sub/c": ("user.empty", "user.other=74657874"),
        "n\nl=x\\y\u00e9": ("user.persistence=41",),
    }
    assert parse_attributes(b"") == {}


def test_one_file_of_an_archive() -> None:
    raw = archive_of({"a/b": b"content"})
    assert read_member([raw], "a/b", 4) == b"cont"
    assert read_member([raw], "a/b", 100) == b"content"
    assert read_member([raw], "none", 4) == b"" == read_member([raw[:700]], "none", 4)


def test_memory_does_not_grow_with_the_content() -> None:
    import tracemalloc

    size, chunk = 64 << 20, bytes(1 << 20)
    member = tarfile.TarInfo("./big")
    member.size = size

    def stream() -> object:
        yield member.tobuf()
        for _ in range(size // len(chunk)):
            yield chunk
        yield bytes(1024)

    tracemalloc.start()
    tree = read_tree(stream())  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tree.files["big"].size == size and peak < 16 << 20, peak


# Listings


PORTABLE = SCRIPT.replace("find . -maxdepth 0 -readable", "false").replace("GNU coreutils", "no such program")


def listed(root: Path, script: str = SCRIPT) -> tuple[bytes, bytes]:
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(root)], input=b"go\n", capture_output=True, check=False
    )
    return done.stdout, done.stderr


@examples
@given(contents=files)
def test_a_listing_reads_as_what_was_written(contents: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for name, content in contents.items():
            Path(root, name).parent.mkdir(parents=True, exist_ok=True)
            Path(root, name).write_bytes(content)
        listing, portable = (parse_listing(*listed(Path(root), script)) for script in (SCRIPT, PORTABLE))

    assert {name: (seen.size, seen.sha256) for name, seen in listing.files.items()} == {
        name: (len(content), sha256(content)) for name, content in contents.items()
    }
    above = {name.rsplit("/", depth)[0] for name in contents for depth in range(1, name.count("/") + 1)}
    assert set(listing.directories) == above
    assert (portable.files, portable.directories) == (listing.files, listing.directories)


@pytest.mark.parametrize("script", [SCRIPT, PORTABLE])
def test_a_listing_that_ends_early_is_never_whole(tmp_path: Path, script: str) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "line\nbreak").write_bytes(b"y")
    (tmp_path / "link").symlink_to("nowhere")
    output, complaints = listed(tmp_path, script)
    assert (output[:2] == b"P\0") is (script is PORTABLE)
    listing = parse_listing(output, complaints)
    assert {name: seen.kind.value for name, seen in listing.files.items()} == {
        "f": "file", "d/line\nbreak": "file", "link": "symlink",
    }  # fmt: skip
    assert not listing.closed
    for length in range(len(output)):
        with pytest.raises((BrokenListing, ToolsMissing)):
            parse_listing(output[:length], b"")


def test_a_listing_that_is_not_whole_or_contradicts_itself_is_broken(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    output, _ = listed(tmp_path)
    assert parse_listing(output, b"").files["f"].sha256 == sha256(b"x")
    for length in range(len(output)):
        with pytest.raises((BrokenListing, ToolsMissing)):
            parse_listing(output[:length], b"")
    line = f"{sha256(b'x')}  ./f\n".encode()
    assert line in output
    for wrong in (
        output.replace(line, line + line),
        output.replace(line, line[3:]),
        output.replace(line, b"?\n"),
    ):
        with pytest.raises(BrokenListing):
            parse_listing(wrong, b"")
    unread = parse_listing(output.replace(line, b""), b"sha256sum: ./f: Input/output error\n").files["f"]
    assert (unread.kind, unread.size) == (NodeKind.ERROR, 1) and "Input/output error" in (unread.error or "")


def test_many_digests_at_once_do_not_mix(tmp_path: Path) -> None:
    contents = {f"{'d' * 200}/{'e' * 200}/{number:0200d}": str(number).encode() for number in range(3000)}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    listing = parse_listing(*listed(tmp_path))
    assert {name: seen.sha256 for name, seen in listing.files.items()} == {
        n: sha256(c) for n, c in contents.items()
    }


def test_no_output_means_that_tools_are_missing() -> None:
    with pytest.raises(ToolsMissing, match="find: unrecognized: -printf"):
        parse_listing(b"E1\0\0X0\0", b"find: unrecognized: -printf\n")


# Frames


@pytest.mark.parametrize("shell", ["sh", "bash"])
@examples
@given(name=names)
def test_an_escaped_name_is_one_plain_word_that_the_shell_reads_back(shell: str, name: str) -> None:
    word = escaped(name)
    assert set(word) <= set(string.ascii_letters + string.digits + "\\._/")
    script = "IFS=' ' read -r a word b; d=$(printf '%b_' \"$word\"); d=./${d%_}; printf '%s' \"$d\""
    done = subprocess.run(
        [shell, "-c", script], input=f"a {word} b\n".encode(), capture_output=True, check=True
    )
    assert done.stdout == b"./" + os.fsencode(name)
