"""What `persistence init` says: what it found, what it could not know, and what to type next."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from persistence_tests.init.project import Project
from persistence_tests.init.proposal import OWN_DIRECTORY, Proposal
from persistence_tests.init.stores import Store
from persistence_tests.init.text import place
from persistence_tests.init.wellknown import Content

MOST_OTHERS = 8


def closing_words(proposal: Proposal, output: str, looked_at: str, compose: str) -> Iterator[str]:
    """Lines. `looked_at` says what the engine added, `compose` is how the Compose file was named on the command
    line, "" where it was not, `output` the file written, "-" for standard output."""
    if output != "-":
        yield f"{output}: written"
    yield ""
    yield "Found"
    services = ", ".join(
        f"{service.name} ({service.known.title if service.known else service.image})"
        for service in proposal.services
    )
    yield f"  services  {services}"
    yield f"  storage   {_said(proposal.store, proposal)}"
    for url in proposal.urls:
        yield f"  {url.kind:<9} {url.service}, port {url.port}, answers {url.url} from it"
    yield f"  files     go to {place(proposal)} in {proposal.store.writer.name}"
    yield f"  engine    {looked_at}"
    unknown = [*_unknown(proposal)]
    yield ""
    yield "Not known"
    yield from (f"  - {line}" for line in unknown)
    if proposal.refusals:
        yield ""
        yield "To be mended before it can run"
        for refusal in proposal.refusals:
            yield f"  - {refusal.where}: {refusal.what}"
            yield f"    help: {refusal.remedy}"
    if proposal.others:
        yield ""
        yield "Elsewhere in this stack, for a scenario each"
        named = f" {compose}" if compose else ""
        for store in proposal.others[:MOST_OTHERS]:
            yield f"  - {_said(store, proposal)}"
            name = _word(store_name(store, proposal.project))
            yield f"    persistence init{named} --store {name} --output {_file(store)}"
    yield ""
    yield "Next"
    yield f"  persistence run {_word(output if output != '-' else f'{proposal.project.name}.persistence.yaml')}"


def store_name(store: Store, project: Project) -> str:
    """What `--store` takes: a volume's key, a bind as Compose files write it, else a path of the container."""
    if store.kind != "bind":
        return store.key
    inside = os.path.relpath(store.key, project.directory)
    return store.key if inside.startswith("..") else f"./{inside}"


def _said(store: Store, proposal: Proposal) -> str:
    where = f"{store.writer.name} at {posixpath.join(store.root, store.under) if store.under else store.root}"
    because = f" ({', '.join(dict.fromkeys(store.signs))})" if store.signs else ""
    match store.kind:
        case "volume":
            return f"volume {store.key} of {where}{because}"
        case "bind":
            return f"directory {store_name(store, proposal.project)} of {where}{because}"
        case "anonymous":
            return f"an anonymous volume of {where}{because}: `down` and `up` begin a new, empty one"
        case _ if store.signs:
            return f"none at {store.writer.name} {store.root}{because}: it is in the writable layer"
        case _:
            return (
                "none: no volume and no directory is mounted, so that every file is in a container's writable layer "
                "and goes with the container; expect `lost`"
            )


def _unknown(proposal: Proposal) -> Iterator[str]:
    store = proposal.store
    if store.content is Content.DATABASE:
        title = store.known.title if store.known else "the database"
        yield (
            f"whether {title} keeps its rows: what is looked at are files of our own in {OWN_DIRECTORY}/, which "
            "share the fate of its data directory"
        )
    else:
        yield (
            f"how users write files: they are written by a program inside {store.writer.name}; to write through "
            "HTTP as they do, see `writes` in docs/scenario.md"
        )
    if store.kind == "layer" and store.signs:
        yield f"whether files in {store.root} matter: nothing is mounted there, so expect `lost`"
    if proposal.guess:
        yield f"whether {proposal.guess.service} serves the files, and where: look for `# edit` in the scenario"
    for variable in proposal.project.unset:
        yield f"what {variable} should be: nothing sets it"
    for source, replacement in proposal.binds.items():
        if source != replacement:
            yield f"what is in {source} on your machine: the run has an empty directory in its place"
    for name, refusal in proposal.without.items():
        yield f"whether the stack can do without {name}, which is left out: {refusal.where}: {refusal.what}"
    left = sorted(set(proposal.project.config.get("services") or {}) - set(proposal.project.active))
    if left:
        yield f"whether these services matter, which no active profile brings up: {', '.join(left)}"


def _file(store: Store) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in posixpath.basename(store.key.rstrip("/")))
    return f"{name.strip('-') or 'store'}.persistence.yaml"


def _word(text: str) -> str:
    from shlex import quote

    return quote(text)
