"""References from one part of a scenario file to another: rules to paths, claims to steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from persistence_tests.errors import Problem
from persistence_tests.model.operation import Acknowledgement
from persistence_tests.scenario.document import Document, Location, shorten
from persistence_tests.scenario.problems import did_you_mean, listed
from persistence_tests.scenario.requests import operation_problems
from persistence_tests.scenario.vocabulary import Vocabulary

CLAIM_WORDS = ("writes", "directories", "mode")
UP = "up"
ISOLATIONS = {
    "override": (
        "befalls a whole Docker host, and yours is not the stack's alone",
        "add `isolation: machine` to `stack`: the stack then has a Docker host of its own",
    ),
    "machine": (
        "befalls single volumes, which have no disks of their own in a machine",
        "write `host-power-loss`, which cuts all that the machine has, or remove `isolation: machine`",
    ),
}
"""What is wrong with an event that an isolation does not have, and what to do."""


def step_names(events: Iterable[str]) -> list[str]:
    """Each event's name, from its second use on with "-2", "-3"; `up` is taken by the first step of all."""
    uses = {UP: 1}
    names = []
    for event in events:
        uses[event] = uses.get(event, 0) + 1
        names.append(event if uses[event] == 1 else f"{event}-{uses[event]}")
    return names


def within_file(document: Document, vocabulary: Vocabulary, events: Iterable[str]) -> Iterator[Problem]:
    """References that lead nowhere. `events` are the names of the events that the file lists.

    The document may be wrong in every other way.
    """
    declared = list(_mapping(document, "paths"))
    yield from _rules(document, vocabulary, declared)
    yield from _rows(document, vocabulary, declared)
    yield from _ready(document, vocabulary, declared)
    yield from _promises(document, vocabulary, declared)
    yield from _own_commands(document, vocabulary)
    yield from _where(document, vocabulary)
    listed_events = list(events)
    yield from _claims(document, vocabulary, declared, listed_events)
    yield from _known(document, vocabulary, declared, listed_events)


def _known(
    document: Document, vocabulary: Vocabulary, declared: list[str], events: list[str]
) -> Iterator[Problem]:
    """Known losses of events and paths that the scenario does not have."""
    entries = document.data.get("known")
    happens = list(dict.fromkeys([UP, *events, *step_names(events)]))
    sound = bool(events) and not {*events} - {*vocabulary.events}
    for place, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            continue
        event, paths = entry.get("event"), entry.get("paths")
        if sound and isinstance(event, str) and event and event not in happens:
            what = f"no event and no step of this scenario is called `{shorten(event)}`"
            remedy = did_you_mean(event, happens, "a known loss is of one of")
            yield document.problem(("known", place, "event"), what, remedy)
        several = isinstance(paths, list)
        for number, path in enumerate(paths if isinstance(paths, list) else [paths]):
            if isinstance(path, str) and path and path not in declared:
                at: Location = ("known", place, "paths")
                yield _no_path(document, (*at, number) if several else at, path, declared)


def _claims(
    document: Document, vocabulary: Vocabulary, declared: list[str], events: list[str]
) -> Iterator[Problem]:
    if not declared or not events or {*declared} - {*vocabulary.paths} or {*events} - {*vocabulary.events}:
        return  # what a claim means may be what is misspelt or missing there
    shown_by = [UP, *step_names(events), *declared, *CLAIM_WORDS]
    for text, shown in _mapping(document, "claims").items():
        if isinstance(shown, str) and shown and shown not in shown_by:
            what = f"nothing in this scenario is called `{shorten(shown)}`"
            remedy = did_you_mean(shown, shown_by, "a claim is shown by one of")
            yield document.problem(("claims", text), what, remedy)


def _rules(document: Document, vocabulary: Vocabulary, declared: list[str]) -> Iterator[Problem]:
    rules = document.data.get("writes")
    for place, rule in enumerate(rules if isinstance(rules, list) else ()):
        through = rule.get("through") if isinstance(rule, dict) else None
        if not isinstance(through, str) or not through:
            continue
        location: Location = ("writes", place)
        if through not in declared:
            yield _no_path(document, (*location, "through"), through, declared)
        elif through in vocabulary.paths:
            if not vocabulary.acknowledgements(through):
                writing = [name for name in declared if vocabulary.acknowledgements(name)]
                what = f"nothing can be written through `{through}`, it only reads"
                remedy = f"write through {listed(writing)}" if writing else "declare a path that can write"
                yield document.problem((*location, "through"), what, remedy)
            else:
                yield from operation_problems(document, location, rule, served=vocabulary.is_http(through))


def _rows(document: Document, vocabulary: Vocabulary, declared: list[str]) -> Iterator[Problem]:
    """A path that shows rows, where nothing that is written makes one."""
    rules = document.data.get("writes")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        return
    through = [rule.get("through") for rule in rules if rule.get("rows") is not False]
    if any(isinstance(path, str) and vocabulary.is_http(path) for path in through):
        return
    for path in filter(vocabulary.refers, declared):
        what = f"nothing that is written makes a row, so `{path}` would show nothing"
        remedy = "write through an HTTP path, by a request that makes one, or remove the path"
        yield document.problem(("paths", path), what, remedy, key=True)


def _ready(document: Document, vocabulary: Vocabulary, declared: list[str]) -> Iterator[Problem]:
    said = _mapping(document, "stack", "ready")
    if ("path" in said) != ("url" in said):
        there, other = ("path", "url") if "path" in said else ("url", "path")
        what = f"`{there}` is there without `{other}`"
        remedy = f"add `{other}`, or leave both out to wait for the health checks only"
        yield document.problem(("stack", "ready", there), what, remedy, key=True)
    ready = said.get("path")
    if not isinstance(ready, str) or not ready:
        return
    if ready not in declared:
        yield _no_path(document, ("stack", "ready", "path"), ready, declared)
    elif ready in vocabulary.paths and not vocabulary.is_http(ready):
        served = [name for name in declared if vocabulary.is_http(name)]
        otherwise = "remove `ready`: health checks are waited for anyway"
        remedy = f"name one of {listed(served)}" if served else otherwise
        what = f"`{ready}` is not an HTTP path, it has no URL to ask"
        yield document.problem(("stack", "ready", "path"), what, remedy)


def _promises(document: Document, vocabulary: Vocabulary, declared: list[str]) -> Iterator[Problem]:
    for key in ("acknowledged", "atomic"):
        for path, value in _mapping(document, "promise", key).items():
            location: Location = ("promise", key, path)
            if path not in declared:
                yield _no_path(document, location, path, declared, key=True)
            elif path in vocabulary.paths:
                levels = vocabulary.acknowledgements(path)
                if not levels:
                    what = f"nothing is written through `{path}`, so it promises nothing"
                    yield document.problem(location, what, "remove the line", key=True)
                elif key == "acknowledged" and value in list(Acknowledgement) and value not in levels:
                    what = f"a write through `{path}` is never acknowledged by `{value}`"
                    yield document.problem(location, what, f"write {listed(levels)}")


def _own_commands(document: Document, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Commands of the stack's own that would be refused once the run came to them."""
    stack = _mapping(document, "stack")
    if "commands" in stack or stack.get("isolation") == "machine" or not stack:
        return
    found: list[Location] = [("stack", "setup")] if stack.get("setup") else []
    events = document.data.get("events")
    for place, entry in enumerate(events if isinstance(events, list) else ()):
        for name, options in entry.items() if isinstance(entry, dict) else ():
            commands = vocabulary.events[name].own_commands if name in vocabulary.events else ()
            used = [key for key in commands if isinstance(options, dict) and key in options]
            found += [("events", place, name, key) for key in used[:1]]
    for location in found:
        what = "the stack's own commands may not run: nothing says that they keep to the run's project"
        remedy = (
            "add `commands: follow-project` to `stack` if they use the COMPOSE_PROJECT_NAME, COMPOSE_FILE "
            "and DOCKER_HOST that they are given, and no fixed names; else `isolation: machine`"
        )
        yield document.problem(location, what, remedy)


def _where(document: Document, vocabulary: Vocabulary) -> Iterator[Problem]:
    """Events that cannot be had with the scenario's isolation."""
    stack = _mapping(document, "stack")
    isolation = stack.get("isolation", "override")
    events = document.data.get("events")
    for place, entry in enumerate(events if isinstance(events, list) and stack else ()):
        name = next(iter(entry), None) if isinstance(entry, dict) else entry
        if not isinstance(name, str) or name not in vocabulary.events or isolation not in ISOLATIONS:
            continue
        if isolation in vocabulary.events[name].isolations:
            continue
        at: Location = ("events", place, name) if isinstance(entry, dict) else ("events", place)
        what, remedy = ISOLATIONS[isolation]
        yield document.problem(at, f"`{name}` {what}", remedy, key=isinstance(entry, dict))


def _no_path(
    document: Document, location: Location, name: str, declared: Iterable[str], *, key: bool = False
) -> Problem:
    remedy = did_you_mean(name, declared, "its paths are")
    return document.problem(location, f"this scenario has no path `{shorten(name)}`", remedy, key=key)


def _mapping(document: Document, *location: str) -> dict[str, Any]:
    value: Any = document.data
    for part in location:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
