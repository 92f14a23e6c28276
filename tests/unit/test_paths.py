"""The pure parts of paths: durations, frames, and the table."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from persistence_tests.duration import Duration, seconds
from persistence_tests.errors import UsageError
from persistence_tests.model.operation import (
    Acknowledgement,
    Operation,
    OperationKind,
    PayloadKind,
    PayloadSpec,
)
from persistence_tests.model.payload import Payload
from persistence_tests.paths import PATHS, kind
from persistence_tests.paths.direct import DirectConfig, DirectPath
from persistence_tests.paths.frames import REFUSALS, Overwriting, header, refused
from persistence_tests.paths.volume import VolumeConfig

# The table


def test_the_table_is_read_without_importing_what_it_names() -> None:
    script = (
        "import sys; from persistence_tests.paths import PATHS, kind; assert kind('api') is PATHS['api']; "
        "heavy = {'docker', 'requests', 'pydantic', 'http.client', 'sqlalchemy', 'psycopg'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_kind_has_a_documented_configuration() -> None:
    assert list(PATHS) == ["volume", "direct", "api", "proxy", "database"]
    for found in PATHS.values():
        assert issubclass(found.config, BaseModel)
        assert found.config.model_config["extra"] == "forbid"
        schema = found.config.model_json_schema()
        assert schema["description"] and schema["additionalProperties"] is False
        assert all(field.get("description") for field in schema["properties"].values()), schema


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as raised:
        kind("ftp")
    assert "volume, direct, api, proxy" in (raised.value.remedy or "")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"volume": "a", "bind": "b"},
        {"volume": "a", "under": "/b"},
        {"volume": "a", "under": "b/../.."},
        {"x": 1},
    ],
)
def test_wrong_volume_configurations_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        VolumeConfig(**wrong)


def test_under_is_made_plain() -> None:
    assert VolumeConfig(volume="a", under="./b//c/").under == "b/c"
    assert VolumeConfig(volume="a", under="./").under is None
    assert DirectConfig(service="a", root="/srv/files/").root == "/srv/files"
    assert DirectConfig(service="a", root="/", under="./b//c/").under == "b/c"
    stack: Any = None
    roots = {
        DirectPath("direct", DirectConfig(service="a", root=root, under=under), stack).declared.root
        for root, under in (("/", "b/c"), ("/b/", "c"), ("/b/c", None), ("/b/c/", "."))
    }
    assert roots == {"/b/c"}
    with pytest.raises(ValidationError):
        DirectConfig(service="a", root="/", under="../b")
    with pytest.raises(ValidationError):
        DirectConfig(service="a", root="files")


# Durations


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5s", 5.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1.5 s", 1.5),
        (" 60s ", 60.0),
        (3, 3.0),
        (0.5, 0.5),
    ],
)
def test_durations(written: object, expected: float) -> None:
    assert seconds(written) == expected


@pytest.mark.parametrize(
    "written", ["", "5", "s", "-1s", "5 seconds", "1m30s", -1, True, None, float("inf"), float("nan"), []]
)
def test_what_is_no_duration_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(ValueError, match="250ms, 5s or 2m"):
        seconds(written)


def test_a_duration_in_a_model() -> None:
    class Model(BaseModel):
        within: Duration = 1.0

    assert Model(within="2m").within == 120.0  # type: ignore[arg-type]
    assert "anyOf" in Model.model_json_schema()["properties"]["within"]
    with pytest.raises(ValidationError, match="not a duration"):
        Model(within="soon")  # type: ignore[arg-type]


# Archives


def operation(kind_of: OperationKind, acknowledgement: Acknowledgement = Acknowledgement.FSYNC) -> Operation:
    payload = PayloadSpec("run", 1, PayloadKind.BYTES, 5, "00") if kind_of is OperationKind.CREATE else None
    target = "c/d" if kind_of is OperationKind.RENAME else None
    return Operation(1, kind_of, "a/b", "direct", 0, acknowledgement, False, payload, target)


def test_what_is_synced_before_an_operation_counts() -> None:
    assert header(operation(OperationKind.CREATE)) == b"create 0 5 a/b . - - a/b a\n"
    assert header(operation(OperationKind.CREATE, Acknowledgement.EXIT_0)) == b"create 0 5 a/b . - -\n"
    assert header(operation(OperationKind.DELETE)) == b"delete 0 0 a/b . - - a\n"
    assert header(operation(OperationKind.RENAME)) == b"rename 0 0 a/b c/d - - c/d c a\n"
    overwrite = operation(OperationKind.OVERWRITE)
    assert header(overwrite) == b"truncate 0 0 a/b . - - a/b a\n"
    assert header(overwrite, Overwriting.IN_PLACE) == b"in-place 0 0 a/b . - - a/b a\n"
    assert header(overwrite, Overwriting.REPLACE) == b"replace 0 0 a/b a/.replacing\\00551.tmp - - a/b a\n"
    assert header(operation(OperationKind.MKDIR)) == b"mkdir 0 0 a/b . - - a/b a .\n"
    linked = replace(operation(OperationKind.LINK), link="c/d", target=None)
    assert header(linked) == b"link 0 0 a/b c/d - - a/b a\n"
    assert header(replace(linked, kind=OperationKind.SYMLINK)) == b"symlink 0 0 a/b c/d - - a\n"
    marked = replace(operation(OperationKind.CREATE, Acknowledgement.EXIT_0), mode="0604", xattr="00ff")
    assert header(marked) == b"create 0 5 a/b . 0604 00ff\n"
    hole = Payload.hole(PayloadKind.SPARSE)
    sparse = replace(marked, payload=PayloadSpec("run", 1, PayloadKind.SPARSE, hole + 99, "aa"))
    assert header(sparse) == f"create {hole} 99 a/b . 0604 00ff\n".encode()


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(OperationKind), st.binary(max_size=50), st.booleans())
def test_a_failure_is_a_refusal_only_for_a_known_reason_and_before_any_content(
    kind_of: OperationKind, complaint: bytes, sent: bool
) -> None:
    assume(not any(reason in complaint for reason in REFUSALS))
    known = complaint + b": Permission denied"
    assert not refused(operation(kind_of), complaint + b": Input/output error", sent)
    assert not refused(operation(kind_of), known, True)
    assert refused(operation(kind_of), known, False) is (
        kind_of not in (OperationKind.RENAME, OperationKind.MKDIR)
    )
