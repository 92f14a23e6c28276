"""Records come back from their encoded form as they were, and nothing else is taken for one."""

from __future__ import annotations

import dataclasses
import json
import time
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.errors import HistoryError
from persistence_tests.model.codec import decode, encode
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    Outcome,
    PayloadKind,
    PayloadSpec,
    PromiseClass,
)
from persistence_tests.model.records import (
    RECORD_TYPES,
    Completed,
    DataFate,
    Invoked,
    PathObserved,
    Phase,
    Record,
    RunBegan,
    StepBegan,
    StepEnded,
)

STRINGS = st.text(
    st.characters(exclude_categories=()), max_size=8
)  # surrogates too: names of undecodable bytes
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=5,
)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: STRINGS,
    int: st.integers(),
    bool: st.booleans(),
    float: FLOATS,
    Any: JSON,
    NoneType: st.none(),
}


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    if hint in SCALARS:
        return SCALARS[hint]
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{f.name: of_type(hints[f.name]) for f in dataclasses.fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return st.one_of(*map(of_type, arguments))
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=2)
    items = st.lists(of_type(arguments[0]), max_size=2)
    return items if origin is list else items.map(tuple)


@pytest.mark.parametrize("cls", RECORD_TYPES, ids=lambda cls: cls.__name__)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_every_record_survives_the_round_trip(cls: type, data: st.DataObject) -> None:
    record = data.draw(of_type(cls))
    line = json.dumps(encode(record), allow_nan=False)
    assert decode(cls.__name__, json.loads(line)) == record


def test_fields_with_their_defaults_are_left_out() -> None:
    observed = PathObserved("restart", Phase.AFTER, "api", "http", {"a": Observation(NodeKind.ABSENT)})
    assert encode(observed) == {
        "step": "restart",
        "phase": "after",
        "path": "api",
        "method": "http",
        "observations": {"a": {"kind": "absent"}},
    }
    assert decode("PathObserved", encode(observed)) == observed


def encoded_invocation() -> dict[str, Any]:
    payload = PayloadSpec("run-1", 7, PayloadKind.PNG, 4096, "0" * 64)
    operation = Operation(
        7,
        OperationKind.CREATE,
        "admin/a.png",
        "api",
        0,
        Acknowledgement.HTTP_2XX,
        atomic=True,
        payload=payload,
    )
    return encode(Invoked(operation))


@pytest.mark.parametrize(
    ("place", "value", "where", "what"),
    [
        (("operation", "payload", "size"), "4096", "Invoked.operation.payload.size", "not an integer"),
        (("operation", "payload", "size"), True, "Invoked.operation.payload.size", "not an integer"),
        (("operation", "atomic"), 1, "Invoked.operation.atomic", "not true or false"),
        (("operation", "kind"), "truncate", "Invoked.operation.kind", "not one of create"),
        (("operation", "kind"), None, "Invoked.operation.kind", "not one of create"),
        (("operation", "name"), None, "Invoked.operation.name", "not a string"),
        (("operation", "payload"), [1], "Invoked.operation.payload", "not a mapping"),
        (("operation", "colour"), "red", "Invoked.operation.colour", "has no field 'colour'"),
        (("operation",), None, "Invoked.operation", "not a mapping"),
    ],
)
def test_a_wrong_value_is_named(place: tuple[str, ...], value: Any, where: str, what: str) -> None:
    values = encoded_invocation()
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    with pytest.raises(HistoryError, match=what) as raised:
        decode("Invoked", values)
    assert raised.value.where == where


def test_a_missing_field_is_named() -> None:
    values = encoded_invocation()
    del values["operation"]["payload"]["run"]
    with pytest.raises(HistoryError, match="'run' is missing") as raised:
        decode("Invoked", values)
    assert raised.value.where == "Invoked.operation.payload.run"


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(HistoryError, match="no record of type 'Span'"):
        decode("Span", {})
    with pytest.raises(HistoryError, match="Observation is not a type of record"):
        encode(Observation(NodeKind.ABSENT))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (StepEnded("up", float("nan")), "StepEnded.seconds"),
        (StepEnded("up", "1"), "StepEnded.seconds"),  # type: ignore[arg-type]
        (Completed(1, "ok"), "Completed.outcome"),  # type: ignore[arg-type]
        (Completed(1, Outcome.OK, status="201"), "Completed.status"),  # type: ignore[arg-type]
        (RunBegan("r", 1, "1", "now", {"a": 1}), "RunBegan.environment.a"),  # type: ignore[dict-item]
        (
            StepBegan("s", "e", "t", PromiseClass.POWER_LOSS, DataFate.KEPT, {"services": [("api",)]}),
            "StepBegan.options.services[0]",
        ),
    ],
)  # fmt: skip
def test_a_record_with_a_wrong_value_is_not_written(record: Record, where: str) -> None:
    with pytest.raises(HistoryError) as raised:
        encode(record)
    assert raised.value.where == where


def test_a_whole_number_of_seconds_is_a_number() -> None:
    assert decode("StepEnded", {"step": "up", "seconds": 2}) == StepEnded("up", 2.0)
    with pytest.raises(HistoryError, match="not a finite number"):
        decode("StepEnded", {"step": "up", "seconds": 10**400})


def test_twenty_thousand_records_are_encoded_within_a_second() -> None:
    values = encoded_invocation()
    records = [decode("Invoked", values), Completed(7, Outcome.OK, "201 Created", 201)] * 10_000
    began = time.process_time()
    for record in records:
        encode(record)
    assert time.process_time() - began < 1


def test_options_are_kept_as_they_are() -> None:
    step = decode(
        "StepBegan",
        {"step": "kill", "event": "kill", "title": "kill api", "promise": "process-crash", "fate": "kept"}
        | {"options": {"while": "writing", "signals": [9, None, 1.5, {"x": False}]}},
    )
    assert isinstance(step, StepBegan)
    assert step.options == {"while": "writing", "signals": [9, None, 1.5, {"x": False}]}
    assert decode("StepBegan", encode(step)) == step
