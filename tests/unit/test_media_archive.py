"""The archives of the media stack: written whole, read with distrust, restored exactly or not at all."""

import gzip
import hashlib
import io
import os
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media.archive import restoring, writing  # type: ignore[import-not-found]
from media.archive.entry import ArchiveError, ChangedWhileRead  # type: ignore[import-not-found]
from media.archive.reading import verify  # type: ignore[import-not-found]
from media.archive.restoring import recover, swap  # type: ignore[import-not-found]
from media.archive.staging import stage  # type: ignore[import-not-found]
from media.archive.tree import walk  # type: ignore[import-not-found]
from media.archive.writing import write_archive  # type: ignore[import-not-found]

from tests.unit.test_media_api import STANDARD, file_names

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the media stack runs in Linux containers")


def snapshot(root: Path) -> dict[str, tuple[object, ...]]:
    """All that a restore must bring back, read without the code under test."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, below, files in os.walk(root):
        for path in (Path(directory), *(Path(directory, name) for name in (*below, *files))):
            status = path.lstat()
            content: object = None
            if path.is_symlink():
                content = path.readlink()
            elif path.is_file():
                content = path.read_bytes()
            found[str(path.relative_to(root))] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_mtime_ns,
                status.st_nlink if path.is_file() else 0,
                content,
            )
    return found


def archive_of(root: Path) -> bytes:
    output = io.BytesIO()
    write_archive(root, output)
    return output.getvalue()


def restored(root: Path, archive: bytes, *, merge: bool = False) -> None:
    token, _ = stage(root, io.BytesIO(archive))
    swap(root, token, merge=merge)


def plant(root: Path) -> None:
    """A tree with everything that naive archives lose."""
    (root / "admin/deep/er").mkdir(parents=True)
    (root / "blog").mkdir()
    (root / "admin/a b'\"%#?.bin").write_bytes(os.urandom(70_000))
    (root / "admin/deep/er/-rf").write_bytes(b"")
    (root / "admin/deep/secret").write_text("s")
    (root / "admin/deep/secret").chmod(0o4600)
    os.link(root / "admin/deep/secret", root / "blog/same")
    (root / "blog/dangling").symlink_to("../nowhere")
    os.mkfifo(root / "blog/pipe", 0o640)
    (root / os.fsdecode(b"admin/\xff\xfe.bin")).write_text("not UTF-8")
    (root / ("admin/" + "n" * 255)).write_text("long")
    os.setxattr(root / "blog/same", "user.note", b"\xff\0kept")
    os.utime(root / "admin/deep/er/-rf", ns=(0, 1_000_000_000_123_456_789))
    (root / "admin/deep").chmod(0o750)
    os.utime(root / "admin", ns=(0, 1_500_000_000_000_000_001))


def test_a_restore_is_exact(tmp_path: Path) -> None:
    plant(tmp_path)
    before = snapshot(tmp_path)
    archive = archive_of(tmp_path)
    (tmp_path / "admin/deep/secret").unlink()
    (tmp_path / "blog/pipe").unlink()
    (tmp_path / "blog/pipe").mkdir()
    (tmp_path / "blog/leftover").write_text("stale")
    (tmp_path / "later").mkdir()
    tmp_path.chmod(0o700)
    restored(tmp_path, archive)
    assert snapshot(tmp_path) == before
    assert os.getxattr(tmp_path / "blog/same", "user.note") == b"\xff\0kept"


def test_a_merging_restore_keeps_what_the_archive_does_not_name(tmp_path: Path) -> None:
    plant(tmp_path)
    before = snapshot(tmp_path)
    archive = archive_of(tmp_path)
    (tmp_path / "admin/deep/secret").write_text("changed")
    (tmp_path / "blog/later.txt").write_text("later")
    (tmp_path / "new/er").mkdir(parents=True)
    (tmp_path / "new/er/f").write_text("new")
    restored(tmp_path, archive, merge=True)
    after = snapshot(tmp_path)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {"blog/later.txt", "new", "new/er", "new/er/f"}
    assert (tmp_path / "new/er/f").read_text() == "new"


def test_what_is_the_service_own_is_not_archived(tmp_path: Path) -> None:
    plant(tmp_path)
    expected = archive_of(tmp_path)
    (tmp_path / "lost+found").mkdir()
    mtime = (tmp_path / "blog").stat().st_mtime_ns
    (tmp_path / "blog/.upload-0123.part").write_text("half")
    os.utime(tmp_path / "blog", ns=(mtime, mtime))
    assert [path for path, _ in walk(tmp_path) if "upload" in path or "lost" in path] == []
    os.utime(tmp_path, ns=(0, 0))
    verify(io.BytesIO(expected), STANDARD)


trees = st.dictionaries(
    st.lists(file_names.filter(lambda name: len(name.encode()) < 60), min_size=1, max_size=3).map(tuple),
    st.binary(max_size=2000),
    max_size=8,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_any_tree_comes_back(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[tuple[str, ...], bytes]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts, content in tree.items():
        path = root.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    before = snapshot(root)
    output = io.BytesIO()
    written = write_archive(root, output)
    read, sha256 = verify(io.BytesIO(output.getvalue()), STANDARD)
    assert read == written
    assert sha256 == hashlib.sha256(output.getvalue()).hexdigest()
    (root / "more").mkdir(exist_ok=True)
    restored(root, output.getvalue())
    assert snapshot(root) == before


def unpacked(archive: bytes) -> bytes | None:
    """What the compression holds; None where it is broken."""
    try:
        return gzip.decompress(archive)
    except (OSError, EOFError, zlib.error):
        return None


def test_a_damaged_archive_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    root = tmp_path / "root"
    plant(root)
    archive = archive_of(root)
    before = snapshot(root)
    step = max(1, len(archive) // 60)
    damaged = [archive[:end] for end in range(0, len(archive), step)]
    flipped = [
        archive[:at] + bytes([archive[at] ^ 0x55]) + archive[at + 1 :] for at in range(10, len(archive), step)
    ]
    # In a run of zeros, a reference to other zeros says the same: that is no damage.
    damaged += [content for content in flipped if unpacked(content) != unpacked(archive)]
    # Damage inside, under an intact compression.
    inner = bytearray(gzip.decompress(archive))
    inner[1024 + 150] ^= 0x55
    damaged += [gzip.compress(inner), gzip.compress(gzip.decompress(archive)[: 512 * 9]), gzip.compress(b"")]
    for content in damaged:
        with pytest.raises(ArchiveError):
            verify(io.BytesIO(content), STANDARD)
        with pytest.raises(ArchiveError):
            stage(root, io.BytesIO(content))
    now = snapshot(root)
    assert {path: now[path] for path in before if path != "."} == {
        path: before[path] for path in before if path != "."
    }
    assert set(now) == set(before)


def members_of(archive: bytes) -> list[bytes]:
    """The members of a gzip file, which are files themselves."""
    found = []
    while archive:
        reader = zlib.decompressobj(31)
        reader.decompress(archive)
        assert reader.eof
        size = len(archive) - len(reader.unused_data)
        found.append(archive[:size])
        archive = archive[size:]
    return found


def test_an_archive_that_lacks_its_last_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    plant(root)
    monkeypatch.setattr(writing, "MEMBER_BYTES", tarfile.BLOCKSIZE)
    archive = archive_of(root)
    summary, _ = verify(io.BytesIO(archive), STANDARD)
    members = members_of(archive)
    content = gzip.decompress(archive)
    ends = len(content.rstrip(b"\0")) // tarfile.BLOCKSIZE + 1  # what follows says that nothing follows
    assert 20 < ends < len(members) - 1
    for count in (0, 1, 2, 9, *range(ends - 10, len(members))):
        cut = io.BytesIO(b"".join(members[:count]))
        if count <= ends:
            with pytest.raises(ArchiveError):
                verify(cut, STANDARD)
        else:
            assert verify(cut, STANDARD)[0] == summary


def test_an_archive_is_compressed_where_that_makes_it_smaller(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "blog").mkdir(parents=True)
    (root / "blog/text.csv").write_bytes(b"a line like any other\n" * 300_000)
    (root / "blog/picture.png").write_bytes(os.urandom(3 << 20))
    archive = archive_of(root)
    assert 3 << 20 < len(archive) < (3 << 20) + 200_000
    assert len(members_of(archive)) > 9
    with tarfile.open(fileobj=io.BytesIO(archive)) as plain:
        assert {found.name for found in plain} == {".", "blog", "blog/text.csv", "blog/picture.png"}
    verify(io.BytesIO(archive), STANDARD)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "members",
    [
        [member("../out")],
        [member("/etc/passwd")],
        [member("admin/../../out")],
        [member("link", tarfile.SYMTYPE, "/etc"), member("link/passwd")],
        [member("admin/hard", tarfile.LNKTYPE, "/etc/passwd")],
        [member("admin/hard", tarfile.LNKTYPE, "../out")],
        [member("admin/device", tarfile.CHRTYPE)],
        [member("twice"), member("./twice")],
        [member("_data/admin", tarfile.DIRTYPE), member("_data/admin/x")],
    ],
)
def test_a_malicious_or_misplaced_archive_is_refused(members: list[tarfile.TarInfo]) -> None:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as archive:
        for info in members:
            archive.addfile(info)
    with pytest.raises(ArchiveError):
        verify(io.BytesIO(output.getvalue()), STANDARD)


def test_an_archive_made_by_plain_tar_is_taken(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "admin").mkdir(parents=True)
    (root / "admin/x.txt").write_text("x")
    before = snapshot(root)
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as archive:
        archive.add(root, ".")
    (root / "admin/x.txt").write_text("y")
    restored(root, output.getvalue())
    assert snapshot(root)["admin/x.txt"][5] == before["admin/x.txt"][5]


def test_a_file_that_is_written_while_it_is_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = tmp_path / "log.txt"
    growing.write_text("first\n")
    real = tarfile.TarFile.addfile

    def while_writing(archive: tarfile.TarFile, info: tarfile.TarInfo, content: Any = None) -> None:
        real(archive, info, content)
        if info.isreg():
            with growing.open("a") as file:
                file.write("more\n")

    monkeypatch.setattr(tarfile.TarFile, "addfile", while_writing)
    with pytest.raises(ChangedWhileRead):
        archive_of(tmp_path)


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it runs."""


def kill_at(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    real = os.rename
    left = [count]

    def rename(source: object, target: object, **options: Any) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        real(source, target, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", rename)


@pytest.mark.parametrize("merge", [False, True])
def test_a_restore_killed_at_any_rename_loses_nothing(tmp_path: Path, merge: bool) -> None:
    outcomes: list[str] = []
    for count in range(100):
        root = tmp_path / str(count)
        plant(root)
        archive = archive_of(root)
        (root / "blog/later").write_text("later")
        (root / "later").mkdir()
        before = snapshot(root)
        token, _ = stage(root, io.BytesIO(archive))
        with pytest.MonkeyPatch.context() as patched:
            kill_at(patched, count)
            patched.setattr(restoring, "recover", lambda root: None)
            try:
                swap(root, token, merge=merge)
                killed = False
            except Killed:
                killed = True
        finished = (root / ".media-restore").exists() and not any((root / ".media-restore/new").iterdir())
        # The recovery is killed too, after each of its renames, and run again.
        for again in range(20):
            with pytest.MonkeyPatch.context() as patched:
                kill_at(patched, again)
                try:
                    recover(root)
                    break
                except Killed:
                    continue
        after = snapshot(root)
        content = {path: value for path, value in after.items() if path != "."}
        old = {path: value for path, value in before.items() if path != "."}
        if content == old:
            outcomes.append("old")
        else:
            assert finished or not killed
            assert ("later" in after) == merge
            outcomes.append("new")
        assert ".media-restore" not in after
        if not killed:
            break
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes[-1] == "new"
    assert len(outcomes) > 5


def test_a_restore_that_fails_puts_the_old_content_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(tmp_path)
    archive = archive_of(tmp_path)
    (tmp_path / "later").mkdir()
    before = snapshot(tmp_path)
    token, _ = stage(tmp_path, io.BytesIO(archive))
    real = os.rename

    def fails_once(source: Any, target: Any) -> None:
        if str(source).endswith("/new/blog"):
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", fails_once)
    with pytest.raises(OSError, match="Input/output"):
        swap(tmp_path, token, merge=False)
    after = snapshot(tmp_path)
    assert {path: after[path] for path in after if path != "."} == {
        path: before[path] for path in before if path != "."
    }
