"""ctrf.json: what the format demands, and the same counts as the result.

The format's own schema is not copied here. `SCHEMA` says the part of it that is used, written from its specification,
version 1.0.0 (https://ctrf.io/docs/category/specification): closed objects, required keys, types and words.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import jsonschema
import pytest

from persistence_tests.model.records import Entry
from persistence_tests.report.build import build
from persistence_tests.report.ctrf import ctrf
from tests.unit.report_histories import PATHS, RunPlay, faulted, kept, skipped, wiped


def _closed(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**properties, "extra": {"type": "object"}},
        "additionalProperties": False,
    }


TEXT: dict[str, Any] = {"type": "string"}
NAME = {"type": "string", "minLength": 1}
WHOLE = {"type": "integer", "minimum": 0}
STATUSES = ("passed", "failed", "skipped", "pending", "other")
STATUS = {"enum": list(STATUSES)}
UUID = {"type": "string", "format": "uuid"}
TEXTS = {"type": "array", "items": TEXT}
TEST = _closed(
    ["name", "status", "duration"],
    id=UUID,
    name=NAME,
    status=STATUS,
    duration=WHOLE,
    suite={**TEXTS, "minItems": 1},
    message=TEXT,
    trace=TEXT,
    snippet=TEXT,
    line=WHOLE,
    rawStatus=TEXT,
    tags=TEXTS,
    labels={"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
    type=TEXT,
    filePath=TEXT,
    steps={"type": "array", "items": _closed(["name", "status"], name=TEXT, status=STATUS)},
)
SUMMARY = _closed(
    ["tests", *STATUSES, "start", "stop"],
    tests=WHOLE,
    passed=WHOLE,
    failed=WHOLE,
    skipped=WHOLE,
    pending=WHOLE,
    other=WHOLE,
    suites=WHOLE,
    start=WHOLE,
    stop=WHOLE,
    duration=WHOLE,
)
ENVIRONMENT = _closed(
    reportName=TEXT,
    appName=TEXT,
    osRelease=TEXT,
    osVersion=TEXT,
    healthy={"type": "boolean"},
)
SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    **_closed(
        ["results", "reportFormat", "specVersion"],
        reportFormat={"const": "CTRF"},
        specVersion={"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
        reportId=UUID,
        timestamp={"type": "string", "format": "date-time"},
        generatedBy=TEXT,
        results=_closed(
            ["tool", "summary", "tests"],
            tool=_closed(["name"], name=NAME, version=TEXT),
            summary=SUMMARY,
            tests={"type": "array", "items": TEST},
            environment=ENVIRONMENT,
        ),
    ),
}
ENDS: dict[str, tuple[Callable[[], RunPlay], dict[str, int]]] = {
    "kept": (kept, {"passed": 3}),
    "lost": (wiped, {"passed": 1, "failed": 1}),
    "skipped": (skipped, {"passed": 2, "skipped": 1}),
}


def document(entries: Sequence[Entry]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(ctrf(build(entries))))
    jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(made)
    return made


@pytest.mark.parametrize("end", ENDS)
def test_a_step_is_a_test(end: str) -> None:
    play, counts = ENDS[end]
    entries = play().entries()
    made = document(entries)["results"]
    assert [test["rawStatus"] for test in made["tests"]] == [
        str(step.verdict) for step in build(entries).steps
    ]
    assert {status: made["summary"][status] for status in STATUSES} == dict.fromkeys(STATUSES, 0) | counts
    assert made["summary"]["tests"] == len(made["tests"]) == sum(counts.values())
    assert made["summary"]["extra"]["verdict"] == end
    assert made["environment"]["healthy"] is (end == "kept")


def test_what_is_inconclusive_is_neither_passed_nor_failed() -> None:
    made = document(faulted().entries())["results"]
    step = next(test for test in made["tests"] if test["labels"]["step"] == "restart")
    assert (step["status"], step["rawStatus"]) == ("other", "inconclusive")
    assert "docker compose kill" in step["message"]


def test_a_loss_says_where_and_what() -> None:
    made = document(wiped().entries())["results"]
    lost = made["tests"][1]
    assert lost["line"] == 14 and lost["filePath"] == "scenarios/shop.persistence.yaml"
    assert lost["snippet"] == "  - restart"
    assert lost["message"].startswith("PV001: 3 names missing")
    assert "Reproduce with:" in lost["trace"]
    assert "PV001" in lost["tags"]
    paths = [step for step in lost["steps"] if step["name"].startswith("path ")]
    assert [step["status"] for step in paths] == ["failed"] * len(PATHS)
    assert made["tests"][0].keys() & {"message", "trace"} == set()


def test_times_are_of_the_run() -> None:
    entries = kept().entries()
    made = document(entries)
    summary = made["results"]["summary"]
    assert summary["start"] == 1798859045000
    assert summary["stop"] - summary["start"] == summary["duration"] == round(build(entries).seconds * 1000)


def test_the_same_run_has_the_same_document_and_identities() -> None:
    first, second = (document(kept().entries()) for _ in range(2))
    assert first == second
    identities = [test["id"] for test in first["results"]["tests"]]
    assert len({uuid.UUID(identity) for identity in identities}) == len(identities)
    lost = document(wiped().entries())["results"]["tests"]
    assert [test["id"] for test in lost] == identities[: len(lost)]


def test_hostile_names_and_secrets_do_not_come_through() -> None:
    made = json.dumps(
        document(wiped(("admin/\x1b[2J\u202e\udcff", "admin/ok")).entries()), ensure_ascii=False
    )
    assert r"admin/\\x1b[2J\\u202e\\udcff" in made
    assert not re.search(r"(?<!\\)\\u00|[\u202a-\u202e\ud800-\udfff]", made)
    told = json.dumps(
        document(faulted("failed: POSTGRES_PASSWORD=hunter2\n | postgres://u:hunter2@db/x").entries())
    )
    assert "hunter2" not in told and "***" in told


def test_no_run_at_all_is_a_document_too() -> None:
    assert document(())["results"]["tests"] == []
