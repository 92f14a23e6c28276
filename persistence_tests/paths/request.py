"""The request that makes one kind of operation on a server's files: "PUT /files/{name}"."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from persistence_tests.errors import UsageError
from persistence_tests.model.operation import Operation
from persistence_tests.paths.origin import fill, placeholders

OF_THE_NAME = frozenset({"name", "directory", "filename"})
"""`name` is the whole name below the root: `directory`, a slash and `filename`."""
OF_THE_TARGET = frozenset({"to", "to_directory", "to_filename"})
"""The same of the name that a rename leads to."""

_REQUEST = re.compile(r"([A-Z]+) (/\S*)")


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """Method and URL; `multipart` is the form field that carries the content, None where the body does.

    The URL and the values of `headers` hold placeholders in braces; what fills them is percent-encoded. `form` is the
    body of a request without content; what fills its values is not.
    """

    method: str
    url: str
    multipart: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(
        cls,
        line: str,
        multipart: str | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> RequestTemplate:
        """`line` is "METHOD /url"; UsageError where it is none, or holds unknown placeholders."""
        said = _REQUEST.fullmatch(line.strip())
        template = cls(said[1], said[2], multipart, headers or {}, form or {}) if said else None
        if template is None or template.placeholders - OF_THE_NAME - OF_THE_TARGET:
            raise UsageError(
                f"not a request: {line!r}",
                remedy='a method and a path, such as "POST /api/v1/media/{directory}"; '
                "placeholders are {name}, {directory} and {filename}, and {to} where something is renamed",
            )
        return template

    @property
    def placeholders(self) -> set[str]:
        return {found for text in self._texts() for found in placeholders(text)}

    def filled(self, operation: Operation) -> tuple[str, dict[str, str]]:
        """The target of the request line, and the headers."""
        values = names_of(operation)
        return fill(self.url, values), {name: fill(text, values) for name, text in self.headers.items()}

    def _texts(self) -> Iterator[str]:
        yield self.url
        yield from self.headers.values()


def names_of(operation: Operation) -> dict[str, str]:
    """What fills the placeholders of a request."""
    values = _parts("name", "directory", "filename", operation.name)
    return values | _parts("to", "to_directory", "to_filename", operation.target or "")


def _parts(whole: str, directory: str, filename: str, name: str) -> dict[str, str]:
    return {whole: name, directory: posixpath.dirname(name), filename: posixpath.basename(name)}
