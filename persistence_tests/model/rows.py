"""What a database's rows may say of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from persistence_tests.model.closure import Absent, AsStored, Exactly, Seen, State
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import Outcome

if TYPE_CHECKING:
    from persistence_tests.model.ledger import Ledger


def makes_row(ledger: Ledger, name: str) -> bool:
    """Whether a row refers to the name for as long as there is a file: what was done to it makes one."""
    tried = (ledger.operations[identity] for identity in ledger.tried_on(name))
    return any(ledger.row_rules.get(operation.rule) == operation.path for operation in tried)


def is_sure(ledger: Ledger, name: str) -> bool:
    """Whether the rows of the name are known: an operation without an answer may have left the file and no row, and a
    file that was seen since, or came back from a backup, does not tell."""
    answered = (Outcome.OK, Outcome.FAIL)
    return ledger.is_settled(name) and all(ledger.outcomes.get(i) in answered for i in ledger.tried_on(name))


def allows_row(ledger: Ledger, name: str, seen: Observation) -> bool:
    """Whether what the rows show of a name is right, or nobody can know."""
    if not is_sure(ledger, name) or not makes_row(ledger, name):
        return True
    (state,) = ledger.states(name)
    return right(state, seen) is not False


def right(state: State, seen: Observation) -> bool | None:
    """Whether the rows are right for a name that is in this state; None where the state says nothing of rows."""
    known: list[tuple[int | None, str | None]]
    match state:
        case Absent():
            return seen.kind is NodeKind.ABSENT
        case Exactly(version):
            known = [(version.size, version.sha256)]
        case Seen(size, sha256):
            known = [(size, sha256)]
        case AsStored(_, _, None):
            return seen.kind is NodeKind.ROW
        case AsStored(spec, size, sha256):
            # A row may say what was sent, or what was made of it.
            known = [(size, sha256), (spec.size, spec.sha256)]
        case _:
            return None
    return seen.kind is NodeKind.ROW and any(
        seen.size in (None, size) and seen.sha256 in (None, sha256) for size, sha256 in known
    )
