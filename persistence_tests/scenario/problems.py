"""What validation says, in the words of somebody who edits the file: the place, what is wrong, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import Problem
from persistence_tests.scenario.document import Document, Location, describe, shorten
from persistence_tests.scenario.schema import keys_at
from persistence_tests.scenario.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


_SHORTER = {"should": "must", "greater than or equal to": "at least", "less than or equal to": "at most"}


def did_you_mean(word: str, words: Iterable[str], otherwise: str) -> str:
    """A remedy that names the nearest of `words`, or else all of them after the words of `otherwise`."""
    known = list(words)
    if near := nearest(word, known):
        return f"did you mean `{near}`?"
    return f"{otherwise} {listed(known)}" if known else "it has none"


def nearest(word: str, words: Iterable[str]) -> str | None:
    lowered = {each.lower(): each for each in words}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return lowered[near[0]] if near else None


def listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{shorten(word)}`" for word in words)


def dotted(location: Location) -> str:
    """ "writes.files" for ("writes", 0, "files")."""
    return ".".join(shorten(part) for part in location if isinstance(part, str))


def translate(document: Document, vocabulary: Vocabulary, errors: Iterable[ErrorDetails]) -> list[Problem]:
    """One problem for each error, and one where none of several alternatives of a value fits."""
    problems: dict[tuple[Location, str], Problem] = {}
    expected: dict[Location, list[str]] = {}
    found = list(errors)
    misspelt = {
        _meant(document, vocabulary, error["loc"]) for error in found if error["type"] == "extra_forbidden"
    }
    for error in found:
        location = _location(document, error)
        kind = error["type"]
        if kind == "missing" and location in misspelt:
            continue
        if kind == "too_short" and _value(document, location):
            continue  # its entries are wrong, and said to be
        if kind in _TYPES:
            expected.setdefault(location, []).append(_TYPES[kind])
        else:
            problem = _problem(document, vocabulary, location, error)
            problems.setdefault((location, problem.what), problem)
    for location, types in expected.items():
        value = describe(_value(document, location))
        what = f"`{dotted(location)}` must be {' or '.join(dict.fromkeys(types))}, this is {value}"
        remedy = _type_remedy(document, vocabulary, location, types)
        problems[location, what] = document.problem(location, what, remedy)
    return list(problems.values())


def _location(document: Document, error: ErrorDetails) -> Location:
    """Where the error is, without what pydantic adds: the names of alternatives, and `[key]` for a key."""
    location: Location = tuple(error["loc"])
    if error["type"] in {"missing", "extra_forbidden"}:
        return location
    known = document.known(location)
    # An event written as a bare name has no place of its own for the options that it lacks.
    return location if known[:1] == ("events",) and len(known) == 2 else known


def _problem(document: Document, vocabulary: Vocabulary, location: Location, error: ErrorDetails) -> Problem:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(document, vocabulary, location)
    if kind == "missing":
        return _missing_key(document, vocabulary, location)
    name, value = dotted(location), _value(document, location)
    if error["loc"][-1:] == ("[key]",):
        return document.problem(location, "a key is empty", "write the key before the colon", key=True)
    description = _description(vocabulary, location)
    if kind in {"enum", "literal_error"}:
        allowed = re.findall("'([^']*)'", str(context.get("expected", "")))
        what = f"`{name}` cannot be `{shorten(str(value))}`"
        otherwise = "it can only be" if len(allowed) == 1 else "it is one of"
        return document.problem(location, what, did_you_mean(str(value), allowed, otherwise))
    if kind in {"too_short", "string_too_short"} and context.get("min_length") == 1:
        return document.problem(location, f"`{name}` must not be empty", description)
    if kind == "scenario":
        return document.problem(location, f"`{name}`: {context['what']}", str(context["remedy"]))
    if kind == "value_error":
        what, _, remedy = str(context.get("error", error["msg"])).partition("; ")
        return document.problem(location, f"`{name}`: {what}", remedy or description)
    said = error["msg"].removeprefix("Input ").removeprefix("String ").removeprefix("Tuple ")
    for long, short in _SHORTER.items():
        said = said.replace(long, short)
    return document.problem(location, f"`{name}` {said}", description)


def unknown_key(document: Document, vocabulary: Vocabulary, location: Location) -> Problem:
    *parent, key = location
    inside, word = tuple(parent), str(key)
    shown = shorten(word)
    if inside == ("paths",):
        remedy = did_you_mean(word, vocabulary.paths, "the kinds of paths are")
        return document.problem(location, f"there is no kind of path `{shown}`", remedy, key=True)
    if inside[:1] == ("events",) and len(inside) == 2:
        remedy = did_you_mean(word, vocabulary.events, "the events are")
        return document.problem(location, f"there is no event `{shown}`", remedy, key=True)
    free = _free_keys(document, vocabulary, inside)
    where = f" in `{dotted(inside)}`" if inside else ""
    remedy = did_you_mean(word, free, "the keys not used yet are") if free else "remove it"
    return document.problem(location, f"unknown key `{shown}`{where}", remedy, key=True)


def _free_keys(document: Document, vocabulary: Vocabulary, inside: Location) -> list[str]:
    """The keys that the mapping at `inside` takes and does not have yet."""
    present = _value(document, inside)
    keys = keys_at(vocabulary, inside)
    return [name for name in keys if not isinstance(present, Mapping) or name not in present]


def _meant(document: Document, vocabulary: Vocabulary, unknown: Location) -> Location | None:
    """The key that an unknown one was probably meant to be."""
    *inside, key = unknown
    near = nearest(str(key), _free_keys(document, vocabulary, tuple(inside)))
    return (*inside, near) if near else None


def _missing_key(document: Document, vocabulary: Vocabulary, location: Location) -> Problem:
    *parent, key = location
    inside = tuple(parent)
    description = _phrase(keys_at(vocabulary, inside).get(str(key), ""))
    whose = f"`{dotted(inside)}`" if inside else "the scenario"
    remedy = f"add `{key}`" + (f": {description}" if description else "")
    return document.problem(inside, f"{whose} lacks the key `{key}`", remedy, key=True)


def _phrase(description: str) -> str:
    """A description from the schema, as the end of a sentence."""
    short = description.strip().removesuffix(".")
    return short[:1].lower() + short[1:] if short[1:2].islower() else short


def _value(document: Document, location: Location) -> Any:
    return document.at(document.known(location))


def _description(vocabulary: Vocabulary, location: Location) -> str | None:
    """What the value is for, or the nearest one around it that says so."""
    if keys := keys_at(vocabulary, location):
        return f"its keys are {listed(keys)}"
    while location:
        if text := keys_at(vocabulary, location[:-1]).get(str(location[-1])):
            return _phrase(text)
        location = location[:-1]
    return None


def _type_remedy(
    document: Document, vocabulary: Vocabulary, location: Location, expected: list[str]
) -> str | None:
    written = document.place(location).written
    value = _value(document, location)
    if "text" in expected and written is not None and value is not None:
        return f'put it in quotes: `"{shorten(written)}"`'
    if "a list" in expected and written:
        return f"write it in brackets: `[{shorten(written)}]`"
    if expected[0].endswith("number") and isinstance(value, str) and re.fullmatch("[0-9]+", value):
        return f"write it without quotes: `{shorten(value)}`"
    if "a mapping" in expected and (keys := keys_at(vocabulary, location)):
        return f"write its keys below it, indented: {listed(keys)}"
    return _description(vocabulary, location)
