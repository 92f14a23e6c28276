"""The text of the scenario file."""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from persistence_tests.init.proposal import READY_SECONDS, Proposal, Url
from persistence_tests.init.wellknown import Content

WIDTH = 110
EDIT = "# edit:"
_PLAIN = re.compile(r"[A-Za-z_./~][\w./~@+-]*( [\w./~@+-]+)*|\d+s")
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", ".", ".inf", ".nan"}


def scenario_text(proposal: Proposal, beside: Path) -> str:
    """The scenario; `beside` is the directory that its file is written to."""
    return (
        "\n".join(
            line.rstrip()
            for part in (
                _refused(proposal),
                _stack(proposal, beside),
                _paths(proposal),
                _writes(proposal),
                _events(proposal),
            )
            for line in part
        ).lstrip("\n")
        + "\n"
    )


def scalar(text: str) -> str:
    """A text as a YAML scalar inside braces, in quotes where it needs them."""
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT and not re.fullmatch(r"[\d._]+", text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _inline(values: dict[str, str | int]) -> str:
    inside = ", ".join(
        f"{key}: {value if isinstance(value, int) else scalar(value)}" for key, value in values.items()
    )
    return f"{{ {inside} }}"


def _refused(proposal: Proposal) -> Iterator[str]:
    if not proposal.refusals:
        return
    yield f"{EDIT} the stack cannot be kept apart from your own machine yet, and a run would refuse it:"
    for refusal in proposal.refusals:
        yield f"#   {refusal.where}: {refusal.what}"
        yield f"#     help: {refusal.remedy}"
    yield ""


def _stack(proposal: Proposal, beside: Path) -> Iterator[str]:
    project = proposal.project
    files = [os.path.relpath(file, beside) for file in project.files]
    yield "stack:"
    if len(files) == 1:
        yield f"  compose: {scalar(files[0])}"
    else:
        yield f"  compose: [{', '.join(map(scalar, files))}]"
    if proposal.without:
        yield f"  {EDIT} left out, because they would reach your own machine; the stack must do without them"
        yield f"  without: [{', '.join(map(scalar, proposal.without))}]"
    if project.unset:
        yield f"  {EDIT} nothing sets these, so that Compose takes them as empty"
        yield f"  # env: {_inline(dict.fromkeys(project.unset, '…'))}"
    ready: dict[str, str | int] = {}
    if proposal.ready:
        ready = {"path": proposal.ready[0], "url": proposal.ready[1]}
    if proposal.within != READY_SECONDS:
        ready["within"] = f"{proposal.within}s"
    if ready:
        yield f"  ready: {_inline(ready)}"
    if proposal.setup:
        yield "  commands: follow-project"
        yield "  setup:"
        yield f"    - {proposal.setup}"
    if proposal.binds:
        if any(source != replacement for source, replacement in proposal.binds.items()):
            yield f"  {EDIT} what replaces directories of your machine; each begins empty"
        yield "  binds:"
        yield from (
            f"    {scalar(source)}: {scalar(replacement)}" for source, replacement in proposal.binds.items()
        )
    if proposal.copied:
        yield f"  copy: [{', '.join(map(scalar, proposal.copied))}]"


def _paths(proposal: Proposal) -> Iterator[str]:
    store = proposal.store
    under: dict[str, str | int] = {"under": proposal.under} if proposal.under else {}
    yield "\npaths:"
    if store.kind == "volume":
        yield f"  volume: {_inline({'volume': store.key, **under})}"
    elif store.kind == "bind":
        yield f"  volume: {_inline({'bind': _bind_name(proposal), **under})}"
    if store.kind == "layer" and not store.signs:
        yield f"  {EDIT} the directory that {store.writer.name} writes its files to"
    direct: dict[str, str | int] = {"service": store.writer.name, "root": proposal.root, **under}
    if proposal.user:
        direct["user"] = proposal.user
    yield f"  direct: {_inline(direct)}"
    for url in proposal.urls:
        yield f"  {url.kind}: {_http(url)}"
    if proposal.guess:
        yield f"  {EDIT} if {proposal.guess.service} serves these files, say where, and take the # away"
        yield f"  # {proposal.guess.kind}: {_http(proposal.guess)}"


def _http(url: Url) -> str:
    return _inline({"service": url.service, "port": url.port, "url": url.url})


def _bind_name(proposal: Proposal) -> str:
    """A bind's source as a Compose file would write it."""
    inside = os.path.relpath(proposal.store.key, proposal.project.directory)
    if inside == ".":
        return "./"
    return proposal.store.key if inside.startswith("..") else f"./{inside}"


def _writes(proposal: Proposal) -> Iterator[str]:
    yield "\nwrites:"
    yield "  - through: direct"
    yield "    into: [.]"
    if proposal.store.content is Content.DATABASE:
        yield "    files: 12"
        yield "    names: plain"
        yield "    sizes: [1, 4096, 64KiB]"
    else:
        yield "    files: 24"
        yield "    sizes: [0, 1, 4095, 4096, 4097, 64KiB, 1MiB]"


def _events(proposal: Proposal) -> Iterator[str]:
    yield "\nevents:"
    for event in proposal.events:
        if isinstance(event, str):
            yield f"  - {event}"
        else:
            name, options = event
            yield f"  - {name}: {_inline({**options})}"


def place(proposal: Proposal) -> str:
    """The directory that the files go to, in the container."""
    return posixpath.join(proposal.root, proposal.under) if proposal.under else proposal.root
