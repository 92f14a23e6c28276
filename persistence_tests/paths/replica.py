"""A directory in one container: listed by its own programs and user, or by the engine's archive API."""

from __future__ import annotations

import os
import posixpath
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from persistence_tests.model.observation import Observation
from persistence_tests.paths.archive import read_member, read_tree
from persistence_tests.paths.attributes import SCRIPT as ATTRIBUTES
from persistence_tests.paths.attributes import parse_attributes
from persistence_tests.paths.frames import escaped
from persistence_tests.paths.listing import (
    CANNOT_ENTER,
    SCRIPT,
    BrokenListing,
    ToolsMissing,
    parse_listing,
)
from persistence_tests.paths.members import BrokenArchive
from persistence_tests.paths.tree import Tree
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.exec_stream import WITHIN, ExecFailed, explanation, run
from persistence_tests.stack.helper import archive_stream

if TYPE_CHECKING:
    from docker.models.containers import Container


class CannotList(Exception):
    """Nothing can be said of the tree, not even that it is empty."""


def list_by_exec(container: Container, root: str, user: str = "") -> Tree:
    """The tree below `root`; an empty one where `root` is not there.

    Raises ToolsMissing where the container's programs cannot do it, CannotList for all else.
    """
    try:
        output, complaints, code = run(container, ["sh", "-c", SCRIPT, "sh", root], user=user)
        if code == CANNOT_ENTER:
            if b"No such file or directory" in complaints:
                return Tree()
            raise CannotList(" ".join(complaints.decode(errors="replace").split()) or f"cannot enter {root}")
        if code in (126, 127) and not output:
            raise ToolsMissing("no shell")
        return parse_listing(output, complaints)
    except (ExecFailed, BrokenListing) as error:
        raise CannotList(str(error)) from error
    except TimeoutError as error:
        raise CannotList(f"no output for {WITHIN:g} s") from error


def attributes_by_exec(container: Container, root: str, user: str = "") -> dict[str, tuple[str, ...]] | None:
    """The extended attributes of users, by name, of what has any; None where they cannot be told."""
    try:
        output, _, code = run(container, ["sh", "-c", ATTRIBUTES, "sh", root], user=user)
    except (ExecFailed, TimeoutError):
        return None
    return parse_attributes(output) if code == 0 else None


def list_by_archive(
    container: Container, root: str, files: MutableMapping[str, Observation] | None = None
) -> Tree:
    """The tree below `root` as the engine's archive API shows it: without a user, and without any tmpfs.

    Files are put into `files`. Raises CannotList, for a root on a tmpfs too.
    """
    tmpfs = _tmpfs_around(container, root)
    if tmpfs is not None:
        raise CannotList(f"{tmpfs} is a tmpfs, which the archive API cannot see")
    from docker.errors import DockerException
    from requests.exceptions import ChunkedEncodingError

    with engine_answers(f"reading {root} in {container.name}"):
        try:
            with archive_stream(container, f"{root.rstrip('/')}/.") as chunks:
                return read_tree(chunks, files)
        except (BrokenArchive, ChunkedEncodingError) as error:
            raise CannotList(str(error)) from error
        except DockerException as error:
            if _is_not_there(error):
                return Tree({} if files is None else files)
            raise CannotList(explanation(error)) from error


def read_by_archive(container: Container, root: str, name: str, limit: int) -> bytes:
    """The first `limit` bytes of a regular file below `root`; empty where it cannot be read."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    path = f"{root.rstrip('/')}/{name}"
    member = name.rsplit("/", 1)[-1]
    try:
        path.encode()
    except UnicodeEncodeError:  # the engine finds no name that is not UTF-8, but the directory around it
        path = f"{posixpath.dirname(path)}/."
    try:
        with archive_stream(container, path) as chunks:
            return read_member(chunks, member, limit)
    except (DockerException, RequestException):
        return b""


def _tmpfs_around(container: Container, root: str) -> str | None:
    attributes = container.attrs or {}
    host = attributes.get("HostConfig") or {}
    targets = list(host.get("Tmpfs") or {})
    targets += [m["Target"] for m in host.get("Mounts") or [] if m.get("Type") == "tmpfs"]
    targets += [m["Destination"] for m in attributes.get("Mounts") or [] if m.get("Type") == "tmpfs"]
    inside = f"{os.path.normpath(root)}/"
    around = [target for target in targets if inside.startswith(f"{os.path.normpath(target)}/")]
    over = [m["Destination"] for m in attributes.get("Mounts") or [] if m.get("Type") != "tmpfs"]
    over = [target for target in over if inside.startswith(f"{os.path.normpath(target)}/")]
    nearest = max(around + over, key=len, default=None)
    return nearest if nearest in around else None


def _is_not_there(error: Exception) -> bool:
    from docker.errors import NotFound

    return isinstance(error, NotFound) and "Could not find the file" in explanation(error)


def read_by_exec(container: Container, root: str, name: str, limit: int, user: str = "") -> bytes | None:
    """The first `limit` bytes of a file, as the container's user; None where no program can say."""
    script = r"""IFS= read -r go; n=$(printf '%b_' "$2"); cd -- "$1" && exec head -c "$3" -- "./${n%_}" """
    if container.status != "running":
        return None
    try:
        command = ["sh", "-c", script, "sh", root, escaped(name), str(limit)]
        output, _, code = run(container, command, user=user)
    except (ExecFailed, TimeoutError):
        return None
    return None if code in (None, 126, 127) else output
