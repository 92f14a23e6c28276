"""Names of files and directories: what a client may send, and how it is read from a request."""

import re
from urllib.parse import unquote_to_bytes

from media.layout import is_service_name
from media.refusal import Refusal

NAME_BYTES = 255

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(rb'(?:^|;)\s*filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_TOKEN = re.compile(rb"(?:^|;)\s*filename=([^\s;\"]+)", re.IGNORECASE)
_EXTENDED = re.compile(rb"(?:^|;)\s*filename\*=utf-8'[^']*'([^\s;]+)", re.IGNORECASE)
_FIELD = re.compile(rb'(?:^|;)\s*name="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def checked_name(name: str) -> str:
    """`name` unchanged, if a file may be stored under it; otherwise Refusal 400.

    At most 255 bytes of UTF-8, no slash, no control character, not `.` or `..`, none of the service's own.
    Spaces, quotes, `%`, `#`, `?`, a leading `-` or `.` and both Unicode normal forms are like any other.
    """
    if not name:
        raise Refusal(400, "the file has no name")
    if name in (".", "..") or "/" in name:
        raise Refusal(400, "the name is a path")
    if _CONTROL.search(name):
        raise Refusal(400, "the name has a control character")
    if is_service_name(name):
        raise Refusal(400, "the name is reserved for the service")
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refusal(400, "the name is not UTF-8") from error
    if len(encoded) > NAME_BYTES:
        raise Refusal(400, f"the name is longer than {NAME_BYTES} bytes")
    return name


def path_segments(raw: bytes) -> tuple[str, ...]:
    """The decoded segments of a percent-encoded URL path, in which a slash only ever separates.

    Bytes that are not UTF-8 become surrogates, so that every name on the volume can be asked for.
    Empty segments, `.`, `..`, an encoded slash and NUL are Refusal 400: no path leads out of the media root.
    """
    segments = tuple(unquote_to_bytes(part).decode("utf-8", "surrogateescape") for part in raw.split(b"/"))
    for segment in segments:
        if segment in ("", ".", "..") or "/" in segment or "\0" in segment:
            raise Refusal(400, "the path is not a plain path below the media root")
    return segments


def field_name(disposition: bytes) -> str:
    """The form field that a part's Content-Disposition names, or the empty string."""
    match = _FIELD.search(disposition)
    return match[1].decode("utf-8", "replace") if match else ""


def file_name(disposition: bytes) -> str:
    """The file name of a part's Content-Disposition, checked; Refusal 400 when there is none.

    `filename*` (RFC 5987) wins over `filename`. In a quoted one, a backslash quotes `"` and itself, and `%22`
    is `"`: browsers and urllib3 send it so (WHATWG, multipart/form-data encoding).
    """
    if match := _EXTENDED.search(disposition):
        name = unquote_to_bytes(match[1])
    elif match := _QUOTED.search(disposition):
        name = re.sub(rb'\\(["\\])', rb"\1", match[1]).replace(b"%22", b'"')
    elif match := _TOKEN.search(disposition):
        name = match[1]
    else:
        raise Refusal(400, "the part has no file name")
    return checked_name(name.decode("utf-8", "surrogateescape"))
