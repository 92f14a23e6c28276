"""PNG payloads are images that a real decoder reads to the last pixel."""

from __future__ import annotations

import zlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from persistence_tests.model.operation import PayloadKind
from persistence_tests.model.payload import DEFAULT_SIZES, Payload
from persistence_tests.model.payload_stamp import BLOCK, find_stamps

MINIMUM = Payload.minimum(PayloadKind.PNG)


def decoded(content: bytes) -> Image.Image:
    with Image.open(BytesIO(content)) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        image.verify()
    image = Image.open(BytesIO(content))
    image.load()
    return image


def chunks_of(content: bytes) -> dict[bytes, bytes]:
    found, place = {}, 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4])
        kind, data = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        assert zlib.crc32(kind + data) == int.from_bytes(content[place + 8 + length : place + 12 + length])
        found[kind] = data
        place += 12 + length
    assert place == len(content)
    return found


def check(size: int, operation: int = 5) -> None:
    content = Payload.make("run-1", operation, PayloadKind.PNG, size).bytes()
    assert len(content) == size
    image = decoded(content)
    assert list(find_stamps(image.tobytes())), "the stamps are pixels"
    pixels = zlib.decompress(chunks_of(content)[b"IDAT"])  # checks the Adler sum
    assert len(pixels) == (image.width + 1) * image.height
    image.close()


@pytest.mark.parametrize("size", [size for size in DEFAULT_SIZES if size >= MINIMUM])
def test_every_default_size_decodes(size: int) -> None:
    check(size)


def test_every_size_around_the_seams_of_the_format_decodes() -> None:
    for size in [
        *range(MINIMUM, MINIMUM + 60),
        *range(4080, 4300),
        *range(8180, 8320),
        *range(12_280, 12_400),
    ]:
        check(size)


@settings(deadline=None)
@given(st.integers(MINIMUM, 40 * BLOCK), st.integers(1, 2**30))
def test_every_other_size_decodes(size: int, operation: int) -> None:
    check(size, operation)


def test_the_end_is_made_without_the_bytes_before_it() -> None:
    payload = Payload.make("run-1", 5, PayloadKind.PNG, 100_000)
    whole = payload.bytes()
    for length in (1, 12, 60, 3000):
        fresh = Payload.make("run-1", 5, PayloadKind.PNG, 100_000)
        assert fresh.slice(100_000 - length, length) == whole[-length:]
