"""Which of the files written so far are changed, and how: a choice that the seed makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from persistence_tests.model.closure import Exactly
from persistence_tests.model.operation import OperationKind, PayloadKind
from persistence_tests.model.payload import Payload

if TYPE_CHECKING:
    from persistence_tests.model.ledger import Ledger
    from persistence_tests.paths.base import PendingWrite
    from persistence_tests.scenario.scenario import WriteRule

CHANGED = 8
"""Of so many new files a step one is changed, by each operation, and one is linked to, in each way."""
MARKED = 4
"""Of so many new files one is given a mode and an attribute."""
MODES = ("0664", "0755", "0604", "0744")
"""Not the usual ones, but its owner may still write the file and everybody read it."""
LARGEST_APPEND = 64 * 1024
"""Bytes: what is appended stays for as long as the stack does."""


def chosen(
    rule: WriteRule, ledger: Ledger, names: Collection[str], random: Random
) -> Iterator[tuple[OperationKind, str, PayloadKind]]:
    """Operations of the rule, each on a name of its own whose content is known, with the kind of content.

    A name of which anything is open (an operation without an answer, one that an event did not promise to
    keep) is never chosen.
    """
    kinds = [kind for kind in rule.operations if kind is not OperationKind.CREATE]
    free = [(name, kind) for name in sorted(names) if (kind := content_kind(ledger, name)) is not None]
    random.shuffle(free)
    for operation in kinds * max(1, rule.files // CHANGED):
        place = next((at for at, (_, kind) in enumerate(free) if possible(operation, kind)), None)
        if place is not None:
            name, kind = free.pop(place)
            yield operation, name, kind


def linked(ledger: Ledger, names: Collection[str], rule: WriteRule, random: Random) -> Iterator[str]:
    """Files whose content is known, to be linked to; each once."""
    free = [name for name in sorted(names) if content_kind(ledger, name) is not None]
    yield from random.sample(free, min(len(free), max(1, rule.files // CHANGED)))


def content_kind(ledger: Ledger, name: str) -> PayloadKind | None:
    """The kind of content of a file about which nothing is open; None for every other name."""
    if not ledger.is_settled(name):
        return None
    (state,) = ledger.states(name)
    return state.version.pieces[0].kind if isinstance(state, Exactly) else None


def possible(operation: OperationKind, kind: PayloadKind) -> bool:
    """An image with more after its end is none; what has a least size is such a thing."""
    return operation is not OperationKind.APPEND or Payload.minimum(kind) == 0


def disturbed(writes: Sequence[PendingWrite], rule: WriteRule, random: Random) -> list[PendingWrite]:
    """The same writes; of as many as the rule says the connection is cut, or a part left out."""
    changed = list(writes)
    sizes = {place: write.content.size for place, write in enumerate(writes) if write.content is not None}
    able = [place for place, size in sizes.items() if size > 1]
    cut = random.sample(able, min(rule.cut, len(able)))
    for place in cut:
        changed[place] = replace(writes[place], cut_after=random.randrange(1, sizes[place]))
    if (parts := rule.uploading.parts) is not None:
        able = [place for place, size in sizes.items() if size > parts.size and place not in cut]
        for place in random.sample(able, min(rule.left_out, len(able))):
            changed[place] = replace(writes[place], left_out=True)
    return changed


def change_size(
    rule: WriteRule, operation: OperationKind, kind: PayloadKind, random: Random, largest: int | None = None
) -> int:
    """Bytes that an overwrite or an append writes; `largest` drops bigger ones."""
    if operation is OperationKind.APPEND:
        return random.choice([size for size in rule.sizes if 0 < size <= LARGEST_APPEND] or [1])
    sizes = [size for size in rule.sizes if largest is None or size <= largest] or [min(rule.sizes)]
    return max(random.choice(sizes), Payload.minimum(kind))
