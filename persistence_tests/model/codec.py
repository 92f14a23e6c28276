"""Records as JSON-able mappings and back, derived from the types of their fields.

A field that has its default value is left out. Enumerations are their values, tuples are lists. Both ways
are strict: an unknown type or field, a field that is missing, or a value of another type than declared
raises HistoryError, whose `where` names the field ("Invoked.operation.payload.size").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from sys import intern
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from persistence_tests.errors import HistoryError
from persistence_tests.model.records import RECORD_TYPES, Record

# What surrounds a record's fields on its line of a history: no field may bear one of these names.
RESERVED = frozenset({"at", "check", "history", "scenario", "type"})

_Converter = Callable[[Any, str], Any]
_RECORDS: dict[str, type] = {record.__name__: record for record in RECORD_TYPES}


def encode(record: Record) -> dict[str, Any]:
    """The fields of a record; its type's name is the caller's to keep."""
    cls: type = type(record)
    name = cls.__name__
    if _RECORDS.get(name) is not cls:
        raise HistoryError(f"{name} is not a type of record")
    return cast("dict[str, Any]", _dataclass_encoder(cls)(record, name))


def decode(name: str, values: Mapping[str, Any]) -> Record:
    """The record of type `name` with the fields that `encode` gave."""
    cls = _RECORDS.get(name)
    if cls is None:
        raise HistoryError(
            f"there is no record of type {name!r}",
            remedy="read the history with the version that wrote it",
        )
    return cast("Record", _dataclass_decoder(cls)(values, name))


def is_number(value: Any) -> bool:
    """Whether `value` can be read as a finite float."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**63)


def _wrong(value: Any, expected: str, where: str) -> HistoryError:
    shown = repr(value)
    if len(shown) > 60:
        shown = shown[:57] + "..."
    return HistoryError(f"{shown} is not {expected}", where=where)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _default(field: Field[Any]) -> Any:
    """MISSING where it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


@cache
def _dataclass_encoder(cls: type) -> _Converter:
    plan = [(f.name, _default(f), _encoder(_hints(cls)[f.name])) for f in fields(cls)]

    def convert(value: Any, where: str) -> dict[str, Any]:
        if type(value) is not cls:
            raise _wrong(value, f"of type {cls.__name__}", where)
        encoded = {}
        for name, default, encoder in plan:
            item = getattr(value, name)
            # Most are: an observation has fourteen fields, and a file says six of them.
            if item is default or (type(item) is type(default) and item == default):
                continue
            encoded[name] = encoder(item, f"{where}.{name}")
        return encoded

    return convert


@cache
def _dataclass_decoder(cls: type) -> _Converter:
    decoders = {f.name: _decoder(_hints(cls)[f.name]) for f in fields(cls)}
    required = [f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING]

    def convert(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong(value, "a mapping", where)
        arguments = {}
        for name, item in value.items():
            decoder = decoders.get(name)
            if decoder is None:
                raise HistoryError(f"{cls.__name__} has no field {name!r}", where=f"{where}.{name}")
            arguments[name] = decoder(item, f"{where}.{name}")
        for name in required:
            if name not in arguments:
                raise HistoryError(f"the field {name!r} is missing", where=f"{where}.{name}")
        return cls(**arguments)

    return convert


@cache
def _encoder(hint: Any) -> _Converter:
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_encoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_encoder(hint)
    return _common(hint, _encoder, decoding=False)


@cache
def _decoder(hint: Any) -> _Converter:
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_decoder(hint)
    return _common(hint, _decoder, decoding=True)


def _common(hint: Any, inner: Callable[[Any], _Converter], *, decoding: bool) -> _Converter:
    if hint in _SCALARS:
        return _shared if decoding and hint is str else _SCALARS[hint]
    if hint is Any:
        return _plain
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType} and len(arguments) == 2 and NoneType in arguments:
        return _optional(inner(next(a for a in arguments if a is not NoneType)))
    if origin is dict and arguments[0] is str:
        return _mapping(inner(arguments[1]))
    if origin is list:
        return _sequence(inner(arguments[0]), list, list)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return _sequence(inner(arguments[0]), *((list, tuple) if decoding else (tuple, list)))
    raise TypeError(f"no codec for the type {hint!r} of a record's field")


def _string(value: Any, where: str) -> str:
    if type(value) is not str:
        raise _wrong(value, "a string", where)
    return value


def _shared(value: Any, where: str) -> str:
    """One string for all that are alike: a history names the same files and digests again and again."""
    return intern(_string(value, where))


def _integer(value: Any, where: str) -> int:
    if type(value) is not int:
        raise _wrong(value, "an integer", where)
    return value


def _boolean(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise _wrong(value, "true or false", where)
    return value


def _number(value: Any, where: str) -> float:
    if not is_number(value):
        raise _wrong(value, "a finite number", where)
    return float(value)


def _plain(value: Any, where: str) -> Any:
    """A value of the declared type Any: whatever JSON can say."""
    if isinstance(value, list):
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise _wrong(key, "a string, as the keys of a record's mappings must be", where)
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if value is None or type(value) in {str, int, bool} or is_number(value):
        return value
    raise _wrong(value, "a value that JSON has", where)


_SCALARS: dict[Any, _Converter] = {str: _string, int: _integer, bool: _boolean, float: _number}


def _optional(inner: _Converter) -> _Converter:
    return lambda value, where: None if value is None else inner(value, where)


def _sequence(inner: _Converter, given: type, wanted: type) -> _Converter:
    def convert(value: Any, where: str) -> Any:
        right = type(value) is given
        if not right:
            raise _wrong(value, f"a {given.__name__}", where)
        return wanted([inner(item, f"{where}[{n}]") for n, item in enumerate(value)])

    return convert


def _mapping(inner: _Converter) -> _Converter:
    def convert(value: Any, where: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong(value, "a mapping", where)
        for key in value:
            if type(key) is not str:
                raise _wrong(key, "a string, as the keys of a record's mappings must be", where)
        return {intern(key): inner(item, f"{where}.{key}") for key, item in value.items()}

    return convert


def _enum_encoder(cls: type[Enum]) -> _Converter:
    def convert(value: Any, where: str) -> Any:
        if type(value) is not cls:
            raise _wrong(value, f"a member of {cls.__name__}", where)
        return value.value

    return convert


def _enum_decoder(cls: type[Enum]) -> _Converter:
    members = {member.value: member for member in cls}

    def convert(value: Any, where: str) -> Any:
        if type(value) is not str or value not in members:
            raise _wrong(value, f"one of {', '.join(members)}", where)
        return members[value]

    return convert


for _record in RECORD_TYPES:
    if _clash := RESERVED & {f.name for f in fields(_record)}:
        raise TypeError(f"{_record.__name__} has a field with a reserved name: {', '.join(_clash)}")
