"""What a page may still show, so that it stays small however long the run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

OPERATIONS_DRAWN = 10_000
COMPARISONS_A_FINDING = 3
COMPARISONS_A_PAGE = 60


@dataclass(slots=True)
class Allowance:
    """What the page may still show."""

    drawn: int = OPERATIONS_DRAWN
    comparisons: int = COMPARISONS_A_PAGE
    operations_left_out: int = 0
    comparisons_left_out: int = 0
    names_left_out: int = 0
    ids: set[str] = field(default_factory=set)

    def id(self, text: str) -> str:
        """An anchor that is unique on the page and needs no escape."""
        base = wanted = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "x"
        number = 1
        while wanted in self.ids:
            number += 1
            wanted = f"{base}.{number}"
        self.ids.add(wanted)
        return wanted

    def said(self, names_a_finding: int) -> list[str]:
        """What the page does not show, in words."""
        said = []
        if count := self.operations_left_out:
            said.append(
                f"{count:,} of more than {OPERATIONS_DRAWN:,} operations are not drawn; those without an "
                "acknowledgement, and those of steps that are not kept, came first"
            )
        if count := self.names_left_out:
            said.append(
                f"{count:,} wrong names are counted, not listed ({names_a_finding} at most for a finding)"
            )
        if count := self.comparisons_left_out:
            said.append(
                f"the bytes of {count:,} wrong names are not shown ({COMPARISONS_A_FINDING} at most for a finding, "
                f"{COMPARISONS_A_PAGE} on the page)"
            )
        return said
