"""Names that nobody wrote, and patterns of names to leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import NodeKind, Observation, SpanSource


@lru_cache(maxsize=256)
def pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` stay within a directory, `**` crosses them, `**/` may be nothing, `[…]` is a set."""
    out, rest = [], glob
    while rest:
        if rest.startswith("**/"):
            out.append("(?:.*/)?")
            rest = rest[3:]
        elif rest.startswith("**"):
            out.append(".*")
            rest = rest[2:]
        elif rest[0] in "*?":
            out.append("[^/]*" if rest[0] == "*" else "[^/]")
            rest = rest[1:]
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            members = rest[1:end].replace("\\", r"\\")
            out.append(f"[{'^' + members[1:] if members[0] == '!' else members}]")
            rest = rest[end + 1 :]
        else:
            out.append(re.escape(rest[0]))
            rest = rest[1:]
    return re.compile("".join(out), re.DOTALL)


def ignored(name: str, patterns: Iterable[str]) -> bool:
    return any(pattern(glob).fullmatch(name) for glob in patterns)


def is_residue(ledger: Ledger, seen: Observation) -> bool:
    """Whether a file is what an unacknowledged write may leave behind under a name of its own.

    Its bytes are, in part or in whole, of such a write; or it has none yet (no bytes, or zeros only) and
    such a write there was; or a server made something of what it was sent, and nobody knows what.
    """
    unacknowledged = ledger.unacknowledged()
    if seen.kind is not NodeKind.FILE or not unacknowledged:
        return False
    specs = [ledger.specs[i] for i in unacknowledged if i in ledger.specs]
    if any((spec.size, spec.sha256) == (seen.size, seen.sha256) for spec in specs):
        return True
    if seen.size == 0 or any(ledger.may_have_been_made_anew(i) for i in unacknowledged):
        return True
    spans = seen.spans or ()
    if any(span.source is SpanSource.UNKNOWN for span in spans):
        return False
    written = {span.operation for span in spans if span.source is SpanSource.OPERATION}
    return bool(spans) and (not written or bool(written & unacknowledged))
