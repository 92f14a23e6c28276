"""What a record of a configuration must not tell: secrets."""

from __future__ import annotations

import re
from typing import Any

SECRET_KEY = re.compile(r"pass(word|wd|phrase)?|secret|token|key|credential|private", re.IGNORECASE)
URL_PASSWORD = re.compile(r"(?P<start>[a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@", re.IGNORECASE)
HIDDEN = "***"

# Under these keys an entry's own key says whether it is a secret; elsewhere "key" is mostly no secret.
VALUED = ("environment", "args", "labels", "build_args", "driver_opts")


def redacted(config: Any) -> Any:
    """A resolved configuration without the values of secrets, the content of secrets, and passwords in URLs."""
    return _redact(config, ())


def _redact(node: Any, place: tuple[str, ...]) -> Any:
    if isinstance(node, dict):
        return {key: _entry(key, value, place) for key, value in node.items()}
    if isinstance(node, list):
        return [_redact(item, place) for item in node]
    if isinstance(node, str):
        return URL_PASSWORD.sub(rf"\g<start>:{HIDDEN}@", node)
    return node


def _entry(key: str, value: Any, place: tuple[str, ...]) -> Any:
    parent = place[-1] if place else ""
    is_value = isinstance(value, str | int | float) and not isinstance(value, bool)
    if is_value and parent in VALUED and SECRET_KEY.search(key):
        return HIDDEN
    if is_value and key == "content" and place[:1] in (("secrets",), ("configs",)):
        return HIDDEN
    return _redact(value, (*place, key))
