"""Reads a scenario file: a Scenario, or every error in it at once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import Problem, ScenarioError
from persistence_tests.model.finding import KnownLoss
from persistence_tests.model.names import NameTrait
from persistence_tests.model.operation import Acknowledgement, OperationKind
from persistence_tests.model.records import Claim, StepPlanned
from persistence_tests.paths.frames import Overwriting
from persistence_tests.scenario import gates
from persistence_tests.scenario.discovery import name_of
from persistence_tests.scenario.document import Document, Location, read, shorten
from persistence_tests.scenario.problems import dotted, listed, translate
from persistence_tests.scenario.references import UP, step_names, within_file
from persistence_tests.scenario.scenario import (
    Expectation,
    PlannedEvent,
    Promise,
    Ready,
    Scenario,
    WriteRule,
)
from persistence_tests.scenario.schema import WritePart, scenario_model
from persistence_tests.scenario.vocabulary import Vocabulary
from persistence_tests.stack.spec import StackSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

    from persistence_tests.paths.request import RequestTemplate
    from persistence_tests.paths.uploading import Uploading

WRITERS_OVER_HTTP = 4


def load(path: str | Path, vocabulary: Vocabulary | None = None) -> Scenario:
    """The scenario in the file at `path`.

    Raises ScenarioError with every problem of the file, in its order; nothing else, whatever the file
    holds. What the Compose file must have is checked by `check_against`.
    """
    source = Path(path)
    words = vocabulary or Vocabulary.installed()
    content = _content(source)
    document, problems = read(str(source), content)
    if document is None:
        raise ScenarioError(problems)
    model, found = _validate(document, words)
    problems += found
    problems += _unreadable(document, source.parent)
    if problems or model is None:
        raise ScenarioError(_in_order(problems))
    scenario = _scenario(source, content, document, model, words)
    if unreachable := list(gates.unreachable(scenario)):
        raise ScenarioError(_in_order(unreachable))
    return scenario


def _content(source: Path) -> bytes:
    file = str(source)
    try:
        return source.read_bytes()
    except FileNotFoundError:
        remedy = "check the path; scenarios are named `*.persistence.yaml`"
        problem = Problem("there is no such file", file, 1, 1, remedy)
    except IsADirectoryError:
        problem = Problem("this is a directory", file, 1, 1, "name a scenario file in it")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(f"the file cannot be read: {reason}", file, 1, 1, "check its permissions")
    raise ScenarioError([problem])


def _validate(document: Document, words: Vocabulary) -> tuple[BaseModel | None, list[Problem]]:
    from pydantic import ValidationError

    problems: list[Problem] = []
    silenced: set[Location] = set(document.unread)
    for location, problem in _empty_values(document):
        silenced.add(location)
        problems.append(problem)
    events: list[str] = []
    for location, problem in _misshapen_events(document):
        silenced.add(location)
        problems.append(problem)
    data = dict(document.data)
    origins: list[int] = []
    if isinstance(data.get("events"), list):
        data["events"], origins = _spread(data["events"], words)
        events = [next(iter(entry)) for entry in data["events"] if isinstance(entry, dict) and entry]
    model = None
    try:
        # As JSON, because there strictness knows lists and names where Python has tuples and enumerations.
        model = scenario_model(words).model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        details = [_in_file(each, origins) for each in error.errors(include_url=False)]
        problems += translate(
            document, words, (each for each in details if not _below(each["loc"], silenced))
        )
    said = {(problem.line, problem.column) for problem in problems}
    problems += [
        problem
        for problem in within_file(document, words, events)
        if (problem.line, problem.column) not in said
    ]
    return model, problems


def _empty_values(document: Document) -> Iterator[tuple[Location, Problem]]:
    """Keys and entries without a value: nowhere but after an event's name is nothing a value."""
    for location in document.places:
        if location in document.unread or not location or _is_event_name(location):
            continue
        if document.at(location) is None:
            if isinstance(location[-1], int):
                remedy = "write a value, or remove it"
                problem = document.problem(location, "this entry of the list is empty", remedy)
            else:
                remedy = "write a value, or remove the key"
                problem = document.problem(location, f"`{dotted(location)}` is empty", remedy, key=True)
            yield location, problem


def _below(location: Location, places: set[Location]) -> bool:
    return any(location[:length] in places for length in range(1, len(location) + 1))


def _is_event_name(location: Location) -> bool:
    return location[:1] == ("events",) and len(location) == 3


def _misshapen_events(document: Document) -> Iterator[tuple[Location, Problem]]:
    events = document.data.get("events")
    for place, entry in enumerate(events if isinstance(events, list) else ()):
        at: Location = ("events", place)
        if isinstance(entry, dict) and len(entry) > 1:
            name, *others = entry
            if entry[name] is None:
                what = f"the options of `{name}` stand beside it, not below it"
                remedy = f"indent {listed(others)} deeper than `{name}`"
            else:
                what = f"one event has several names: {listed(entry)}"
                remedy = "write one `-` for each event"
            yield at, document.problem(at, what, remedy)
        elif entry is not None and (not isinstance(entry, str | dict) or not entry):
            what = "an event is a name, or a name with its options"
            remedy = "write it like `- restart` or `- kill: { service: api }`"
            yield at, document.problem(at, what, remedy)


def _with_options(entry: Any) -> Any:
    """An event's entry as a mapping of its name to its options."""
    if isinstance(entry, str):
        return {entry: {}}
    if isinstance(entry, dict) and len(entry) == 1:
        return {name: {} if options is None else options for name, options in entry.items()}
    return entry


def _spread(entries: list[Any], words: Vocabulary) -> tuple[list[Any], list[int]]:
    """The entries as mappings, one for each step that they stand for, and which entry of the file each is."""
    spread: list[Any] = []
    origins: list[int] = []
    for place, entry in enumerate(map(_with_options, entries)):
        steps = [entry]
        if isinstance(entry, dict) and len(entry) == 1:
            ((name, options),) = entry.items()
            if name in words.events and isinstance(options, dict):
                steps = [{name: each} for each in words.events[name].spread(options)]
        spread += steps
        origins += [place] * len(steps)
    return spread, origins


def _in_file(detail: Any, origins: list[int]) -> Any:
    """An error of validation with its entry's place in the file."""
    location = detail["loc"]
    if len(location) > 1 and location[0] == "events" and isinstance(location[1], int):
        return {**detail, "loc": ("events", origins[location[1]], *location[2:])}
    return detail


def _unreadable(document: Document, directory: Path) -> Iterator[Problem]:
    """Compose files that are not there or cannot be read."""
    stack = document.data.get("stack")
    given = stack.get("compose") if isinstance(stack, dict) else None
    files = list(enumerate(given)) if isinstance(given, list) else [(None, given)]
    for place, file in files:
        if not isinstance(file, str) or not file:
            continue
        at: Location = ("stack", "compose") if place is None else ("stack", "compose", place)
        sought = shorten(os.path.normpath(directory / file), most=200)
        remedy = f"it was looked for at {sought}: the path is relative to the scenario file"
        try:
            with (directory / file).open("rb"):
                continue
        except FileNotFoundError:
            yield document.problem(at, f"there is no Compose file `{shorten(file)}`", remedy)
        except IsADirectoryError:
            yield document.problem(at, f"`{shorten(file)}` is a directory", "name the Compose file in it")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield document.problem(at, f"the Compose file `{shorten(file)}` cannot be read: {reason}", remedy)


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.line, problem.column))


def _scenario(source: Path, content: bytes, document: Document, model: Any, words: Vocabulary) -> Scenario:
    kinds = list(words.paths)
    paths = {
        name: (name, getattr(model.paths, f"path_{kinds.index(name)}")) for name in document.data["paths"]
    }
    promise = _promise(model, paths, words)
    stack, ready = model.stack, model.stack.ready
    base = source.resolve().parent
    return Scenario(
        name=name_of(source),
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        stack=StackSpec(
            compose=tuple((base / file).resolve() for file in stack.compose),
            profiles=stack.profiles,
            env=dict(stack.env),
            setup=stack.setup,
            isolation=stack.isolation,
            follow_project=stack.commands == "follow-project",
            binds=dict(stack.binds),
            copy=stack.copied,
            without=frozenset(stack.without),
            storage=stack.storage.media if stack.storage else None,
            reached=tuple((c.service, c.port) for name, (_, c) in paths.items() if words.refers(name)),
        ),
        ready=Ready(ready.path, ready.url, ready.within) if ready else None,
        paths=paths,
        rules=tuple(
            _rule(index, part, promise, any(map(words.refers, paths)))
            for index, part in enumerate(model.writes)
        ),
        promise=promise,
        expect=Expectation(model.expect.directories, model.expect.mode, model.expect.ignore),
        up=StepPlanned(UP, UP, "up, from nothing"),
        steps=tuple(_steps(document, model.events, words)),
        claims=tuple(Claim(text, shown_by) for text, shown_by in model.claims.items()),
        known=tuple(_known(document, place, part, paths) for place, part in enumerate(model.known)),
        document=document,
    )


def _promise(model: Any, paths: dict[str, tuple[str, BaseModel]], words: Vocabulary) -> Promise:
    acknowledged: dict[str, Acknowledgement] = {}
    atomic: dict[str, bool] = {}
    for name, (_, config) in paths.items():
        if levels := words.acknowledgements(name):
            acknowledged[name] = model.promise.acknowledged.get(name, levels[0])
            declared = getattr(config, "atomic", None)
            default = words.is_http(name) if declared is None else bool(declared)
            atomic[name] = model.promise.atomic.get(name, default)
    return Promise(acknowledged, atomic, model.promise.classes)


def _rule(index: int, part: WritePart, promise: Promise, with_rows: bool) -> WriteRule:
    from persistence_tests.model.payload import DEFAULT_SIZES

    where = (
        ", ".join(name or "the root" for name in part.into)
        if len(part.into) <= 3
        else f"{len(part.into)} directories"
    )
    return WriteRule(
        index=index,
        through=part.through,
        into=part.into,
        files=part.files,
        kinds=part.kinds,
        sizes=part.sizes if part.sizes is not None else tuple(DEFAULT_SIZES),
        names=part.names,
        traits=tuple(trait for trait in NameTrait if trait not in part.without),
        title=part.title or f"{part.files} files into {where} through {part.through}",
        operations=tuple(kind for kind in OperationKind if kind.value in part.operations),
        also=part.also,
        overwriting=part.overwrite or Overwriting.TRUNCATE,
        requests=_requests(part),
        writers=part.writers or (WRITERS_OVER_HTTP if part.request or part.parts else 1),
        uploading=_uploading(part),
        as_stored=part.content == "as-stored",
        cut=part.cut,
        left_out=part.parts.leave_out if part.parts else 0,
        acknowledgement=promise.acknowledged[part.through],
        atomic=promise.atomic[part.through],
        rows=with_rows and part.rows and bool(part.request or part.parts),
    )


def _uploading(part: WritePart) -> Uploading:
    from persistence_tests.paths.uploading import Uploading

    return Uploading(
        headers=part.headers,
        form=part.form,
        accepts=frozenset(part.accepts),
        stored_as=part.stored_as,
        parts=part.parts.parts if part.parts else None,
    )


def _requests(part: WritePart) -> dict[OperationKind, RequestTemplate]:
    from persistence_tests.paths.request import RequestTemplate

    if part.request is None:
        return {}
    asked = {kind: getattr(part.request, kind.value, None) for kind in OperationKind}
    form = part.request.create.send.partition(" ")[0]
    return {
        kind: RequestTemplate.parse(
            one.send, part.multipart if one.send.partition(" ")[0] == form else None, one.headers, one.form
        )
        for kind, one in asked.items()
        if one is not None
    }


def _known(document: Document, place: int, part: Any, paths: Iterable[str]) -> KnownLoss:
    at = document.place(("known", place))
    return KnownLoss(
        event=part.event,
        symptom=part.symptom,
        paths=part.paths or tuple(paths),
        names=part.names or (),
        why=part.why,
        until=part.until,
        mended_after=part.mended_after,
        line=at.line,
        column=at.column,
    )


def _steps(document: Document, entries: Any, words: Vocabulary) -> Iterator[PlannedEvent]:
    names = list(words.events)
    chosen = []
    for entry in entries:
        kind = next(kind for kind in range(len(names)) if getattr(entry, f"event_{kind}") is not None)
        chosen.append((names[kind], getattr(entry, f"event_{kind}")))
    _, origins = _spread(document.data["events"], words)
    steps = step_names(name for name, _ in chosen)
    for place, step, (name, options) in zip(origins, steps, chosen, strict=True):
        event = words.events[name](options)
        at = document.place(("events", place))
        text = document.line_of(("events", place))
        planned = StepPlanned(step, name, event.title, at.line, at.column, text, place)
        yield PlannedEvent(step, event, planned, place)
