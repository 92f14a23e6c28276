"""Extended attributes of files, as a container's own `getfattr` tells them."""

from __future__ import annotations

import re

SCRIPT = r"""
IFS= read -r go
cd -- "$1" && exec getfattr -R -P -h -d -m '^user\.' -e hex -- .
"""

_NAME = b"# file: "
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def parse_attributes(output: bytes) -> dict[str, tuple[str, ...]]:
    """Each name with its attributes as "user.name=hexadecimal", sorted, out of what getfattr printed."""
    found: dict[str, tuple[str, ...]] = {}
    for paragraph in output.split(b"\n\n"):
        first, *lines = paragraph.strip(b"\n").split(b"\n")
        if first.startswith(_NAME):
            told = sorted(_text(line).replace("=0x", "=", 1) for line in lines)
            found[_text(first[len(_NAME) :]).removeprefix("./")] = tuple(told)
    return found


def _text(escaped: bytes) -> str:
    plain = _ESCAPE.sub(lambda octal: bytes([int(octal[1], 8) & 0xFF]), escaped)
    return plain.decode(errors="surrogateescape")
