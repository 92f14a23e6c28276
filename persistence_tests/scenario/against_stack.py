"""What a scenario names, against what the stack's Compose files have."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from persistence_tests.errors import Problem
from persistence_tests.scenario.document import Document, Location, shorten
from persistence_tests.scenario.problems import did_you_mean, listed
from persistence_tests.scenario.scenario import Scenario


def refused_by_compose(scenario: Scenario, said: str) -> Problem:
    """Compose cannot resolve the Compose files: its own words, at `stack.compose`."""
    # Of a failed command only its output counts here: it follows the line that names the command.
    output = said.partition(":\n")[2] or said
    lines = (line.strip().removeprefix("| ") for line in output.splitlines())
    words = " ".join(filter(None, lines)) or "it gave no reason"
    what = f"Compose refuses {' and '.join(map(str, scenario.stack.compose))}: {words}"
    return scenario.document.problem(("stack", "compose"), what, _MEND)


_MEND = "mend the Compose file, or name another one here"


def check_against(scenario: Scenario, resolved: Mapping[str, Any]) -> list[Problem]:
    """What the scenario names and the stack does not have, in the order of the file.

    `resolved` is what `docker compose config --format json` prints for the scenario's files and profiles.
    """
    problems = [
        *_profiles(scenario, resolved),
        *_without(scenario, resolved),
        *_binds(scenario, resolved),
        *_paths(scenario, resolved),
        *_events(scenario, resolved),
    ]
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def _services(resolved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service or {} for name, service in (resolved.get("services") or {}).items()}


def _missing_service(
    scenario: Scenario, location: Location, service: str, resolved: Mapping[str, Any]
) -> Problem | None:
    """What is wrong with a service's name, if anything: there is none, or its profiles are not brought up."""
    found = _services(resolved).get(service)
    if found is None:
        remedy = did_you_mean(service, _services(resolved), "its services are")
        what = f"the stack has no service `{shorten(service)}`"
        return scenario.document.problem(location, what, remedy)
    if service in scenario.stack.without:
        what = f"the service `{service}` is left out"
        return scenario.document.problem(
            location, what, "take it out of `stack.without`, or name another one"
        )
    profiles, chosen = found.get("profiles") or [], scenario.stack.profiles
    if profiles and "*" not in chosen and not set(profiles) & set(chosen):
        what = f"the service `{service}` is not brought up: it belongs to the profile {listed(profiles)}"
        return scenario.document.problem(location, what, f"add `profiles: [{profiles[0]}]` to `stack`")
    return None


def _no_volume(document: Document, location: Location, volume: str, resolved: Mapping[str, Any]) -> Problem:
    volumes: Mapping[str, Any] = resolved.get("volumes") or {}
    what = f"the stack has no volume `{shorten(volume)}`"
    for key, entry in volumes.items():
        if (entry or {}).get("name") == volume:
            remedy = f"write `{key}`: a volume is named here as in the Compose file, not as on the engine"
            return document.problem(location, what, remedy)
    return document.problem(location, what, did_you_mean(volume, volumes, "its volumes are"))


def _profiles(scenario: Scenario, resolved: Mapping[str, Any]) -> Iterator[Problem]:
    services = _services(resolved).values()
    known = sorted({profile for service in services for profile in service.get("profiles") or ()})
    for place, profile in enumerate(scenario.stack.profiles):
        if profile not in known and profile != "*":
            what = f"no service of the stack has the profile `{shorten(profile)}`"
            remedy = did_you_mean(profile, known, "there are")
            yield scenario.document.problem(("stack", "profiles", place), what, remedy)


def _without(scenario: Scenario, resolved: Mapping[str, Any]) -> Iterator[Problem]:
    services = _services(resolved)
    named = scenario.document.at(("stack", "without")) if scenario.stack.without else ()
    for place, service in enumerate(named):
        if service not in services:
            what = f"the stack has no service `{shorten(service)}`"
            remedy = did_you_mean(service, services, "its services are")
            yield scenario.document.problem(("stack", "without", place), what, remedy)
    if services and scenario.stack.without >= services.keys():
        what = "every service of the stack is left out"
        yield scenario.document.problem(("stack", "without"), what, "leave the one in that keeps the files")


def _bind_sources(resolved: Mapping[str, Any]) -> set[Path]:
    return {
        Path(str(mount["source"]))
        for service in _services(resolved).values()
        for mount in service.get("volumes") or ()
        if mount.get("type") == "bind" and mount.get("source")
    }


def _binds(scenario: Scenario, resolved: Mapping[str, Any]) -> Iterator[Problem]:
    sources = _bind_sources(resolved)
    for source in scenario.stack.binds:
        if Path(source) not in sources:
            what = f"no service of the stack mounts `{shorten(source)}`"
            remedy = did_you_mean(source, sorted(map(str, sources)), "bind mounts have the sources")
            yield scenario.document.problem(("stack", "binds", source), what, remedy, key=True)


def _paths(scenario: Scenario, resolved: Mapping[str, Any]) -> Iterator[Problem]:
    services = _services(resolved)
    document = scenario.document
    for name, (_, config) in scenario.paths.items():
        at: Location = ("paths", name)
        service, port = getattr(config, "service", None), getattr(config, "port", None)
        volume, bind = getattr(config, "volume", None), getattr(config, "bind", None)
        problem = service and _missing_service(scenario, (*at, "service"), service, resolved)
        if problem:
            yield problem
        elif service is not None and port is not None and (service, port) not in scenario.stack.reached:
            published = [
                entry.get("target")
                for entry in services[service].get("ports") or ()
                if entry.get("protocol", "tcp") == "tcp"
            ]
            if port not in published:
                what = f"the service `{service}` does not publish its port {port}"
                remedy = (
                    f"it publishes {listed(map(str, published))}" if published else _publish(service, port)
                )
                yield document.problem((*at, "port"), what, remedy)
        ca = getattr(getattr(config, "ca", None), "service", None)
        if ca is not None and (missing := _missing_service(scenario, (*at, "ca", "service"), ca, resolved)):
            yield missing
        if volume is not None and volume not in (resolved.get("volumes") or {}):
            yield _no_volume(document, (*at, "volume"), volume, resolved)
        if bind is not None:
            source = Path(os.path.normpath(scenario.stack.project_directory / bind))
            sources = _bind_sources(resolved)
            if not any(source == mounted or mounted in source.parents for mounted in sources):
                what = f"no service of the stack mounts the directory `{shorten(bind)}`"
                remedy = did_you_mean(str(source), sorted(map(str, sources)), "bind mounts have the sources")
                yield document.problem((*at, "bind"), what, remedy)


def _publish(service: str, port: int) -> str:
    return f'it publishes none: add `ports: ["{port}"]` to the service `{service}`, or name another service'


def _events(scenario: Scenario, resolved: Mapping[str, Any]) -> Iterator[Problem]:
    document, volumes = scenario.document, resolved.get("volumes") or {}
    for step in scenario.steps:
        at: Location = ("events", step.entry)
        for service in step.event.services():
            if problem := _missing_service(scenario, _mention(document, at, service), service, resolved):
                yield problem
        named = getattr(step.event.options, "volume", None)
        if isinstance(named, str) and named not in volumes:
            yield _no_volume(document, _mention(document, at, named), named, resolved)


def _mention(document: Document, inside: Location, word: str) -> Location:
    """The location of the value `word` at or below `inside`, else `inside` itself."""
    for location in document.places:
        if location[: len(inside)] == inside and document.at(location) == word:
            return location
    return inside
