"""How a rule uploads besides its requests: headers, form fields, parts; and what of an answer counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from persistence_tests.paths.answer import NameTaking, Taking

OF_A_PART = frozenset({"offset", "end", "last", "length", "size", "part", "number", "parts"})
"""`end` is the offset behind the part, `last` that of its last byte; `part` counts from 0, `number` from 1."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An upload by several requests, each with a part of so many bytes; the last request's answer acknowledges it.

    `start` is sent first and without content, and `take` names what is taken from its answer; `finish` is sent
    last. Placeholders of the requests and headers: those of a name, those of a part, and what was taken.
    """

    size: int
    request: str
    headers: Mapping[str, str] = field(default_factory=dict)
    shuffled: bool = False
    start: str | None = None
    take: Mapping[str, Taking] = field(default_factory=dict)
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Uploading:
    """`accepts` are statuses besides 2xx that acknowledge a write, such as the redirect that follows a form."""

    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset()
    stored_as: NameTaking | None = None
    parts: Parts | None = None
