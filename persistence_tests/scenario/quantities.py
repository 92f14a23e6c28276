"""Sizes, modes and directories as a scenario file writes them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

_SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?(B|KiB|MiB|GiB|kB|MB|GB)")
_SIZE_REMEDY = "write a number of bytes, or a text like `64KiB` or `2.5MiB`"
_MODE = re.compile("[0-7]{3,4}")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")

LARGEST = 64 * 1024**3
PERCENT_ENCODE = "write spaces, and everything that is not ASCII, percent-encoded, like `/caf%C3%A9`"


def wrong(what: str, remedy: str) -> PydanticCustomError:
    """An error of validation that carries its own remedy."""
    # The texts go in as context: pydantic would otherwise read braces in them as fields.
    return PydanticCustomError("scenario", "{what}", {"what": what, "remedy": remedy})


def byte_count(value: Any) -> Any:
    """A whole number of bytes, or text such as "64KiB" or "2.5 MiB"."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match is None:
            raise wrong("this is no size", _SIZE_REMEDY)
        exact = float(match[1]) * _SIZE_UNITS[match[2]]
        if exact != int(exact):
            raise wrong("this size is no whole number of bytes", "write the number of bytes")
        value = int(exact)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= LARGEST:
            raise wrong("a size is at least 0 and at most 64 GiB", _SIZE_REMEDY)
        return value
    raise wrong("this is no size", _SIZE_REMEDY)


def mode(value: Any) -> Any:
    """A mode as four octal digits: "0755"."""
    if isinstance(value, int) and not isinstance(value, bool):
        # YAML reads 0755 as the number 755 or 493, depending on its version: only text is safe.
        raise wrong("a mode must be in quotes, or YAML reads it as another number", 'write it like `"0755"`')
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise wrong("this is no file mode", 'write three or four octal digits in quotes, like `"0755"`')
    return value.zfill(4)


def day(value: Any) -> Any:
    """A day as ISO 8601 writes it: "2027-03-01"."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        with suppress(ValueError):
            return date.fromisoformat(value).isoformat()
    raise wrong("this is no day", "write it like `2027-03-01`")


def url_path(value: Any) -> Any:
    from persistence_tests.paths.origin import fits_request_line

    if not isinstance(value, str):
        return value
    if not value.startswith("/"):
        raise wrong("the path of a URL begins with a slash", "write it like `/health`")
    if not fits_request_line(value):
        raise wrong("no request can carry this URL as it stands", PERCENT_ENCODE)
    return value


def directory(value: Any) -> Any:
    """A directory below a path's root, without a slash at its end."""
    if not isinstance(value, str):
        return value
    parts = value.rstrip("/").split("/")
    if value.startswith("/") or not value or "\0" in value or any(part in {"", ".", ".."} for part in parts):
        raise wrong(
            "this is no directory below the root of the paths",
            "write it relative to the root, like `admin` or `admin/logos`",
        )
    return "/".join(parts)


def directory_or_root(value: Any) -> Any:
    return "" if value == "." else directory(value)


def one_or_many(value: Any) -> Any:
    # A tuple, because a validator's result is taken strictly, as Python.
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


ByteCount = Annotated[
    int,
    BeforeValidator(byte_count),
    WithJsonSchema({
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": LARGEST},
            {"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["64KiB", "2.5MiB"]},
        ]
    }),
]  # fmt: skip
"""Bytes."""

Mode = Annotated[
    str,
    BeforeValidator(mode),
    WithJsonSchema({"type": "string", "pattern": f"^{_MODE.pattern}$", "examples": ["0755"]}),
]

Day = Annotated[
    str,
    BeforeValidator(day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2027-03-01"]}),
]

DirectoryOrRoot = Annotated[
    str, BeforeValidator(directory_or_root), WithJsonSchema({"type": "string", "minLength": 1})
]
"""As `Directory`; the root itself is written "." and read ""."""

UrlPath = Annotated[str, BeforeValidator(url_path), WithJsonSchema({"type": "string", "pattern": "^/"})]

Directory = Annotated[str, BeforeValidator(directory), WithJsonSchema({"type": "string", "minLength": 1})]

OneOrMany = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(one_or_many),
    WithJsonSchema({
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ]
    }),
]  # fmt: skip
