"""From the Compose file to the scenario file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import PersistenceError, UsageError
from persistence_tests.init.project import Project, find_files, read_project
from persistence_tests.init.proposal import propose
from persistence_tests.init.services import image_name, read_services
from persistence_tests.init.stores import Store, find_stores
from persistence_tests.init.text import scenario_text
from persistence_tests.init.words import closing_words, store_name
from persistence_tests.scenario.discovery import SUFFIX

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine
    from persistence_tests.stack.onlooker import ImageFacts


def write_first_scenario(
    given: Path | None, output: Path | None, *, engine: str | None, store: str | None, force: bool
) -> tuple[str | None, list[str]]:
    """The text for standard output, None where a file was written, and the words for the user.

    Raises UsageError for a Compose file that is none, a store that is not there, a file that exists.
    """
    here = Path.cwd()
    files = find_files(given, here)
    if str(output or "") not in ("", "-"):
        _check_output(output or Path(), force)
    project = read_project(files)
    named = output if output is not None else Path(f"{project.name}{SUFFIX}")
    if str(named) != "-":
        _check_output(named, force)
    facts, changed, looked_at = _ask_engine(project, engine)
    services = read_services(project, facts, changed)
    stores = find_stores(project, services)
    if not stores:
        raise UsageError(
            "nothing in this stack can be written to: every service is read-only and has no volume",
            where=str(files[0]),
            remedy="name the Compose file of a stack that keeps something",
        )
    proposal = propose(project, services, stores, _chosen(project, stores, store, files[0]))
    beside = here if str(named) == "-" else (here / named).resolve().parent
    text = scenario_text(proposal, beside)
    words = list(closing_words(proposal, str(named), looked_at, str(given) if given is not None else ""))
    if str(named) == "-":
        return text, words
    _write(named, text, force)
    return None, words


def _chosen(project: Project, stores: list[Store], wanted: str | None, file: Path) -> Store:
    if wanted is None:
        return stores[0]
    names: dict[str, Store] = {}
    for each in stores:
        names.setdefault(store_name(each, project), each)
    if wanted not in names:
        raise UsageError(
            f"the stack has no storage {wanted!r}", where=str(file), remedy=f"it has: {', '.join(names)}"
        )
    return names[wanted]


def _check_output(output: Path, force: bool) -> None:
    if not output.name.endswith(SUFFIX):
        raise UsageError(
            "the file's name would not be that of a scenario",
            where=str(output),
            remedy=f"scenarios are named `*{SUFFIX}`",
        )
    if output.exists() and not force:
        raise UsageError(
            "the file is there already",
            where=str(output),
            remedy="write another one with --output, or say --force",
        )


def _write(output: Path, text: str, force: bool) -> None:
    try:
        with output.open("w" if force else "x") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"the scenario cannot be written: {error.strerror or error}",
            where=str(output),
            remedy="name a place that can be written to with --output",
        ) from error


def _ask_engine(
    project: Project, url: str | None
) -> tuple[Mapping[str, ImageFacts], Mapping[str, list[str]], str]:
    """What an engine adds to the files; nothing where none answers, unless it was named."""
    from persistence_tests.stack.onlooker import image_facts, running_changes

    try:
        with _connected(url) as engine:
            found = {name: image_facts(engine, image_name(project, name)) for name in project.services}
            facts = {name: fact for name, fact in found.items() if fact is not None}
            changed = running_changes(engine, project.directory)
    except PersistenceError:
        if url is not None:
            raise
        return {}, {}, "none answers: only the files were read"
    images = f"{len(facts)} of {len(found)} images are there"
    running = (
        f"the stack runs, and {len(changed)} containers were looked at"
        if changed
        else "the stack does not run"
    )
    return facts, changed, f"{images}; {running}"


@contextmanager
def _connected(url: str | None) -> Iterator[Engine]:
    from persistence_tests.stack.engine import Engine

    engine = Engine.connect(url)
    try:
        yield engine
    finally:
        engine.close()
