"""What a name may hold: a chain of pieces, each the whole payload of one operation.

A version is never stored. Its bytes are generated again from its payloads, and only where something is
compared; the digest of a single payload is the one in its specification.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from persistence_tests.model.observation import Span, SpanSource
from persistence_tests.model.operation import PayloadSpec
from persistence_tests.model.payload import Payload

COMPARED_BY_BYTES = 4096
"""Every block of this many bytes carries a stamp, so longer runs of two payloads are never alike, but for holes."""


class Specs(Protocol):
    """Payloads by the identity of their operation."""

    def get(self, identity: int, /) -> PayloadSpec | None: ...


@dataclass(frozen=True, slots=True)
class Version:
    """The payloads of `pieces`, one after the other."""

    pieces: tuple[PayloadSpec, ...]

    @property
    def size(self) -> int:
        return self.pieces[0].size if len(self.pieces) == 1 else sum(piece.size for piece in self.pieces)

    @property
    def sha256(self) -> str:
        return self.pieces[0].sha256 if len(self.pieces) == 1 else prefix_digest(self, self.size)

    @property
    def operations(self) -> frozenset[int]:
        return frozenset(piece.operation for piece in self.pieces)

    def extended(self, piece: PayloadSpec) -> Version:
        return Version((*self.pieces, piece))

    def chunks(self) -> Iterator[bytes]:
        for piece in self.pieces:
            yield from Payload.of(piece).chunks()


@lru_cache(maxsize=4096)
def prefix_digest(version: Version, length: int) -> str:
    """Hexadecimal SHA-256 of the first `length` bytes."""
    digest = hashlib.sha256()
    for chunk in version.chunks():
        digest.update(chunk[:length])
        length -= len(chunk[:length])
        if length == 0:
            break
    return digest.hexdigest()


def is_prefix(version: Version, size: int | None, sha256: str | None) -> bool:
    """Whether content of that size and digest is how `version` begins, the whole of it included."""
    return size is not None and size <= version.size and sha256 == prefix_digest(version, size)


def in_place(span: Span, version: Version, specs: Specs) -> bool:
    """Whether the bytes of `span` are those that `version` has at the same offset."""
    start, end = 0, span.offset
    for piece in version.pieces:
        if end < (stop := start + piece.size) and end < span.offset + span.length:
            upto = min(stop, span.offset + span.length)
            if not _same_bytes(span, end - span.offset, upto - end, piece, end - start, specs):
                return False
            end = upto
        start = stop
    return end == span.offset + span.length


def _same_bytes(span: Span, skip: int, length: int, piece: PayloadSpec, origin: int, specs: Specs) -> bool:
    """Compare `length` bytes of `span` from `skip` on with those of `piece` from `origin` on.

    An attribution names one writer, but holes and short runs (the head of a PNG, a few zeros) can be the same
    in two.
    """
    if span.source is SpanSource.OPERATION and span.operation is not None and span.origin is not None:
        if span.operation == piece.operation and span.origin + skip == origin:
            return True
        spec = specs.get(span.operation)
        if spec is None or (length >= COMPARED_BY_BYTES and not Payload.hole(piece.kind)):
            return False
        return Payload.of(spec).slice(span.origin + skip, length) == Payload.of(piece).slice(origin, length)
    if span.source is SpanSource.ZEROS and (length < COMPARED_BY_BYTES or Payload.hole(piece.kind)):
        return Payload.of(piece).slice(origin, length) == bytes(length)
    return False
