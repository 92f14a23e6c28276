"""Compose projects of other people, as far as tests have them: under tests/foreign, each copied before it is used."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.variants.broken_media import once

PROJECTS = Path(__file__).parents[1] / "foreign"


@dataclass(frozen=True, slots=True)
class Foreign:
    """`edits` are what its owner would change in the written scenario, old line and new; `verdict` what a run says."""

    scenario: str
    verdict: str = "kept"
    exit_code: int = 0
    paths: tuple[str, ...] = ("volume", "direct")
    edits: dict[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


FOREIGN = {
    "django": Foreign("django", paths=("volume", "direct", "proxy")),
    "flask": Foreign("flask", paths=("volume", "direct", "api"), edits={"  # api:": "  api:"}),
    "guestbook": Foreign("guestbook", "lost", 1, ("direct",), lost=("recreate", "down-up", "rebuild")),
    "mariadb": Foreign("mariadb"),
    "node": Foreign(
        "node",
        paths=("volume", "direct", "api"),
        edits={
            '  # api: { service: server, port: 3000, url: "/uploads/{name}" }':
            '  api: { service: server, port: 3000, url: "/files/{name}" }'
        },
    ),
    "php": Foreign("php", paths=("volume", "direct", "api")),
    "postgres": Foreign("orders"),
    "redis": Foreign("redis"),
    "static": Foreign("static", paths=("volume", "direct", "api")),
}  # fmt: skip


def copy_of(name: str, directory: Path) -> Path:
    """The project in a directory of its own name below `directory`."""
    return Path(shutil.copytree(PROJECTS / name, directory / name))


def edit(scenario: Path, edits: dict[str, str]) -> int:
    """Make the owner's edits; the number of lines that changed."""
    before = text = scenario.read_text()
    for old, new in edits.items():
        text = once(text, old, new)
    scenario.write_text(text)
    pairs = zip(before.splitlines(), text.splitlines(), strict=True)
    return sum(old != new for old, new in pairs)
