"""Values that are known to be secret, and texts without them, whatever surrounds them there.

A value is replaced wherever it stands only if it is so particular that it cannot be anything else: see
`is_particular`. What is no more than `admin` or `1` is hidden by its key and by its shape (`redaction`) only.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

from persistence_tests.errors import PersistenceError
from persistence_tests.model.redaction import HIDDEN, without_secrets, without_secrets_in

SHORTEST = 6
SHORTEST_OF_ONE_CLASS = 8  # letters only, digits only
FEWEST_CHARACTERS = 4  # different ones
SHORTEST_LINE = 16  # of a secret of several lines, such as a key

_ORDINARY = frozenset(
    {
        "administrator", "anonymous", "changeit", "changeme", "database", "default1", "development", "disabled",
        "elasticsearch", "enabled", "guest123", "localhost", "mariadb", "mongodb", "passw0rd", "password",
        "password1", "password123", "postgres", "postgresql", "production", "rabbitmq", "required", "secret123",
        "sha256sum", "superuser", "undefined", "username", "verify-full", "wordpress",
    }
)  # fmt: skip
_CLASSES = (re.compile(r"[^\W\d_]"), re.compile(r"\d"), re.compile(r"[\W_]"))
_PLACE = re.compile(r"\.{0,2}/[\w./-]*|[a-z][a-z0-9+.-]*://(?![^/\s]*@)\S*", re.IGNORECASE)


def is_particular(value: str) -> bool:
    """Whether a value is told by itself: 8 characters or more, or 6 of which some are digits or signs and some are not;
    four different ones; no well-known word, no path and no address without a password."""
    classes = sum(bool(pattern.search(value)) for pattern in _CLASSES)
    return (
        len(value) >= (SHORTEST if classes > 1 else SHORTEST_OF_ONE_CLASS)
        and len(set(value)) >= FEWEST_CHARACTERS
        and value.lower() not in _ORDINARY
        and not _PLACE.fullmatch(value)
    )


class Secrets:
    """What one run knows to be secret; it learns as it goes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._public: set[str] = set()
        self._forms: tuple[str, ...] = ()

    def add(self, *values: str) -> None:
        """Nothing that is written from now on shows any of these values; one that is not particular is left alone."""
        lines = {line.strip() for value in values for line in value.splitlines() if "\n" in value.strip()}
        found = {value.strip() for value in values} | {line for line in lines if len(line) >= SHORTEST_LINE}
        self._know(values=filter(is_particular, found))

    def publish(self, names: Iterable[str]) -> None:
        """These are names of the stack (services, volumes, directories): a report without them would say nothing."""
        self._know(names=names)

    def redact(self, text: str) -> str:
        """The text with `***` where a secret stands, or where something has the shape of one."""
        return without_secrets(self._without_known(text))

    def redact_in(self, node: Any) -> Any:
        """The same text, mapping or list without secrets in its texts; keys stay."""
        return without_secrets_in(self._replaced(node))

    @contextmanager
    def kept_from_errors(self) -> Iterator[None]:
        """What is raised in here and is for a user's eyes tells no secret."""
        try:
            yield
        except PersistenceError as error:
            error.reword(self.redact)
            raise

    def _without_known(self, text: str) -> str:
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text

    def _replaced(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._replaced(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [self._replaced(value) for value in node]
        return self._without_known(node) if isinstance(node, str) else node

    def _know(self, values: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        with self._lock:
            self._values.update(values)
            self._public.update(names)
            forms = {form for value in self._values - self._public for form in _forms(value)}
            # The longest first: one secret may hold another.
            self._forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _forms(value: str) -> Iterator[str]:
    """How a value stands in logs, addresses, documents and headers."""
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield html.escape(value)
    yield repr(value)[1:-1]
    yield base64.b64encode(value.encode(errors="replace")).decode().rstrip("=")
