"""A YAML file as plain values with the place of each: what every later message about the file points to."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from persistence_tests.errors import Problem

Location = tuple[str | int, ...]
"""Keys and list indices from the top of the file: ("events", 1, "kill", "service")."""

LARGEST_FILE = 64 * 1024
DEEPEST = 20
MOST_VALUES = 5_000

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, and where its key does; lines and columns count from 1.

    `written` is a scalar as the file has it ("0755"), None for a mapping or a list.
    """

    line: int
    column: int
    key_line: int
    key_column: int
    written: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """`data` consists of dict, list, str, int, float, bool and None; `places` has each value's location.

    `unread` are the locations whose value could not be read: what stands in `data` there means nothing.
    """

    file: str
    data: Any
    places: dict[Location, Place] = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)
    unread: frozenset[Location] = frozenset()

    def known(self, location: Location) -> Location:
        """The longest beginning of `location` that stands in the file."""
        while location and location not in self.places:
            location = location[:-1]
        return location

    def at(self, location: Location) -> Any:
        """The value at a location that stands in the file."""
        value = self.data
        for part in location:
            value = value[part]
        return value

    def place(self, location: Location) -> Place:
        return self.places[self.known(location)]

    def line_of(self, location: Location) -> str:
        """The whole line on which a value (or its key, if it has one) begins, with its indentation."""
        return self.lines[self.place(location).key_line - 1].rstrip()

    def problem(
        self, location: Location, what: str, remedy: str | None = None, *, key: bool = False
    ) -> Problem:
        """A problem at the value at `location`, or at its key."""
        place = self.place(location)
        line, column = (place.key_line, place.key_column) if key else (place.line, place.column)
        return Problem(what, self.file, line, column, remedy)


def read(file: str, content: bytes) -> tuple[Document | None, list[Problem]]:
    """The document that `content` holds, or None, and everything wrong with it as YAML.

    YAML 1.2, one document, a mapping at the top. Duplicate keys, tags, merge keys, keys that are no
    text and values without end (`.nan`, aliases of aliases) are problems. Never raises for what a file holds.
    """
    if len(content) > LARGEST_FILE:
        size = f"{len(content) / 1024:.0f} KiB"
        return None, [
            Problem(
                f"the file is too large for a scenario: {size}",
                file,
                1,
                1,
                f"a scenario file has at most {LARGEST_FILE // 1024} KiB: check that this is the right file",
            )
        ]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return None, [_not_utf8(file, content, error)]
    root, problem = _compose(file, text)
    if problem is not None:
        return None, [problem]
    lines = tuple(_LINE_END.split(text))
    if root is None:
        return None, [
            Problem(
                "the file is empty",
                file,
                1,
                1,
                "a scenario has at least the keys `stack`, `paths`, `writes` and `events`",
            )
        ]
    reading = _Reading(file)
    try:
        data = reading.value(root, (), _mark(root))
    except _EndlessError as endless:
        line, column = endless.mark
        return None, [Problem(endless.what, file, line, column, endless.remedy)]
    if not isinstance(data, dict):
        line, column = _mark(root)
        what = f"a scenario is a mapping of keys, this is {describe(data)}"
        return None, [Problem(what, file, line, column, "begin with `stack:` at the start of a line")]
    return Document(file, data, reading.places, lines, frozenset(reading.unread)), reading.problems


def describe(value: Any) -> str:
    """What kind of value this is, in the words of a message."""
    match value:
        case None:
            return "empty"
        case bool():
            return "a truth value"
        case int():
            return "a whole number"
        case float():
            return "a decimal number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _not_utf8(file: str, content: bytes, error: UnicodeDecodeError) -> Problem:
    before = content[: error.start].decode("utf-8-sig", errors="replace")
    lines = _LINE_END.split(before)
    return Problem(
        f"the file is not UTF-8 text: byte 0x{content[error.start]:02x} cannot be read",
        file,
        len(lines),
        len(lines[-1]) + 1,
        "save the file as UTF-8",
    )


def _compose(file: str, text: str) -> tuple[Any, Problem | None]:
    """The root node of the document in `text`, None if there is none; or what keeps it from being read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            yaml = YAML(typ="safe", pure=True)
            yaml.max_depth = DEEPEST  # further down it takes seconds, and ends in a RecursionError
            return yaml.compose(text), None
    except ReaderError as error:
        lines = _LINE_END.split(text[: error.position])
        what = f"the character U+{error.character:04X} may not stand in a YAML file"
        remedy = "remove it, or check that this is a text file"
        return None, Problem(what, file, len(lines), len(lines[-1]) + 1, remedy)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if "maximum depth" in str(error.problem):
            return None, Problem(_NESTED, file, line, column, _TOO_DEEP)
        parts = [part for part in (error.context, error.problem) if part]
        what = f"not valid YAML: {', '.join(parts)}"
        return None, Problem(what, file, line, column, _syntax_remedy(str(error.problem)))
    except YAMLError as error:
        return None, Problem(f"not valid YAML: {error}", file, 1, 1, None)
    except RecursionError:
        return None, Problem(_NESTED, file, 1, 1, _TOO_DEEP)
    except (ValueError, AssertionError, IndexError, KeyError, TypeError, AttributeError) as error:
        # The scanner itself stumbles over some inputs, such as a YAML version that is too long a number.
        return None, Problem(f"not valid YAML: {error}", file, 1, 1, "check the file with another reader")


_NESTED = "the values are nested too deeply"
_ALIASES = "check the aliases (`*name`)"
_TOO_DEEP = f"a scenario needs no more than {DEEPEST} levels: check the brackets and the indentation"


def _syntax_remedy(problem: str) -> str | None:
    for sign, remedy in _SYNTAX_REMEDIES.items():
        if sign in problem:
            return remedy
    return "check the indentation, the brackets and the quotes on this line and the one above"


_SYNTAX_REMEDIES = {
    "'\\t'": "indent with spaces, YAML allows no tabs",
    "undefined alias": "define the anchor with `&name` before it is used",
    "another document": "a scenario file holds one scenario: remove the line `---` and what follows",
    "mapping values are not allowed": "quote a value that holds `: `, and check the indentation",
    "end of stream": "close the quote or the bracket that is still open",
    "<stream end>": "close the quote or the bracket that is still open",
}


def _mark(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


class _EndlessError(Exception):
    def __init__(self, what: str, mark: tuple[int, int], remedy: str) -> None:
        super().__init__(what)
        self.what, self.mark, self.remedy = what, mark, remedy


class _Reading:
    """Turns nodes into values and remembers where each stood."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.places: dict[Location, Place] = {}
        self.unread: set[Location] = set()

    def value(self, node: Any, location: Location, key: tuple[int, int]) -> Any:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        mark = _mark(node)
        written = node.value if isinstance(node, ScalarNode) else None
        self.places[location] = Place(*mark, *key, written)
        if len(location) > DEEPEST:
            raise _EndlessError(_NESTED, mark, _TOO_DEEP)
        if len(self.places) > MOST_VALUES:
            raise _EndlessError(f"the file holds more than {MOST_VALUES} values", mark, _ALIASES)
        tag = str(node.tag)
        if isinstance(node, MappingNode) and tag == f"{_TAG}map":
            return {
                name: self.value(child, (*location, name), _mark(name_node))
                for name, name_node, child in self._entries(node)
            }
        if isinstance(node, SequenceNode) and tag == f"{_TAG}seq":
            return [self.value(child, (*location, i), _mark(child)) for i, child in enumerate(node.value)]
        if isinstance(node, ScalarNode) and tag.startswith(_TAG):
            return self._scalar(node, location, tag.removeprefix(_TAG))
        self.unread.add(location)
        self._report(node, f"the tag `{tag.replace(_TAG, '!!')}` is not read here", "remove the tag")
        return None

    def _entries(self, node: Any) -> Iterator[tuple[str, Any, Any]]:
        seen: dict[str, int] = {}
        for name_node, child in node.value:
            tag, name = str(name_node.tag), name_node.value
            if tag == f"{_TAG}merge":
                self._report(name_node, "merge keys (`<<`) are not read here", "write the keys out")
            elif tag != f"{_TAG}str" or not isinstance(name, str):
                shown = f"`{shorten(name)}`" if isinstance(name, str) else "a list or a mapping"
                self._report(name_node, f"a key must be text, this is {shown}", "put the key in quotes")
            elif name in seen:
                what = f"the key `{shorten(name)}` stands here twice, first on line {seen[name]}"
                self._report(name_node, what, "remove one of the two")
            elif self._whole(name_node):
                seen[name] = _mark(name_node)[0]
                yield name, name_node, child

    def _scalar(self, node: Any, location: Location, kind: str) -> Any:
        text: str = node.value
        try:
            match kind:
                case "str" | "timestamp":
                    if self._whole(node):
                        return text
                    self.unread.add(location)
                    return ""
                case "null":
                    return None
                case "bool":
                    return text.lower() in {"true", "yes", "on"}
                case "int":
                    return _integer(text)
                case "float":
                    number = float(text.replace("_", ""))
                    if math.isfinite(number):
                        return number
        except ValueError:
            pass
        self.unread.add(location)
        if kind == "float":
            self._report(node, f"`{shorten(text)}` is no finite number", "write a number")
            return 0.0
        if kind == "int":
            self._report(node, f"`{shorten(text)}` is no whole number", "write a number, or put it in quotes")
            return 0
        self._report(node, f"the tag `!!{kind}` is not read here", "remove the tag")
        return None

    def _whole(self, node: Any) -> bool:
        """Whether the text can be written as UTF-8: an escape can make half of a surrogate pair."""
        if any("\ud800" <= character <= "\udfff" for character in node.value):
            self._report(node, "the text holds half of a surrogate pair", "write the character itself")
            return False
        return True

    def _report(self, node: Any, what: str, remedy: str) -> None:
        line, column = _mark(node)
        self.problems.append(Problem(what, self.file, line, column, remedy))


def _integer(text: str) -> int:
    """A YAML integer; ValueError for what is none, and for one too long to mean anything."""
    digits = text.replace("_", "").lower()
    if len(digits) > 18:
        raise ValueError(text)
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    for prefix, base in (("0x", 16), ("0o", 8), ("0b", 2)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits)


def shorten(text: str, most: int = 60) -> str:
    """`text` on one line and without control characters, cut where it gets too long for a message."""
    flat = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in " ".join(text.split())
    )
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"
