"""Writes what docs/ says of the code's own tables: `make docs`.

scenario.schema.json, result.schema.json   for editors, and for those who read results
scenario.md                                every key of a scenario file
events.md                                  every event, its options, its controls
symptoms.md                                every finding and every rule of a diagnosis, broken and mended
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event
from persistence_tests.model.finding import Symptom
from persistence_tests.report.explain import Article, catalogue
from persistence_tests.report.result import json_schema as result_schema
from persistence_tests.scenario.schema import json_schema as scenario_schema

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code; edit the descriptions there. -->"

EVENT = "Event"
SIMPLE = {"string": "text", "integer": "whole number", "boolean": "`true` · `false`"}

Schema = Mapping[str, Any]


@cache
def written() -> dict[str, str]:
    """Every file that is made here: its name in docs/ and its whole text."""
    makers: dict[str, Callable[[], str]] = {
        "scenario.schema.json": lambda: _json(scenario_schema()),
        "result.schema.json": lambda: _json(result_schema()),
        "scenario.md": scenario_page,
        "events.md": events_page,
        "symptoms.md": symptoms_page,
    }
    return {name: make() for name, make in makers.items()}


def scenario_page() -> str:
    schema = scenario_schema()
    told = _Told(schema)
    lines = [
        NOTE,
        "# The scenario file",
        "",
        f"{schema['description']} One file, `*.persistence.yaml`, such as "
        "[the media stack's](../scenarios/media.persistence.yaml); `persistence validate` names every error in it "
        "with its place. Editors complete and check it with [scenario.schema.json](scenario.schema.json): "
        "`# yaml-language-server: $schema=…`.",
        "",
        *told.keys(schema),
    ]
    for definition, heading in told.headings.items():
        part = schema["$defs"][definition]
        lines += ["", f"## {heading}", ""]
        if definition == EVENT:
            lines += [
                "A list. Each entry is an event's name, or its name with options: `{name: {option: value}}`.",
                "",
            ]
            lines += [f"- [`{name}`](events.md#{name}): {event.summary}" for name, event in EVENTS.items()]
        else:
            lines += [part.get("description", ""), "", *told.keys(part)]
    return "\n".join(lines) + "\n"


def events_page() -> str:
    schema = scenario_schema()
    told = _Told(schema)
    lines = [
        NOTE,
        "# Events",
        "",
        "What a scenario may do to its stack between writing and verifying. An event counts only if the engine's own "
        "event stream and inspection prove it. Two writes of the harness's own go through it, its controls: one store "
        "must lose its token and one must keep it. A step whose event is not proven, or whose controls do not "
        "behave, is `inconclusive`.",
        "",
        *_table(
            ("event", "does", "must lose", "must keep"),
            ([f"[`{name}`](#{name})", event.summary, *_controls(event)] for name, event in EVENTS.items()),
        ),
    ]
    for name, event in EVENTS.items():
        lines += ["", f"## {name}", "", _sentence(event.summary)]
        if said := _own_docstring(event):
            lines += ["", said]
        if event.resets:
            lines += ["", "The stack is taken down after it: the next step begins with a fresh one."]
        lines += ["", *told.keys(schema["$defs"][event.Options.__name__])]
    return "\n".join(lines) + "\n"


def symptoms_page() -> str:
    symptoms = {symptom.value for symptom in Symptom}
    findings = [article for article in catalogue() if article.name in symptoms]
    rules = [article for article in catalogue() if article.name not in symptoms]
    order = ", ".join(f"`{symptom.value}`" for symptom in Symptom)
    return "\n".join(
        [
            NOTE,
            "# Symptoms and diagnoses",
            "",
            "`persistence explain CODE` prints the same. A finding has one symptom; they are listed in this order: "
            f"{order}.",
            *(line for article in findings for line in _article(article)),
            "",
            "# Why it is so: the rules of the diagnosis",
            "",
            "Tried in this order; a rule speaks only where the recorded configuration supports it.",
            *(line for article in rules for line in _article(article)),
            "",
        ]
    )


def _article(article: Article) -> Iterator[str]:
    yield from (
        "",
        f"## {article.name}" if article.code == article.name else f"## {article.code}: {article.name}",
    )
    yield from ("", article.meaning)
    for title, example in (("Broken", article.broken), ("Mended", article.mended)):
        yield from ("", f"{title}:", "", "```", example.strip("\n"), "```")


class _Told:
    """What the pages say of a schema. `headings` has each definition that a section is about, in reading order."""

    def __init__(self, schema: Schema) -> None:
        self._definitions: Mapping[str, Schema] = schema["$defs"]
        self.headings: dict[str, str] = {}
        for key, value in schema["properties"].items():
            if name := _reference(value) or _reference(value.get("items", {})):
                self.headings[name] = key
        for name, key in list(self.headings.items()):
            self._gather(self._definitions[name], key)

    def keys(self, part: Schema) -> list[str]:
        """A table of the part's keys, those that it cannot do without first."""
        required = set(part.get("required", ()))
        properties = sorted(part["properties"].items(), key=lambda pair: pair[0] not in required)
        rows = [
            (
                f"`{key}`" + (" (required)" if key in required else ""),
                self._kind(value),
                f"`{_scalar(value['default'])}`" if "default" in value else "",
                value.get("description", "") + _examples(value),
            )
            for key, value in properties
        ]
        return _table(("key", "value", "default", "meaning"), rows)

    def _gather(self, part: Schema, heading: str) -> None:
        """Give a heading to every mapping that the part's keys take, and to theirs."""
        for key, value in part.get("properties", {}).items():
            for name in _references(value):
                mapping = self._definitions[name]
                if "properties" in mapping and name not in self.headings and not name.endswith("Options"):
                    self.headings[name] = f"{heading}.{key}"
                    self._gather(mapping, f"{heading}.{key}")

    def _kind(self, value: Schema) -> str:
        """What may stand there, in a few words."""
        if name := _reference(value):
            if name in self.headings:
                return f"[{self.headings[name]}](#{anchor(self.headings[name])})"
            return self._kind(self._definitions[name])
        if "enum" in value:
            return " · ".join(f"`{_scalar(word)}`" for word in value["enum"])
        if "const" in value:
            return f"`{_scalar(value['const'])}`"
        for alternatives in ("anyOf", "oneOf"):
            if alternatives in value:
                return " or ".join(dict.fromkeys(map(self._kind, value[alternatives])))
        held = value.get("items") or value.get("additionalProperties")
        of = f" of: {self._kind(held)}" if isinstance(held, Mapping) else ""
        match value.get("type"):
            case "array":
                return f"list{of}"
            case "object":
                return f"mapping{of}"
            case str(simple):
                return SIMPLE.get(simple, simple)
        return "any"


def _reference(value: Schema) -> str | None:
    return str(value["$ref"]).rpartition("/")[2] if "$ref" in value else None


def _references(value: Schema) -> Iterator[str]:
    """The definitions that a value refers to, in whatever depth."""
    if name := _reference(value):
        yield name
    for held in (value.get("items"), value.get("additionalProperties"), *value.get("anyOf", ())):
        if isinstance(held, Mapping):
            yield from _references(held)


def anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _examples(value: Schema) -> str:
    examples = value.get("examples", ())
    return (" For example " + ", ".join(f"`{_scalar(each)}`" for each in examples) + ".") if examples else ""


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _controls(event: type[Event]) -> tuple[str, str]:
    controls = event.controls
    lose, keep = (store.value if store else "—" for store in (controls.must_lose, controls.must_keep))
    return lose, keep


def _own_docstring(event: type[Event]) -> str:
    return inspect.cleandoc(event.__doc__) if event.__doc__ and event.__doc__ != Event.__doc__ else ""


def _sentence(text: str) -> str:
    """A summary as a sentence; one that begins with a command keeps it as it is."""
    return f"{text[0].upper()}{text[1:]}."


def _table(head: Sequence[str], rows: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

    return [line(head), "|" + "---|" * len(head), *map(line, rows)]


def _json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for name, text in written().items():
        (HERE / name).write_text(text)


if __name__ == "__main__":
    main()
