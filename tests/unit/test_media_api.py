"""The media stack's own parts that need no engine: names, kinds, ranges, the store, and its archives."""

import fcntl
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
from urllib3.fields import RequestField

sys.path.insert(0, str(Path(__file__).parents[2] / "compose-under-test/media/api"))

from media import kinds, names, ranges  # type: ignore[import-not-found]
from media.archive import restoring, writing  # type: ignore[import-not-found]
from media.archive.entry import ArchiveError, ChangedWhileRead  # type: ignore[import-not-found]
from media.archive.reading import verify  # type: ignore[import-not-found]
from media.archive.restoring import recover, swap  # type: ignore[import-not-found]
from media.archive.staging import stage  # type: ignore[import-not-found]
from media.archive.tree import walk  # type: ignore[import-not-found]
from media.archive.writing import write_archive  # type: ignore[import-not-found]
from media.layout import is_service_name  # type: ignore[import-not-found]
from media.refusal import Refusal  # type: ignore[import-not-found]
from media.store import MediaStore, Upload  # type: ignore[import-not-found]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the media stack runs in Linux containers")

STANDARD = ("admin", "blog")

plain_text = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1)
file_names = plain_text.filter(
    lambda name: name not in (".", "..") and len(name.encode()) <= 255 and not is_service_name(name)
)


# --- what a client may send -----------------------------------------------------------------------------


@given(file_names.filter(lambda name: "%22" not in name and "\\" not in name))
def test_a_name_sent_by_urllib3_arrives_unchanged(name: str) -> None:
    field = RequestField("file", b"", filename=name)
    field.make_multipart()
    disposition = field.headers["Content-Disposition"]
    assert disposition is not None
    assert names.file_name(disposition.encode()) == name
    assert names.field_name(disposition.encode()) == "file"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'form-data; name="file"; filename="a\\"b\\\\c.txt"', 'a"b\\c.txt'),
        (b'form-data; name="file"; filename="x"; filename*=UTF-8\'\'%E2%82%AC%20.txt', "€ .txt"),
        (b"form-data; name=file; filename=plain.txt", "plain.txt"),
        ('form-data; name="file"; filename="e\u0301.txt"'.encode(), "e\u0301.txt"),
    ],
)
def test_a_name_in_any_form_that_clients_use(disposition: bytes, name: str) -> None:
    assert names.file_name(disposition) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/etc/passwd", "a\0b", "a\nb", "\x7f", "x" * 256, "\u20ac" * 86, ".upload-1.part",
     ".media-restore", "\udcff"],
)  # fmt: skip
def test_a_name_that_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        names.checked_name(name)
    assert refused.value.status == 400


@pytest.mark.parametrize("raw", [b"a//b", b"../b", b"a/%2e%2e/b", b"a%2fb", b"a/%00", b"", b"a/."])
def test_a_path_out_of_the_root_is_refused(raw: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        names.path_segments(raw)
    assert refused.value.status == 400


def test_an_image_must_be_one() -> None:
    kinds.check_content("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    kinds.check_content("a.bin", b"")
    for name, head in (("a.PNG", b"GIF89a"), ("a.png", b""), ("a.jpg", b"\x89PNG"), ("a.pdf", b"<html>")):
        with pytest.raises(Refusal) as refused:
            kinds.check_content(name, head)
        assert refused.value.status == 415
    for name in ("a.exe", "a", ".png", "a.svg", "a.html"):
        with pytest.raises(Refusal):
            kinds.check_extension(name)


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_that_part_of_the_file(size: int, first: int, last: int) -> None:
    content = bytes(range(size))
    if first >= size and last >= first:
        with pytest.raises(Refusal):
            ranges.requested_range(f"bytes={first}-{last}", size)
        return
    part = ranges.requested_range(f"bytes={first}-{last}", size)
    if last < first:
        assert part is None
    else:
        assert part is not None
        assert content[part[0] : part[0] + part[1]] == content[first : last + 1]


def test_other_forms_of_a_range() -> None:
    assert ranges.requested_range("bytes=-3", 10) == (7, 3)
    assert ranges.requested_range("bytes=-30", 10) == (0, 10)
    assert ranges.requested_range("bytes=4-", 10) == (4, 6)
    for whole in (None, "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b"):
        assert ranges.requested_range(whole, 10) is None


# --- the store ------------------------------------------------------------------------------------------


def upload(store: Any, name: str, content: bytes, *, replace: bool = False) -> Any:
    incoming = Upload(store, ("admin",), name, replace=replace)
    try:
        for offset in range(0, len(content) - 1000, 1000):
            incoming.write(content[offset : offset + 1000])
        return incoming.commit(content[(len(content) - 1) // 1000 * 1000 :])
    finally:
        incoming.abort()


def test_an_upload_is_stored_whole_and_never_replaces(tmp_path: Path) -> None:
    store = MediaStore(tmp_path, STANDARD)
    content = os.urandom(5001)
    stored = upload(store, "a.bin", content)
    assert (stored.size, stored.sha256, stored.created) == (5001, hashlib.sha256(content).hexdigest(), True)
    with pytest.raises(Refusal) as refused:
        upload(store, "a.bin", b"other")
    assert refused.value.status == 409
    assert (tmp_path / "admin/a.bin").read_bytes() == content
    assert not upload(store, "a.bin", b"other", replace=True).created
    assert (tmp_path / "admin/a.bin").read_bytes() == b"other"
    assert (tmp_path / "admin/a.bin").stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in (tmp_path / "admin").iterdir()] == ["a.bin"]


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MediaStore(tmp_path, STANDARD)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "admin").mkdir()
    with pytest.raises(OSError, match="No space"):
        upload(store, "a.bin", b"x" * 4000)
    assert list((tmp_path / "admin").iterdir()) == []


def test_everything_is_synced_before_it_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MediaStore(tmp_path, STANDARD)
    (tmp_path / "admin").mkdir()
    done: list[str] = []

    def record(call: str) -> None:
        real = getattr(os, call)

        def recorded(first: Any, *rest: Any, **options: Any) -> Any:
            is_directory = call == "fsync" and Path(f"/proc/self/fd/{first}").resolve().is_dir()
            done.append("fsync directory" if is_directory else call)
            return real(first, *rest, **options)

        monkeypatch.setattr(os, call, recorded)

    for call in ("write", "fsync", "link", "rename", "unlink"):
        record(call)
    upload(store, "a.bin", b"content")
    assert done == ["write", "fsync", "link", "unlink", "fsync directory"]
    done.clear()
    upload(store, "a.bin", b"other", replace=True)
    assert done == ["write", "fsync", "rename", "fsync directory"]
    done.clear()
    store.delete(("admin",), "a.bin")
    assert done == ["unlink", "fsync directory"]


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "admin").mkdir(parents=True)
    (root / "admin/out").symlink_to(tmp_path)
    (root / "admin/in").symlink_to(root / "admin")
    store = MediaStore(root, STANDARD)
    assert store.resolve(("admin", "in")) == root / "admin"
    with pytest.raises(Refusal):
        store.resolve(("admin", "out", "secret"))
    with pytest.raises(Refusal), store.directory(("admin", "out")):
        pass


def test_a_sweep_spares_the_upload_that_is_still_written(tmp_path: Path) -> None:
    (tmp_path / "admin").mkdir()
    dead, living, named = (
        tmp_path / "admin" / name for name in (".upload-1.part", ".upload-2.part", "x.part")
    )
    for path in (dead, living, named):
        path.touch()
    with living.open("wb") as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        assert MediaStore(tmp_path, STANDARD).sweep() == 1
    assert not dead.exists()
    assert living.exists()
    assert named.exists()


# --- archives -------------------------------------------------------------------------------------------


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
