"""What counts as a whole file is what a real encoder wrote; what was cut or damaged does not."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader, PdfWriter

from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.payload import Payload
from persistence_tests.model.wholeness import IMAGES, flaw

SENT = [PayloadKind.PNG, PayloadKind.JPEG]


def payload(kind: PayloadKind, size: int = 9000) -> bytes:
    return Payload.make("run-1", 3, kind, size).bytes()


def made_anew(kind: PayloadKind, form: str, **options: object) -> bytes:
    out = BytesIO()
    with Image.open(BytesIO(payload(kind))) as image:
        image.convert("RGB").save(out, form, **options)
    return out.getvalue()


REENCODED = {
    "png": made_anew(PayloadKind.JPEG, "PNG"),
    "jpeg": made_anew(PayloadKind.PNG, "JPEG", quality=40),
    "progressive": made_anew(PayloadKind.JPEG, "JPEG", progressive=True),
    "gif": made_anew(PayloadKind.JPEG, "GIF"),
    "webp": made_anew(PayloadKind.JPEG, "WEBP", quality=70),
    "lossless-webp": made_anew(PayloadKind.JPEG, "WEBP", lossless=True),
}


def pdf_made_anew() -> bytes:
    out = BytesIO()
    writer = PdfWriter(clone_from=PdfReader(BytesIO(payload(PayloadKind.PDF))))
    for page in writer.pages:
        page.compress_content_streams()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("kind", list(PayloadKind))
def test_every_payload_is_whole(kind: PayloadKind) -> None:
    for size in (Payload.minimum(kind), 4097, 20_000):
        assert flaw(kind, payload(kind, max(size, Payload.minimum(kind)))) is None


@pytest.mark.parametrize("form", REENCODED)
@pytest.mark.parametrize("kind", SENT)
def test_a_picture_in_another_format_is_whole_and_a_part_of_it_is_not(kind: PayloadKind, form: str) -> None:
    content = REENCODED[form]
    assert flaw(kind, content) is None
    for length in (0, 1, 20, len(content) // 2, len(content) - 3):
        assert flaw(kind, content[:length]) is not None


def test_a_document_made_anew_is_whole_and_a_part_of_it_is_not() -> None:
    content = pdf_made_anew()
    assert content != payload(PayloadKind.PDF)
    assert flaw(PayloadKind.PDF, content) is None
    for length in (0, 5, len(content) // 2, len(content) - 10):
        assert flaw(PayloadKind.PDF, content[:length]) == "not a whole PDF"


@pytest.mark.parametrize("kind", SENT)
def test_what_is_no_picture_is_none(kind: PayloadKind) -> None:
    assert flaw(kind, b"<!doctype html><title>Bad gateway</title>") == "no image"
    assert flaw(kind, bytes(5000)) == "no image"


@pytest.mark.parametrize("kind", [PayloadKind.PNG, PayloadKind.PDF])
def test_a_hole_in_what_has_checksums_or_references_is_found(kind: PayloadKind) -> None:
    content = bytearray(payload(kind))
    place = 4096 if kind is PayloadKind.PNG else len(content) - 40
    content[place : place + 16] = bytes(16)
    assert flaw(kind, bytes(content)) is not None


@settings(deadline=None)
@given(
    st.sampled_from([*IMAGES, PayloadKind.PDF]),
    st.sampled_from([*REENCODED.values(), pdf_made_anew()]),
    st.data(),
)
def test_any_damage_is_judged_without_an_error(
    kind: PayloadKind, content: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)))
    assert flaw(kind, bytes(damaged[:length])) in {None, "no image", "not a whole PDF"} | {
        f"a {name} that is not whole" for name in ("PNG", "JPEG", "GIF", "WebP", "AVIF or HEIF")
    }
