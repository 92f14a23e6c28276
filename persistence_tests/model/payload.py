"""What a run writes: bytes that are a function of run, operation, kind and size, and say so themselves.

Every whole block of 4096 bytes carries a stamp (`payload_stamp`), from which the payload can be made again.
A payload shorter than a stamp holds the stamp's first bytes.

    bytes   blocks, each a stamp and random bytes other than zero
    text    the same in printable ASCII, in lines of 63 characters; ends in a newline from 2 bytes on
    png     an image that decoders accept, the stamps its pixels (`payload_png`)
    jpeg    the same, the stamps in its comments (`payload_jpeg`)
    pdf     a document that readers accept, the stamps its text (`payload_pdf`)
    sparse  a hole, which reads as zeros and has no stamps, then as `bytes` (`payload_sparse`)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from persistence_tests.errors import UsageError
from persistence_tests.model import payload_jpeg, payload_pdf, payload_png, payload_sparse
from persistence_tests.model.operation import PayloadKind, PayloadSpec
from persistence_tests.model.payload_stamp import BLOCK, LARGEST, Blocks, Stamp, run_tag

_KIB = 1024
_MIB = 1024 * _KIB

# On both sides of the sizes where stacks change behaviour: pages, buffers, limits of uploads.
DEFAULT_SIZES: tuple[int, ...] = (
    0, 1, 4095, 4096, 4097,
    32 * _KIB - 1, 32 * _KIB, 32 * _KIB + 1,
    64 * _KIB - 1, 64 * _KIB, 64 * _KIB + 1,
    _MIB,
    5 * _MIB // 2 - 1, 5 * _MIB // 2, 5 * _MIB // 2 + 1,
    8 * _MIB,
)  # fmt: skip

_BLOCKS_AT_ONCE = 64


class _Document(Protocol):
    """The whole of a file that is more than blocks in a row."""

    def chunks(self) -> Iterator[bytes]: ...

    def slice(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Format:
    minimum: int
    maximum: int
    make: Callable[[Blocks, int], _Document]


_FORMATS: dict[PayloadKind, _Format] = {
    PayloadKind.PNG: _Format(payload_png.MINIMUM, payload_png.MAXIMUM, payload_png.Image),
    PayloadKind.JPEG: _Format(payload_jpeg.MINIMUM, LARGEST, payload_jpeg.image),
    PayloadKind.PDF: _Format(payload_pdf.MINIMUM, payload_pdf.MAXIMUM, payload_pdf.document),
    PayloadKind.SPARSE: _Format(payload_sparse.MINIMUM, LARGEST, payload_sparse.SparseFile),
}


class Payload:
    """The content of one operation. Memory does not grow with its size."""

    __slots__ = ("_blocks", "_document", "_sha256", "kind", "operation", "run", "size")

    def __init__(self, run: str, operation: int, kind: PayloadKind, size: int) -> None:
        form = _FORMATS.get(kind)
        maximum = form.maximum if form else LARGEST
        if not self.minimum(kind) <= size <= maximum:
            raise UsageError(
                f"a payload of kind {kind} cannot have {size} bytes",
                remedy=f"ask for {self.minimum(kind)} to {maximum} bytes",
            )
        if not 0 <= operation <= LARGEST:
            raise UsageError(f"{operation} is not the number of an operation")
        self.run = run
        self.operation = operation
        self.kind = kind
        self.size = size
        self._blocks = Blocks(run_tag(run), operation, kind, size)
        self._document = form.make(self._blocks, size) if form else None
        self._sha256: str | None = None

    @classmethod
    def make(cls, run: str, operation: int, kind: PayloadKind, size: int) -> Payload:
        """Raises UsageError where the kind has no payload of this size (`minimum`)."""
        return cls(run, operation, kind, size)

    @classmethod
    def of(cls, spec: PayloadSpec) -> Payload:
        payload = cls(spec.run, spec.operation, spec.kind, spec.size)
        payload._sha256 = spec.sha256
        return payload

    @classmethod
    def stamped(cls, stamp: Stamp, run: str) -> Payload:
        """The payload that a stamp is a part of; `run` is the run whose tag it bears."""
        return cls(run, stamp.operation, stamp.kind, stamp.size)

    @staticmethod
    def minimum(kind: PayloadKind) -> int:
        """The least size in bytes."""
        form = _FORMATS.get(kind)
        return form.minimum if form else 0

    @staticmethod
    def hole(kind: PayloadKind) -> int:
        """How many bytes at the beginning are never written, and read as zeros."""
        return payload_sparse.HOLE if kind is PayloadKind.SPARSE else 0

    @property
    def sha256(self) -> str:
        """Hexadecimal; generates the payload once unless `chunks` was already read to its end."""
        if self._sha256 is None:
            for _ in self.chunks():
                pass
        assert self._sha256 is not None
        return self._sha256

    @property
    def spec(self) -> PayloadSpec:
        return PayloadSpec(self.run, self.operation, self.kind, self.size, self.sha256)

    def chunks(self) -> Iterator[bytes]:
        """The whole payload, at most 256 KiB at a time."""
        digest = sha256()
        for chunk in self._document.chunks() if self._document else self._runs_of_blocks():
            digest.update(chunk)
            yield chunk
        self._sha256 = digest.hexdigest()

    def slice(self, offset: int, length: int) -> bytes:
        """The bytes from `offset` on, `length` of them or as many as there are.

        Generates the blocks concerned only; the end of a PNG needs one pass over the whole.
        """
        if offset < 0 or length < 0:
            raise ValueError("offset and length count from 0")
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        if self._document:
            return self._document.slice(offset, length)
        first, skip = divmod(offset, BLOCK)
        end = offset + length
        content = self._blocks.between(first * BLOCK, end)
        if len(content) != length:
            content = content[skip : skip + length]
        return content[:-1] + b"\n" if end == self.size and self._ends_in_newline else content

    @property
    def _ends_in_newline(self) -> bool:
        return self.kind is PayloadKind.TEXT and self.size > 1

    def _runs_of_blocks(self) -> Iterator[bytes]:
        step = BLOCK * _BLOCKS_AT_ONCE
        for offset in range(0, self.size, step):
            yield self.slice(offset, step)

    def bytes(self) -> bytes:
        return b"".join(self.chunks())
