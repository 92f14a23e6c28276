r"""Makes text from a stack safe to show: names, logs, headers and answers may hold anything.

The one place where that happens. A character that a terminal, a page or a reader could take for another, or for a
command, becomes an escape (`\n`, `\x1b`, `\u202e`, `\udc80` for a byte that is no UTF-8); a backslash that could be
taken for the beginning of one is doubled, and a letter that could be written as one character shows its parts.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import Any, TypeVar

T = TypeVar("T")

NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
BACKSLASHES = re.compile(r"\\(?=[\\xuUnrt]|[^ -~])")
# Controls, formats (bidi among them), surrogates, private use, unassigned, separators of lines and paragraphs.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """One line without any character that acts instead of being seen; unambiguous."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    text = BACKSLASHES.sub(r"\\\\", text)
    decomposed = unicodedata.normalize("NFC", text) != text
    return "".join(
        _escaped(character)
        if _hidden(character) or (decomposed and unicodedata.combining(character))
        else character
        for character in text
    )


def printed(value: T) -> T:
    """The same dataclass, list or mapping with every text in it made `printable`."""
    copy: Any = value
    if isinstance(value, str):
        copy = printable(value) if type(value) is str else value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: printed(getattr(value, field.name)) for field in dataclasses.fields(value)}
        copy = dataclasses.replace(value, **fields)
    elif isinstance(value, dict):
        copy = {printed(key): printed(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        copy = type(value)(printed(inner) for inner in value)
    return copy  # type: ignore[no-any-return]


def plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def lines(text: str) -> list[str]:
    """The lines of a message of several lines, such as the last ones of a log, each `printable`."""
    return [printable(line) for line in text.split("\n")]


def _hidden(character: str) -> bool:
    if " " <= character <= "~":
        return False
    # A space that is not the common one looks like it.
    return unicodedata.category(character) in HIDDEN or (character.isspace() and character != " ")


def _escaped(character: str) -> str:
    code = ord(character)
    if character in NAMED:
        return NAMED[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
