"""Operations on one name, after Jepsen: invoked, then `ok`, `fail` or `info`.

`ok`    the acknowledgement that the scenario names was received
`fail`  positive knowledge that nothing happened (refused before sending, a documented 4xx)
`info`  nobody can know: every time-out, reset, 202 and 5xx, and every answer after a cut began
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OperationKind(StrEnum):
    CREATE = "create"
    OVERWRITE = "overwrite"
    APPEND = "append"
    RENAME = "rename"
    DELETE = "delete"
    MKDIR = "mkdir"
    SYMLINK = "symlink"
    LINK = "link"


class Also(StrEnum):
    """What is written besides bytes, and must be kept."""

    SYMLINKS = "symlinks"
    HARD_LINKS = "hard-links"
    MODES = "modes"
    XATTRS = "xattrs"
    SPARSE = "sparse"


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class PayloadKind(StrEnum):
    BYTES = "bytes"
    TEXT = "text"
    PNG = "png"
    JPEG = "jpeg"
    PDF = "pdf"
    SPARSE = "sparse"


class Acknowledgement(StrEnum):
    """What the writer received before an operation counts as `ok`."""

    FSYNC = "fsync"
    HTTP_2XX = "http-2xx"
    EXIT_0 = "exit-0"


class PromiseClass(StrEnum):
    PROCESS_CRASH = "process-crash"
    POWER_LOSS = "power-loss"


@dataclass(frozen=True, slots=True)
class PayloadSpec:
    """All that is needed to generate a payload again: its bytes are a function of these fields.

    `size` is in bytes. `sha256` is the digest of the whole payload, computed as it is generated.
    """

    run: str
    operation: int
    kind: PayloadKind
    size: int
    sha256: str


XATTR = "user.persistence"
"""The extended attribute that files are given."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one name.

    `identity` counts from 1 within a run. `path` is the name of the path it goes through, `rule` the
    index of the write rule that asked for it. `atomic` says that a reader may see only the state
    before or the state after. `payload` is what create, overwrite and append write; `target` is
    where a rename leads. Names are POSIX paths relative to the store's root.

    `provisional`: the stack names the file itself; `name` is what it was sent as, and where it is kept is
    known once `Completed.name` says so. `as_stored`: the stack keeps what it makes of the payload, not the
    payload; the first whole file that is read where it is stored is what must be kept from then on.

    `link` is the text of a symbolic link, and for a hard link the name of which `name` becomes another.
    `mode` (four octal digits) and `xattr` (the value of `XATTR`, hexadecimal) are given to a file that is created.
    """

    identity: int
    kind: OperationKind
    name: str
    path: str
    rule: int
    acknowledgement: Acknowledgement
    atomic: bool
    payload: PayloadSpec | None = None
    target: str | None = None
    provisional: bool = False
    as_stored: bool = False
    link: str | None = None
    mode: str | None = None
    xattr: str | None = None
