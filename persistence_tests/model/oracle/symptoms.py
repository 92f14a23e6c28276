"""Which symptom wrong bytes are. The first question that is answered with yes decides.

    1. no bytes where there should be some                          empty
    2. exactly a version written after the checkpoint               resurrected
    3. exactly an older acknowledged version of this name           stale
    4. the beginning of a version of this name                      truncated
    5. any bytes that nobody wrote (on a served path: masked)       corrupted
    6. any bytes of an operation on another name                    foreign
    7. bytes of one version in place, and zeros (or zeros only)     zeroed
    8. bytes of two or more operations on this name                 torn
    9. anything else (bytes of one operation, not in their place)   corrupted

4 stands so early because a digest proves it, also where the beginning is too short for a stamp. 7 before 8:
what is one version with holes has not been mixed with another. The hole that a sparse file has by right is attributed
to the operation that wrote the file.
"""

from __future__ import annotations

from persistence_tests.model.closure import versions
from persistence_tests.model.finding import Symptom
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import Observation, Span, SpanSource
from persistence_tests.model.versions import Version, in_place, is_prefix


def wrong_bytes(ledger: Ledger, name: str, seen: Observation, served: bool) -> Symptom:
    """The symptom of a file whose content `name` may not have."""
    entry = ledger.name(name)
    own = versions(ledger.states(name)) | entry.acknowledged
    if (sent := ledger.unread(name)) is not None:
        own |= {Version((sent,))}
    if seen.size == 0:
        return Symptom.EMPTY
    if any(_is(version, seen) for version in entry.undone):
        return Symptom.RESURRECTED
    if any(_is(version, seen) for version in entry.acknowledged):
        return Symptom.STALE
    if (maker := ledger.maker(seen)) is not None:
        return Symptom.STALE if maker in ledger.operations_on(name) else Symptom.FOREIGN
    if any(is_prefix(version, seen.size, seen.sha256) for version in own):
        return Symptom.TRUNCATED
    nobody = Symptom.MASKED if served else Symptom.CORRUPTED
    spans = seen.spans or ()
    if not spans or any(span.source is SpanSource.UNKNOWN for span in spans):
        return nobody
    return _attributed(ledger, name, spans, own)


def _attributed(ledger: Ledger, name: str, spans: tuple[Span, ...], own: frozenset[Version]) -> Symptom:
    def fits(span: Span, version: Version) -> bool:
        return in_place(span, version, ledger.specs)

    operations = ledger.operations_on(name)
    written = [span for span in spans if span.source is SpanSource.OPERATION]
    for span in written:
        if span.operation not in operations and not any(fits(span, version) for version in own):
            return Symptom.FOREIGN
    holes = [span for span in spans if span.source is SpanSource.ZEROS]
    if not written or any(all(fits(span, version) for span in written) for version in own):
        return Symptom.ZEROED if holes else Symptom.CORRUPTED  # the latter where the rest was not attributed
    if len({span.operation for span in written}) > 1:
        return Symptom.TORN
    return Symptom.CORRUPTED


def attributable(ledger: Ledger, name: str, seen: Observation) -> bool:
    """Whether the run wrote what was seen, whoever shows it."""
    entry = ledger.name(name)
    if any(_is(version, seen) for version in entry.acknowledged | entry.undone):
        return True
    if ledger.maker(seen) is not None:
        return True
    return any(span.source is SpanSource.OPERATION for span in seen.spans or ())


def _is(version: Version, seen: Observation) -> bool:
    return (seen.size is None or seen.size == version.size) and seen.sha256 == version.sha256
