"""The stack's own backup and restore commands, called as an operator would call them."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.events.configuration import services
from persistence_tests.stack.isolation import unescaped

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

PLACEHOLDER = "{archive}"
COMMAND_SECONDS = 600.0
SHOWN_LINES = 8

Snapshot = dict[Path, tuple[int, int, int]]


class CommandFailed(Exception):
    """A command of the stack did not do what its name says; the message is one problem in plain words."""


@dataclass(frozen=True, slots=True)
class Archive:
    """What the backup command made: `path` relative to the workspace, beginning with "./"."""

    path: str
    size: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.path}, {self.size} bytes, sha256 {self.sha256[:12]}"


def back_up(stack: Stack, line: str) -> Archive:
    """Runs the backup command. Raises CommandFailed where it leaves no archive that is new and has bytes."""
    workspace = stack.workspace.resolve()
    earlier = _files(workspace)
    stdout = _run(stack, line)
    now = _files(workspace)
    made = {path for path, stamp in now.items() if earlier.get(path) != stamp}
    path = _named_by(stdout, workspace)
    if path is not None and path not in made:
        raise CommandFailed(
            f"`{line}` exited with 0, but {path.relative_to(workspace)}, which it names, is as it was before"
        )
    if path is None:
        path = _newest(made, now, _bound(stack.config, workspace))
    if path is None:
        raise CommandFailed(f"`{line}` exited with 0, but no file appeared in {workspace}")
    size = path.stat().st_size
    if size == 0:
        raise CommandFailed(f"`{line}` exited with 0, but its archive {path.relative_to(workspace)} is empty")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Archive(f"./{path.relative_to(workspace)}", size, digest)


def restore(stack: Stack, line: str, archive: Archive) -> None:
    """Runs the restore command, `{archive}` in it replaced. Raises CommandFailed where it fails."""
    _run(stack, with_archive(line, archive))


def with_archive(line: str, archive: Archive) -> str:
    """The command with `{archive}` in it replaced, as a shell reads it."""
    return line.replace(PLACEHOLDER, shlex.quote(archive.path))


def _run(stack: Stack, line: str) -> str:
    result = stack.command(line, timeout=COMMAND_SECONDS)
    if result.exit_code != 0:
        said = (result.stderr.strip() or result.stdout.strip()).splitlines()[-SHOWN_LINES:]
        tail = "\n".join(f"  | {text}" for text in said) or "  (it printed nothing)"
        raise CommandFailed(f"`{line}` failed with exit code {result.exit_code}:\n{tail}")
    return str(result.stdout)


def _files(workspace: Path) -> Snapshot:
    """Every regular file of the workspace with inode, size and time of change."""
    found: Snapshot = {}
    for directory, _, names in os.walk(workspace):
        for name in names:
            path = Path(directory, name)
            try:
                stat = path.lstat()
            except FileNotFoundError:
                continue
            if path.is_file() and not path.is_symlink():
                found[path] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found


def _named_by(stdout: str, workspace: Path) -> Path | None:
    """The file of the workspace that the last line is, or ends with."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    if not lines:
        return None
    for text in (lines[-1], lines[-1].split()[-1].strip("'\"`.,;()")):
        path = (workspace / text).resolve()
        if path.is_file() and path.is_relative_to(workspace):
            return path
    return None


def _newest(made: Iterable[Path], now: Snapshot, data: tuple[Path, ...]) -> Path | None:
    """The newest file; one of a bind-mounted directory, which the stack writes, only if there is no other.

    A file that is named after another one, `X.sha256` beside `X`, belongs to it.
    """
    candidates = set(made)
    outside = {path for path in candidates if not any(path.is_relative_to(directory) for directory in data)}
    chosen = outside or candidates
    principal = {
        path
        for path in chosen
        if not any(path != other and path.name.startswith(f"{other.name}.") for other in chosen)
    }
    return max(principal, key=lambda path: (now[path][2], str(path)), default=None)


def _bound(config: dict[str, Any], workspace: Path) -> tuple[Path, ...]:
    sources = [
        Path(unescaped(str(volume["source"])))
        for service in services(config).values()
        for volume in service.get("volumes") or ()
        if isinstance(volume, dict) and volume.get("type") == "bind" and not volume.get("read_only")
    ]
    return tuple(source for source in sources if source != workspace)
