"""Evidence: what was promised of a name and what was seen, in one line."""

from __future__ import annotations

from collections.abc import Sequence

from persistence_tests.model.closure import (
    Absent,
    Anything,
    AsStored,
    Directory,
    Exactly,
    Link,
    Partial,
    Seen,
    State,
)
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation, Span, SpanSource
from persistence_tests.model.versions import Version

SPANS_TOLD = 4


def evidence(ledger: Ledger, name: str, seen: Sequence[tuple[str, Observation]], remark: str = "") -> str:
    """`name: promise, what was seen on which paths`; `seen` holds (path, observation)."""
    shown: dict[str, list[str]] = {}
    for path, observation in seen:
        shown.setdefault(observed(observation), []).append(path)
    sights = "; ".join(f"{words} on {', '.join(paths)}" for words, paths in shown.items())
    return f"{name}: {promised(ledger, name)}, {sights}{remark}"


def promised(ledger: Ledger, name: str) -> str:
    states = ledger.states(name)
    if len(states) == 1:
        (state,) = states
        if isinstance(state, Exactly):
            operation = ledger.operations.get(state.version.pieces[-1].operation)
            level = f"{operation.acknowledgement}, " if operation else ""
            return f"acknowledged ({level}{_content(state.version)})"
        if isinstance(state, AsStored):
            operation = ledger.operations.get(state.spec.operation)
            level = f"{operation.acknowledgement}, " if operation else ""
            return f"acknowledged ({level}{_state(state)})"
        if isinstance(state, Absent):
            return "must be absent"
        if isinstance(state, Link):
            return f"acknowledged ({_state(state)})"
        return _state(state)
    return f"not acknowledged, may be {' or '.join(sorted(_state(state) for state in states))}"


def observed(seen: Observation) -> str:
    if seen.kind is NodeKind.ERROR:
        status = f" {seen.status}" if seen.status else ""
        return f"error{status}{f' ({seen.error})' if seen.error else ''}"
    if seen.kind is NodeKind.ROW:
        said = [f"{seen.size} bytes"] if seen.size is not None else []
        said += [f"sha256 {seen.sha256[:8]}…"] if seen.sha256 else []
        return f"a row in {seen.row}" + (f" that says {', '.join(said)}" if said else "")
    if seen.kind is NodeKind.SYMLINK and seen.target is not None:
        return f"a symbolic link to {seen.target}"
    if seen.kind is not NodeKind.FILE:
        return "absent" if seen.kind is NodeKind.ABSENT else f"a {seen.kind}"
    digest = f", sha256 {seen.sha256[:8]}…" if seen.sha256 else ""
    digest += f", {seen.flaw}" if seen.flaw else ""
    status = f"{seen.status} with " if seen.status else ""
    size = "an unknown number of" if seen.size is None else seen.size
    return f"{status}{size} bytes{digest}{_spans(seen)}"


def _spans(seen: Observation) -> str:
    if not seen.spans:
        return ""
    told = ", ".join(_span(span) for span in seen.spans[:SPANS_TOLD])
    more = len(seen.spans) - SPANS_TOLD
    return f" ({told}{f', and {more} more runs' if more > 0 else ''})"


def _span(span: Span) -> str:
    place = f"{span.offset}–{span.offset + span.length}"
    match span.source:
        case SpanSource.OPERATION:
            moved = "" if span.origin == span.offset else f" from its byte {span.origin}"
            return f"{place} of operation {span.operation}{moved}"
        case SpanSource.ZEROS:
            return f"{place} zeros"
        case SpanSource.UNKNOWN:
            return f"{place} of nobody"


def _content(version: Version) -> str:
    return f"{version.size} bytes, sha256 {version.sha256[:8]}…"


def _state(state: State) -> str:
    match state:
        case Absent():
            return "absent"
        case Directory():
            return "a directory"
        case Link(text):
            return f"a symbolic link to {text}"
        case Exactly(version):
            return _content(version)
        case Seen(size, sha256):
            return f"as last seen ({size} bytes, sha256 {(sha256 or '')[:8]}…)"
        case AsStored(spec, size, sha256):
            made = "a whole file" if sha256 is None else f"{size} bytes, sha256 {sha256[:8]}…, as first read"
            return f"{made}, made of a {spec.kind} of {spec.size} bytes"
        case Partial(new):
            return f"a part of {new.size} bytes"
        case Anything():
            return "what was there before"
