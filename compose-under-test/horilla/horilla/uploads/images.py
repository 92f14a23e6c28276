"""Images: whether a decoder opens them, and a small WebP of each."""

import warnings
from io import BytesIO
from typing import IO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from PIL import Image, ImageOps

from uploads.kinds import IMAGE_FORMATS, extension

# Decoded, this many pixels take 100 MB.
MAX_PIXELS = 25_000_000
VARIANT_PIXELS = 256


def open_image(file: IO[bytes], name: str) -> Image.Image:
    """The image, decoded to its last byte.

    ValidationError `type` when it is none, or another than its name says; `pixels` when it would fill the memory.
    """
    expected = IMAGE_FORMATS.get(extension(name))
    if expected is None:
        raise ValidationError("Images are PNG, JPEG, GIF or WebP.", code="type")
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # Its limit is for those who have none; ours is below it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=[expected])
            if image.width * image.height > MAX_PIXELS:
                raise ValidationError(f"An image may have {MAX_PIXELS} pixels.", code="pixels")
            image.load()
    except Image.DecompressionBombError as error:
        raise ValidationError(f"An image may have {MAX_PIXELS} pixels.", code="pixels") from error
    # A damaged image makes the decoders raise nearly anything.
    except (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, MemoryError, TypeError) as error:
        raise ValidationError(f"This is not a {expected} image that can be opened.", code="type") from error
    return image


def webp_variant(image: Image.Image) -> ContentFile:
    """`image` as WebP, turned upright, at most VARIANT_PIXELS wide and high."""
    upright = ImageOps.exif_transpose(image)
    transparent = upright.has_transparency_data
    small = upright.convert("RGBA" if transparent else "RGB")
    small.thumbnail((VARIANT_PIXELS, VARIANT_PIXELS))
    encoded = BytesIO()
    small.save(encoded, "WEBP", quality=80)
    return ContentFile(encoded.getvalue())
