"""Which kinds of file are taken: by extension, and by content where a kind has a signature."""

from pathlib import PurePosixPath

from media.refusal import Refusal

HEAD_BYTES = 16

CONTENT_TYPES = {
    ".bin": "application/octet-stream",
    ".csv": "text/csv; charset=utf-8",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".zip": "application/zip",
}

_SIGNATURES: dict[str, tuple[tuple[int, bytes], ...]] = {
    ".gif": ((0, b"GIF8"),),
    ".jpeg": ((0, b"\xff\xd8\xff"),),
    ".jpg": ((0, b"\xff\xd8\xff"),),
    ".mp4": ((4, b"ftyp"),),
    ".pdf": ((0, b"%PDF-"),),
    ".png": ((0, b"\x89PNG\r\n\x1a\n"), (12, b"IHDR")),
    ".webp": ((0, b"RIFF"), (8, b"WEBP")),
}


def extension(name: str) -> str:
    """The last extension of `name` in lower case, with its dot; empty when it has none."""
    return PurePosixPath(name).suffix.lower()


def content_type(name: str) -> str:
    """What `name` is served as. What is not known is served as bytes, so that no browser runs it."""
    return CONTENT_TYPES.get(extension(name), "application/octet-stream")


def check_extension(name: str) -> None:
    """Refusal 415 unless files with this extension are taken."""
    if extension(name) not in CONTENT_TYPES:
        taken = " ".join(sorted(CONTENT_TYPES))
        raise Refusal(415, f"files of this type are not taken; these are: {taken}")


def check_content(name: str, head: bytes) -> None:
    """Refusal 415 unless `head`, the first 16 bytes or the whole of a shorter file, suits the extension."""
    for offset, signature in _SIGNATURES.get(extension(name), ()):
        if head[offset : offset + len(signature)] != signature:
            raise Refusal(415, f"the content is not {content_type(name)}")
