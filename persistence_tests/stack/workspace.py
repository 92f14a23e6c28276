"""The copy of the project directory in which the isolated stack runs."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import StackError
from persistence_tests.stack.isolation import Bind
from persistence_tests.stack.refusal import Refusal

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

PREFIX = "persistence-tests-"
MARKER = "persistence-tests.json"
LEFT_OUT = {".git"}
ENVIRONMENT = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class Marker:
    """Who made a workspace: the run, and the process, which may still be alive."""

    run: str
    process: int
    started: int

    @property
    def is_live(self) -> bool:
        return _start_of(self.process) == self.started


def create(run: str) -> Path:
    """A directory of the run's own below the system's temporary directory, with a marker that says whose it is."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    # A service's own user must be able to pass through to its binds.
    directory.chmod(0o755)
    marker = {"run": run, "process": os.getpid(), "started": _start_of(os.getpid())}
    (directory / MARKER).write_text(json.dumps(marker))
    return directory


def read_marker(directory: Path) -> Marker | None:
    """None where the directory is no workspace."""
    try:
        content = json.loads((directory / MARKER).read_text())
        return Marker(str(content["run"]), int(content["process"]), int(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def existing() -> list[Path]:
    """Workspaces in the system's temporary directory."""
    found = Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*")
    return sorted(path for path in found if read_marker(path) is not None)


def bind_refusals(binds: Iterable[Bind], project: Path, engine_socket: Path | None = None) -> list[Refusal]:
    """Bind mounts whose source leads out of the project directory by a symbolic link, or to the engine's socket."""
    home = project.resolve()
    refusals = []
    for bind in binds:
        where = bind.service if bind.service.startswith("volume ") else f"services.{bind.service}.volumes"
        if bind.inside is None:
            if _gives_the_engine(Path(bind.source), engine_socket):
                refusals.append(
                    Refusal(
                        where,
                        f"{bind.source} gives the engine's socket to the container, read-only or not",
                        "leave the service out, or put a stand-in for it into a Compose file for tests",
                    )
                )
        elif not bind.replaced and not (project / bind.inside).resolve().is_relative_to(home):
            refusals.append(
                Refusal(
                    where,
                    f"{bind.source} leads by a symbolic link to {(project / bind.inside).resolve()}, outside the "
                    "project directory",
                    f"say what replaces it: `stack: {{ binds: {{ {bind.source}: ./a-directory-of-the-project }} }}`",
                )
            )
    return refusals


def _gives_the_engine(source: Path, engine_socket: Path | None) -> bool:
    sockets = {Path("/var/run/docker.sock").resolve(), *([engine_socket.resolve()] if engine_socket else [])}
    return source.is_socket() or any(socket.is_relative_to(source.resolve()) for socket in sockets)


def escapes(binds: Iterable[Bind], copy: Path, root: Path) -> list[Refusal]:
    """The second net: binds of the copied project directory that lead out of the workspace `root` all the same."""
    return [
        Refusal(bind.service, f"{bind.source} leads out of the workspace", "mount no symbolic link")
        for bind in binds
        if bind.inside is not None and not (copy / bind.inside).resolve().is_relative_to(root)
    ]


def data_directories(
    binds: Iterable[Bind], project: Path, copied: Sequence[str], needed: Iterable[Path]
) -> list[Path]:
    """Writable directory binds, which start empty: relative to the project, without those that `copied` names.

    A directory that holds something `needed` (a Compose file, a build context) is copied whatever is mounted.
    """
    keep = {Path(os.path.normpath(project / entry)) for entry in copied}
    needed = [Path(os.path.normpath(path)) for path in needed]
    found: dict[Path, None] = {}
    for bind in binds:
        if bind.inside is None or not bind.writable:
            continue
        source = Path(os.path.normpath(project / bind.inside))
        if source.is_dir() and source not in keep and not any(path.is_relative_to(source) for path in needed):
            found[source.relative_to(project)] = None
    return list(found)


def copy_project(
    project: Path, workspace: Path, empty: Iterable[Path], kept: Iterable[Path], skip: Iterable[Path]
) -> None:
    """Copy the project directory with modes, owners, times and symbolic links.

    The content of `empty` directories is left out, except for what is `kept` below them (all relative to the
    project); `skip` are absolute paths that are left out. Sockets, pipes and devices are left out, and so are Python
    environments that nothing mounts: they are big, and of no use under another path.
    """
    emptied, kept = set(empty), list(kept)
    mounted = [*emptied, *kept]
    skipped = {Path(os.path.normpath(path)) for path in skip}

    def ignored(directory: str, names: list[str]) -> set[str]:
        here = Path(directory).relative_to(project)
        below_empty = any(here.is_relative_to(path) for path in emptied)
        out = set()
        for name in names:
            path = here / name
            if (
                (here == Path() and name in LEFT_OUT)
                or project / path in skipped
                or (below_empty and not any(path.is_relative_to(k) or k.is_relative_to(path) for k in kept))
                or not _is_copyable(project / path)
                or (
                    (project / path / ENVIRONMENT).is_file()
                    and not any(path.is_relative_to(m) or m.is_relative_to(path) for m in mounted)
                )
            ):
                out.add(name)
        return out

    try:
        shutil.copytree(
            project, workspace, symlinks=True, ignore=ignored, copy_function=_copy, dirs_exist_ok=True
        )
        for directory, names, _ in os.walk(workspace):
            for path in (Path(directory), *(Path(directory) / name for name in names)):
                _own(project / path.relative_to(workspace), path)
    except (OSError, shutil.Error) as error:
        raise StackError(
            f"the project directory cannot be copied: {error}", where=str(project), remedy="make it readable"
        ) from error


def copy_trees(trees: Iterable[Path], project: Path, target: Path) -> None:
    """Copy directories from outside the project directory to the same place relative to its copy.

    What of them is the project directory is there already. Left out is what `copy_project` leaves out.
    """
    skip = [project, Path(tempfile.gettempdir()).resolve(), Path.cwd() / "reports"]
    for tree in trees:
        place = Path(os.path.normpath(target / os.path.relpath(tree, project)))
        copy_project(tree, place, (), (), [path for path in skip if path != tree])


def copy_references(references: Iterable[Path], project: Path, target: Path) -> None:
    """Copy single files from outside the project directory to the same place relative to its copy."""
    for path in references:
        copied = Path(os.path.normpath(target / os.path.relpath(path, project)))
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)


def remove(directory: Path, engine: Engine | None, labels: dict[str, str]) -> None:
    """Remove a workspace; files of other users, which containers left, by a container where need be."""
    if read_marker(directory) is not None:
        empty(directory, engine, labels)


def empty(directory: Path, engine: Engine | None, labels: dict[str, str]) -> None:
    """Remove a directory of a workspace with all that is in it; StackError where it stays."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists() and engine is not None:
        from persistence_tests.stack.helper import helper, run_to_end

        command = ["find", "/workspace", "-mindepth", "1", "-delete"]
        with helper(
            engine, {"/workspace": directory}, labels=labels, command=command, writable=True
        ) as container:
            run_to_end(container)
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise StackError(f"the workspace {directory} cannot be removed", remedy="remove it by hand")


def _copy(source: str, target: str) -> str:
    shutil.copy2(source, target, follow_symlinks=False)
    _own(Path(source), Path(target))
    return target


def _own(source: Path, target: Path) -> None:
    if os.geteuid() == 0:
        status = source.lstat()
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            target.chmod(stat.S_IMODE(status.st_mode))


def _is_copyable(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def _start_of(process: int) -> int:
    """When a process began, in clock ticks, as its number may be used again; -1 where it is not there."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return -1
    except OSError:
        pass
    return 0
