"""JPEG and PDF payloads are documents that real decoders read whole."""

from __future__ import annotations

import logging
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin
from pypdf import PdfReader

from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.payload import DEFAULT_SIZES, Payload
from persistence_tests.model.payload_stamp import BLOCK, find_stamps

SEAMS = (*range(60), *range(BLOCK - 60, BLOCK + 60), *range(2 * BLOCK - 60, 2 * BLOCK + 60))


def made(kind: PayloadKind, size: int, operation: int = 5) -> bytes:
    content = Payload.make("run-1", operation, kind, size).bytes()
    assert len(content) == size
    return content


def pixels(content: bytes) -> bytes:
    with Image.open(BytesIO(content)) as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        image.load()
        assert (image.mode, image.size) == ("L", (64, 64))
        return image.tobytes()


def text_of_page(content: bytes) -> str:
    """Raises PdfReadError for anything that strict reading does not accept."""
    reader = PdfReader(BytesIO(content), strict=True)
    (page,) = reader.pages
    return page.extract_text()


def check(kind: PayloadKind, size: int, operation: int = 5) -> None:
    content = made(kind, size, operation)
    if kind is PayloadKind.JPEG:
        assert len(set(pixels(content))) > 16, "the picture shows something"
    else:
        stamps = list(find_stamps(content))
        text = text_of_page(content)
        assert len(stamps) - 1 == text.count("~p1~") > 0, "all stamps but one are the text"


@pytest.mark.parametrize("kind", [PayloadKind.JPEG, PayloadKind.PDF])
@pytest.mark.parametrize("size", [size for size in DEFAULT_SIZES if 4096 <= size <= 65537])
def test_default_sizes_decode(kind: PayloadKind, size: int) -> None:
    check(kind, size)


@pytest.mark.parametrize("kind", [PayloadKind.JPEG, PayloadKind.PDF])
def test_a_large_one_decodes(kind: PayloadKind) -> None:
    check(kind, 1024 * 1024)


@pytest.mark.parametrize("kind", [PayloadKind.JPEG, PayloadKind.PDF])
def test_every_size_around_the_seams_of_the_format_decodes(kind: PayloadKind) -> None:
    step = 1 if kind is PayloadKind.JPEG else 7
    for more in SEAMS[::step]:
        check(kind, Payload.minimum(kind) + more)


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([PayloadKind.JPEG, PayloadKind.PDF]), st.integers(700, 10 * BLOCK), st.integers(1, 2**30)
)
def test_every_other_size_decodes(kind: PayloadKind, size: int, operation: int) -> None:
    check(kind, size, operation)


def test_pictures_differ_where_nothing_but_their_pixels_is_kept() -> None:
    seen = {
        pixels(made(PayloadKind.JPEG, size, operation)) for size in (700, 5000) for operation in range(1, 100)
    }
    assert len(seen) == 2 * 99
    smaller = set()
    for operation in range(1, 100):
        with Image.open(BytesIO(made(PayloadKind.JPEG, 700, operation))) as image:
            thumbnail = BytesIO()
            image.resize((16, 16)).save(thumbnail, "JPEG", quality=60)
            smaller.add(thumbnail.getvalue())
    assert len(smaller) == 99


@pytest.mark.parametrize("kind", [PayloadKind.JPEG, PayloadKind.PDF])
def test_one_that_is_cut_short_does_not_decode(kind: PayloadKind, caplog: pytest.LogCaptureFixture) -> None:
    whole = made(kind, 9000)
    decode = pixels if kind is PayloadKind.JPEG else text_of_page
    caplog.set_level(logging.CRITICAL)
    for length in (100, 4096, 8192, 8900):
        with pytest.raises(Exception):  # noqa: B017, PT011 - a decoder raises what it likes
            decode(whole[:length])
