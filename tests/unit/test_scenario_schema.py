"""The JSON Schema for editors says what the loader says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from persistence_tests.scenario import find, json_schema, load
from tests.unit.scenario_vocabulary import SOUND, VOCABULARY, loaded

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "scenario.schema.json"
SHIPPED = find([ROOT / "scenarios"])


def _errors(schema: dict[str, Any], content: str) -> list[str]:
    data = YAML(typ="safe", pure=True).load(content)
    return [error.message for error in Draft202012Validator(schema).iter_errors(data)]


def test_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("scenario", SHIPPED, ids=lambda file: file.name)
def test_shipped_scenarios_fit(scenario: Path) -> None:
    assert _errors(json_schema(), scenario.read_text()) == []


@pytest.mark.parametrize("scenario", SHIPPED, ids=lambda file: file.name)
def test_shipped_scenarios_load_and_name_the_schema(scenario: Path) -> None:
    assert load(scenario).steps
    first = scenario.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (scenario.parent / named).resolve() == PUBLISHED


def test_every_path_and_event_of_the_tables_is_in_the_schema() -> None:
    from persistence_tests.events import EVENTS
    from persistence_tests.paths import PATHS

    definitions = json_schema()["$defs"]
    names, options = definitions["Event"]["anyOf"]
    assert {entry["const"] for entry in names["oneOf"]} == set(EVENTS) == set(options["properties"])
    assert set(definitions["Paths"]["properties"]) == set(PATHS)


@pytest.mark.parametrize("part", ["StackPart", "ReadyPart", "WritePart", "PromisePart", "ExpectPart"])
def test_every_key_is_described(part: str) -> None:
    properties = json_schema()["$defs"][part]["properties"]
    assert [key for key, schema in properties.items() if not schema.get("description")] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- restart", "- kill"),
        ("- restart", "- kill:"),
        ("- restart", "- kill: {}"),
        ("- restart", "- kill: { service: [app], title: Force kill }"),
        ("files: 4", "sizes: [0, 4KiB, 2.5MiB], kinds: [bytes, png], names: plain"),
        ("url: /health", "url: /health, within: 500ms"),
        ('mode: "0755"', 'mode: "755"'),
        ("compose: compose.yaml", "compose: [compose.yaml]"),
    ],
)
def test_what_the_loader_takes_fits(old: str, new: str, tmp_path: Path) -> None:
    content = SOUND.replace(old, new, 1)
    assert loaded(tmp_path, content).steps
    assert _errors(json_schema(VOCABULARY), content) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- restart", "- earthquake"),
        ("- restart", "- { restart: {}, up: {} }"),
        ("- restart", "-"),
        ("files: 4", "files: 0"),
        ("files: 4", "fils: 4"),
        ('mode: "0755"', "mode: 755"),
        ("compose: compose.yaml", "isolation: none\n  compose: compose.yaml"),
        ("expect: {", "promise: ~\nexpect: {"),
        ("url: /health", "url: health"),
        ("{ volume: media }", "{ volume: ~ }"),
    ],
)
def test_what_the_loader_refuses_does_not_fit(old: str, new: str, tmp_path: Path) -> None:
    content = SOUND.replace(old, new, 1)
    with pytest.raises(Exception, match="error"):
        loaded(tmp_path, content)
    assert _errors(json_schema(VOCABULARY), content)
