"""The commands of a document, so that tests type what its readers type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(r"^( *)```(\w+)(?: exit=(\d+))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `exit_code` is what its last command ends with."""

    language: str
    exit_code: int
    text: str


def blocks(document: str) -> list[Block]:
    return [
        Block(found[2], int(found[3] or 0), re.sub(f"^{found[1]}", "", found[4], flags=re.MULTILINE))
        for found in _FENCE.finditer((DOCS / document).read_text())
    ]


def commands(document: str) -> Iterator[str]:
    """Every `persistence …` and `pytest …` of a document: in its shell blocks, its workflows and its sentences."""
    texts = [text for block in blocks(document) for text in _shell(block)]
    prose = _FENCE.sub("", (DOCS / document).read_text())
    texts += re.findall(r"`((?:persistence|pytest) [^`]+)`", prose)
    for text in texts:
        for line in text.splitlines():
            if found := re.match(r"(?:\S*/)?((?:persistence|pytest) [^>#]*)", line.strip()):
                yield found[1].strip()


def _shell(block: Block) -> Iterator[str]:
    if block.language == "sh":
        yield block.text
    elif block.language == "yaml":
        yield from _lines(YAML(typ="safe").load(block.text))


def _lines(value: Any) -> Iterator[str]:
    """Every text of a workflow: what it runs is among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _lines(part)
