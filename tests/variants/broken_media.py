"""The media stack, broken in one place: what each variant edits, and what must be found in it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
STACK = REPOSITORY / "compose-under-test" / "media"
SCENARIO = REPOSITORY / "scenarios" / "media.persistence.yaml"

MOUNT = "    volumes:\n      - media_files:/home/app/assets/media-files\n    healthcheck:"
ALL_PATHS = ("volume", "direct", "api", "proxy")
WITHOUT_VOLUME = ("direct", "api", "proxy")


@dataclass(frozen=True, slots=True)
class Edit:
    """`old`, which occurs once in `file`, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Expected:
    """A finding that must be there: after which event, with which symptom, on which paths, for which cause."""

    event: str
    symptom: str
    paths: tuple[str, ...]
    rule: str | None


@dataclass(frozen=True, slots=True)
class Variant:
    """`event` decides; `verified` are the paths that the variant can have at all."""

    edits: tuple[Edit, ...]
    event: str
    verified: tuple[str, ...]
    expected: Expected


# The API checks that its directory is a mount; the broken stacks are those that do not.
UNCHECKED = Edit("compose.yaml", "${MEDIA_REQUIRE_MOUNT:-true}", "${MEDIA_REQUIRE_MOUNT:-false}")

VARIANTS: Mapping[str, Variant] = {
    "no-volume": Variant(
        (UNCHECKED, Edit("compose.yaml", MOUNT, "    healthcheck:")),
        "down-up",
        WITHOUT_VOLUME,
        Expected("down-up", "missing", WITHOUT_VOLUME, "no-volume"),
    ),
    "volume-elsewhere": Variant(
        (UNCHECKED, Edit("compose.yaml", MOUNT, MOUNT.replace("/assets/", "/"))),
        "recreate",
        WITHOUT_VOLUME,
        Expected("recreate", "missing", WITHOUT_VOLUME, "mount-elsewhere"),
    ),
    "anonymous-volume": Variant(
        (Edit("compose.yaml", MOUNT, MOUNT.replace("media_files:/", "/")),),
        "down-up",
        WITHOUT_VOLUME,
        Expected("down-up", "orphaned", WITHOUT_VOLUME, "anonymous-volume"),
    ),
    "acknowledged-before-written": Variant(
        (
            Edit(
                "api/media/receiving.py",
                "        stored = await asyncio.to_thread(upload.commit, waiting)\n        return stored\n",
                "        content = bytes(waiting)\n"
                "        asyncio.get_running_loop().call_later(0.15, lambda: upload.commit(content))\n"
                '        stored = Stored(name, size, "", created=True)\n'
                "        return stored\n",
            ),
            # Nobody can delete what is not there yet.
            Edit(
                "api/media/media_routes.py",
                "        await asyncio.to_thread(self._store.delete",
                "        await asyncio.sleep(0.3)\n        await asyncio.to_thread(self._store.delete",
            ),
        ),
        "kill",
        ALL_PATHS,
        Expected("kill", "missing", ALL_PATHS, "acknowledged-too-early"),
    ),
    "init-wipes": Variant(
        (Edit("infra/init-media-dirs.sh", "created=0\n", 'rm -rf "$root"/*\ncreated=0\n'),),
        "restart",
        ALL_PATHS,
        Expected("restart", "missing", ALL_PATHS, "wiped-at-start"),
    ),
    "restore-loses-a-directory": Variant(
        (
            Edit(
                "api/media/archive/restoring.py",
                "    comes = _names(area.new)\n",
                '    comes = _names(area.new) - {"invoice"}\n',
            ),
        ),
        "backup-restore",
        ALL_PATHS,
        Expected("backup-restore", "missing", ALL_PATHS, "incomplete-restore"),
    ),
}  # fmt: skip


def write_variant(variant: Variant, directory: Path) -> Path:
    """The broken stack and the media scenario over it, in `directory`; the scenario's file."""
    stack = directory / "media"
    shutil.copytree(STACK, stack, ignore=shutil.ignore_patterns(".*cache", "__pycache__", "media-backups"))
    for edit in variant.edits:
        replace_once(stack / edit.file, edit.old, edit.new)
    scenario = directory / SCENARIO.name
    text = SCENARIO.read_text()
    if "volume" not in variant.verified:
        text = once(text, "  volume: { volume: media_files }\n", "")
    scenario.write_text(once(text, "../compose-under-test/media/compose.yaml", "media/compose.yaml"))
    return scenario


def replace_once(file: Path, old: str, new: str) -> None:
    file.write_text(once(file.read_text(), old, new))


def once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"{old!r} occurs {text.count(old)} times: the variant no longer fits the stack")
    return text.replace(old, new)
