"""Lines that fit a terminal. A width of None leaves every line as long as it is: a log is searched, not looked at."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

NARROWEST = 40


def folded(text: str, width: int | None, *, first: str = "", rest: str = "") -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces only; `first` and `rest` stand before them."""
    return joined(text.split(" "), width, first=first, rest=rest)


def joined(
    pieces: Sequence[str], width: int | None, *, first: str = "", rest: str = "", between: str = " "
) -> list[str]:
    """The pieces with `between` them, in lines; no piece is broken, and what is longer than a line sticks out."""
    if width is None:
        return [first + between.join(pieces)]
    width = max(width, NARROWEST)
    out, line, empty = [], first, True
    for piece in pieces:
        if not empty and cell_len(line + between + piece) > width:
            out.append(line + between.rstrip())
            line, empty = rest, True
        line += piece if empty else between + piece
        empty = False
    return [*out, line]


def cut(text: str, width: int | None) -> str:
    """The beginning of `text` that fits into `width` cells, with "…" where something is left out."""
    if width is None or cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"
