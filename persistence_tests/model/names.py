"""Names to write under: plain ones, and ones that stacks trip over.

Every component has at most 255 bytes of UTF-8 and bears `unique` and a number, so no two names of a run meet,
not even on a filesystem that folds case or normal forms.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from enum import StrEnum
from hashlib import blake2b
from random import Random
from typing import Literal

from persistence_tests.model.operation import PayloadKind

LONGEST = 255
"""Bytes of one component of a path, on every filesystem that Docker uses."""

SUFFIXES: dict[PayloadKind, str] = {
    PayloadKind.BYTES: ".bin",
    PayloadKind.TEXT: ".txt",
    PayloadKind.PNG: ".png",
    PayloadKind.JPEG: ".jpg",
    PayloadKind.PDF: ".pdf",
    PayloadKind.SPARSE: ".img",
}

NameStyle = Literal["plain", "hostile"]

_NESTING = 16
_LONGEST_UNIQUE = 64
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WORDS = ("avatar", "banner", "cover", "invoice", "logo", "menu", "photo", "receipt", "report", "thumbnail")


class NameTrait(StrEnum):
    """What makes a name hostile. A scenario leaves out those that its stack documents as refused."""

    SPACES = "spaces"
    QUOTES = "quotes"
    PERCENT = "percent"
    HASH = "hash"
    QUESTION_MARK = "question-mark"
    LEADING_DASH = "leading-dash"
    DOTS = "dots"
    SHELL = "shell"
    COMPOSED = "composed"
    DECOMPOSED = "decomposed"
    WIDE = "wide"
    LONG = "long"
    NESTED = "nested"


def names_for(
    seed: int,
    count: int,
    directory: str,
    suffix: str,
    style: NameStyle = "plain",
    *,
    unique: str = "",
    traits: Collection[NameTrait] = tuple(NameTrait),
) -> tuple[str, ...]:
    """`count` different names, POSIX paths relative to the store's root, a function of the arguments.

    `directory` is where they lie ("" for the root), `suffix` their ending (".png"). `unique` keeps the names
    of one step or rule apart from those of another (letters, digits, ".", "_", "-"; at most 64); by default
    it comes from the seed. Hostile names go through `traits` in turn, in an order of the seed; those of trait
    `nested` lie in further directories below `directory`. Raises ValueError where the arguments make no name.
    """
    if "/" in suffix or "\0" in suffix or len(suffix.encode()) > _LONGEST_UNIQUE:
        raise ValueError(f"{suffix!r} cannot end a name")
    if not unique:
        unique = blake2b(f"{seed} {directory}".encode(), digest_size=4).hexdigest()
    if not _SAFE.fullmatch(unique) or len(unique) > _LONGEST_UNIQUE:
        raise ValueError(f"{unique!r} cannot be a part of names")
    if style == "hostile" and not traits:
        raise ValueError("hostile names need at least one trait")
    random = Random(f"{seed} {directory} {unique}")
    order = [trait for trait in NameTrait if trait in traits]
    random.shuffle(order)
    prefix = directory.strip("/") + "/" if directory.strip("/") else ""
    names = []
    for number in range(1, count + 1):
        word = random.choice(_WORDS)
        token = f"{unique}-{number:04d}"
        if style == "plain":
            names.append(f"{prefix}{word}-{token}{suffix}")
        else:
            names.append(prefix + _HOSTILE[order[(number - 1) % len(order)]](word, token, suffix))
    return tuple(names)


def _long(word: str, token: str, suffix: str) -> str:
    start = f"{word}-{token}-"
    return start + "x" * (LONGEST - len((start + suffix).encode())) + suffix


def _nested(word: str, token: str, suffix: str) -> str:
    directories = "/".join(f"level {depth}" for depth in range(1, _NESTING + 1))
    return f"nested-{token}/{directories}/{word}{suffix}"


# The same letters in both normal forms: filesystems and servers that normalise confuse them.
_ACCENTED = "Crème brûlée Ångström"

_HOSTILE: dict[NameTrait, Callable[[str, str, str], str]] = {
    NameTrait.SPACES: lambda word, token, suffix: f" {word}  of {token} {suffix}",
    NameTrait.QUOTES: lambda word, token, suffix: f"{word} 'single' \"double\" `back` {token}{suffix}",
    NameTrait.PERCENT: lambda word, token, suffix: f"100% {word} %20 %2F %2e%2e %zz {token}{suffix}",
    NameTrait.HASH: lambda word, token, suffix: f"#{word}#fragment-{token}{suffix}",
    NameTrait.QUESTION_MARK: lambda word, token, suffix: f"{word}?v={token}&w=1+2;x{suffix}",
    NameTrait.LEADING_DASH: lambda word, token, suffix: f"-rf --{word}={token}{suffix}",
    NameTrait.DOTS: lambda word, token, suffix: f"..{word}...{token}..tar{suffix}",
    NameTrait.SHELL: lambda word, token, suffix: f"$HOME;{word}|*[{token}]{{a,b}}<>&!\\~{suffix}",
    NameTrait.COMPOSED: lambda word, token, suffix: (
        unicodedata.normalize("NFC", f"{_ACCENTED} {word} {token}") + suffix
    ),
    NameTrait.DECOMPOSED: lambda word, token, suffix: (
        unicodedata.normalize("NFD", f"{_ACCENTED} {word} {token}") + suffix
    ),
    NameTrait.WIDE: lambda word, token, suffix: f"写真 фото صورة 👩‍👩‍👧 {word} {token}{suffix}",
    NameTrait.LONG: _long,
    NameTrait.NESTED: _nested,
}
