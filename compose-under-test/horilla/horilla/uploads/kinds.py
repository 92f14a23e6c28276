"""Which kinds of file are taken, and what they are served as."""

from pathlib import PurePosixPath

CONTENT_TYPES = {
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".webp": "image/webp",
}
# As Pillow calls them.
IMAGE_FORMATS = {".gif": "GIF", ".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def extension(name: str) -> str:
    """The last extension of `name` in lower case, with its dot; empty when it has none."""
    return PurePosixPath(name).suffix.lower()


def content_type(name: str) -> str:
    """What `name` is served as. What is not known is served as bytes, so that no browser runs it."""
    return CONTENT_TYPES.get(extension(name), "application/octet-stream")
