"""Archives as a stream, against `tarfile` as the reference."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.paths.members import BLOCK, BrokenArchive, Member, Stream, content, members

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
KINDS = [tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
         tarfile.CHRTYPE, tarfile.CONTTYPE]  # fmt: skip

texts = st.binary(min_size=1, max_size=300).map(
    lambda raw: raw.replace(b"\0", b"_").strip(b"/").decode(errors="surrogateescape") or "x"
)
numbers = st.integers(0, 0o7777777) | st.integers(0, 2**33)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    raw = io.BytesIO()
    tar_format = draw(st.sampled_from(FORMATS))
    with tarfile.open(
        fileobj=raw, mode="w", format=tar_format, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for _ in range(draw(st.integers(0, 5))):
            member = tarfile.TarInfo(draw(texts))
            member.type = draw(st.sampled_from(KINDS))
            member.mode = draw(st.integers(0, 0o7777))
            member.uid, member.gid = draw(numbers), draw(numbers)
            body = draw(st.binary(max_size=1500)) if member.isreg() else b""
            member.size = len(body)
            if member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                member.linkname = draw(texts)
            try:
                archive.addfile(member, io.BytesIO(body))
            except ValueError:
                continue  # does not fit into this format
    return raw.getvalue()


def read(data: bytes, piece: int) -> list[tuple[Any, ...]]:
    stream = Stream(data[at : at + piece] for at in range(0, len(data), piece))
    return [(*_facts(member), b"".join(content(stream, member))) for member in members(stream)]


def _facts(member: Member) -> tuple[Any, ...]:
    kind = b"0" if member.kind == b"\0" else member.kind
    return member.name.rstrip("/"), kind, member.size, member.mode, member.uid, member.gid, member.link


def reference(data: bytes) -> list[tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
        return [
            (
                member.name.rstrip("/"),
                b"0" if member.type == tarfile.AREGTYPE else member.type,
                member.size,
                member.mode,
                member.uid,
                member.gid,
                member.linkname,
                found.read() if member.isreg() and (found := archive.extractfile(member)) else b"",
            )
            for member in archive
        ]


@settings(deadline=None, max_examples=150)
@given(archives(), st.sampled_from([1 << 20, BLOCK, 700, 97]))
def test_members_are_those_that_tarfile_finds(data: bytes, piece: int) -> None:
    assert read(data, piece) == reference(data)


@settings(deadline=None, max_examples=150)
@given(archives(), st.data())
def test_a_header_that_is_damaged_is_never_taken_for_another(data: bytes, draws: st.DataObject) -> None:
    headers = _header_positions(data)
    if not headers:
        return
    position = draws.draw(st.sampled_from(headers)) + draws.draw(st.integers(0, BLOCK - 1))
    damaged = bytearray(data)
    damaged[position] ^= 1 << draws.draw(st.integers(0, 7))
    # A blank before the checksum's digits, or a zero: the number is the same.
    try:
        found = read(bytes(damaged), 1 << 20)
    except BrokenArchive:
        return
    assert found == read(data, 1 << 20)


def _header_positions(data: bytes) -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as archive:
        return [member.offset for member in archive]


@settings(deadline=None, max_examples=100)
@given(archives(), st.data())
def test_no_part_of_an_archive_is_taken_for_the_whole(data: bytes, draws: st.DataObject) -> None:
    end = len(data.rstrip(b"\0"))
    length = draws.draw(st.integers(0, end // BLOCK * BLOCK + BLOCK - 1))
    with pytest.raises(BrokenArchive):
        read(data[:length], 1 << 20)


@pytest.mark.parametrize(
    "records", [b"x", b"5 a=", b"99 path=a\n", b"9 path:a\n", b"0 path=a\n", b"11 size=ab\n"]
)
def test_garbled_records_are_no_archive(records: bytes) -> None:
    extension = tarfile.TarInfo("records")
    extension.type, extension.size = tarfile.XHDTYPE, len(records)
    padding = bytes(-len(records) % BLOCK)
    data = extension.tobuf() + records + padding + tarfile.TarInfo("name").tobuf() + bytes(2 * BLOCK)
    with pytest.raises(BrokenArchive):
        read(data, 1 << 20)
