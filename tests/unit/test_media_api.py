"""The media stack's own parts that need no engine: names, kinds, ranges, the store, and its archives."""

import fcntl
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import kinds, names, ranges  # type: ignore[import-not-found]
from media.layout import is_service_name  # type: ignore[import-not-found]
from media.refusal import Refusal  # type: ignore[import-not-found]
from media.store import MediaStore, Upload  # type: ignore[import-not-found]
from urllib3.fields import RequestField

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
