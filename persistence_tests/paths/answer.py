"""What is taken from an answer: a token, the name under which a file is kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from email.message import Message
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

LONGEST = 1 << 20
"""Bytes of a body that are looked at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`cookies` are those that it sets; `to_login`: a redirect to where one logs in, which is a refusal."""

    status: int
    headers: Message
    body: bytes
    cookies: dict[str, str] = field(default_factory=dict)
    to_login: bool = False

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Taking(BaseModel):
    """One place of an answer: a JSON value, a header, a cookie, a form's field, or what a pattern finds in the body."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    json_path: str | None = Field(
        default=None,
        alias="json",
        min_length=1,
        description="Where it stands in a JSON body: keys and positions with dots between them.",
        examples=["data.path", "files.0.name"],
    )
    header: str | None = Field(
        default=None, min_length=1, description="The header that holds it.", examples=["Location"]
    )
    cookie: str | None = Field(
        default=None, min_length=1, description="The cookie that the answer sets.", examples=["csrftoken"]
    )
    field_of_form: str | None = Field(
        default=None,
        alias="input",
        min_length=1,
        description="The name of a form's field in an HTML body, such as a hidden one; its value is what is taken.",
        examples=["csrfmiddlewaretoken"],
    )
    pattern: str | None = Field(
        default=None,
        description="A regular expression for the body; its one group is what is taken.",
        examples=['name="csrf" value="([^"]+)"'],
    )

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                groups = re.compile(pattern).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"is no regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"must have one group, in parentheses; it has {groups}")
        return pattern

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in self._places.values()) != 1:
            raise ValueError("needs one of `json`, `header`, `cookie`, `input` and `pattern`")
        return self

    def of(self, answer: Answer) -> str | None:
        """What stands there; None where nothing does."""
        if self.json_path is not None:
            return _in_json(answer.body, self.json_path)
        if self.header is not None:
            return answer.headers.get(self.header)
        if self.cookie is not None:
            return answer.cookies.get(self.cookie)
        if self.field_of_form is not None:
            return _in_form(answer.text, self.field_of_form)
        found = re.search(self.pattern or "", answer.text)
        return found[1] if found else None

    @property
    def _places(self) -> dict[str, str | None]:
        return {
            "json": self.json_path,
            "header": self.header,
            "cookie": self.cookie,
            "input": self.field_of_form,
            "pattern": self.pattern,
        }

    def __str__(self) -> str:
        return next(f"{kind} {place}" for kind, place in self._places.items() if place is not None)


class NameTaking(Taking):
    """Where an answer says under which name the file is kept, and how that becomes a name below the root."""

    under: str | None = Field(
        default=None,
        min_length=1,
        description="What stands before the name and is cut off, such as the URL's `/media/`.",
        examples=["/media/"],
    )
    name: str = Field(
        default="{value}",
        description="The name below the root, where the answer holds only a part of it.",
        examples=["uploads/{value}", "{directory}/{value}.png"],
    )

    @field_validator("name")
    @classmethod
    def _holds_the_value(cls, name: str) -> str:
        if "{value}" not in name:
            raise ValueError('must contain "{value}"')
        return name

    def name_of(self, answer: Answer, directory: str) -> str:
        """The name; NameUnknown with the reason where the answer does not say it.

        A URL, or a path that begins with a slash, is percent-decoded and loses its query.
        """
        value = self.of(answer)
        if not value:
            raise NameUnknown(f"the answer has no {self}")
        if value.startswith(("/", "http://", "https://")) or self.header is not None:
            value = unquote(urlsplit(value).path, errors="surrogateescape")
        if self.under is not None:
            before, found, value = value.partition(self.under)
            if not found or before:
                raise NameUnknown(f"what the answer says does not begin with {self.under}")
        name = self.name.replace("{value}", value).replace("{directory}", directory).strip("/")
        if not name or "\0" in name or {"", ".", ".."} & set(name.split("/")):
            raise NameUnknown("what the answer says is no name below the root")
        return name


class NameUnknown(Exception):
    """The answer acknowledges a file and does not say where it is."""


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "input" and said.get("name") and said.get("value") is not None:
            self.found.setdefault(str(said["name"]), str(said["value"]))


def _in_form(page: str, name: str) -> str | None:
    """The value of the first field of this name."""
    fields = _Fields()
    fields.feed(page)
    return fields.found.get(name)


def _in_json(body: bytes, path: str) -> str | None:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return None
    for key in path.split("."):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)
