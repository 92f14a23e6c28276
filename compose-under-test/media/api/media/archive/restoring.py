"""Puts an unpacked archive into the place of the media, by renames that can be undone at every point."""

import os
import shutil
import stat
from pathlib import Path

from media.archive.entry import ArchiveError
from media.archive.staging import Place, RestoreArea, State
from media.archive.tree import is_media, walk


def swap(root: Path, token: str, *, merge: bool) -> None:
    """Puts what was staged under `token` into place; with `merge`, what the archive does not name stays.

    The caller holds the lock, and nobody writes to the media. When this raises, the old content is back; when
    it is killed, `recover` brings it back.
    """
    area = RestoreArea(root)
    state = area.state()
    if state is None or state.phase != "staged" or state.token != token:
        raise ArchiveError("what was unpacked is no longer there: another restore came in between")
    try:
        if merge:
            _keep_others(root, area.new)
        _exchange(area, token)
    except BaseException:
        recover(root)
        raise
    area.remove()


def recover(root: Path) -> str | None:
    """Undoes a restore that was cut off, or ends one whose renames were all done; None when there is none.

    May itself be cut off and run again. Returns one sentence for the log.
    """
    area = RestoreArea(root)
    if not area.path.exists():
        return None
    state = area.state()
    if state is None or state.phase in ("staging", "staged"):
        area.remove()
        return "removed what an interrupted restore had unpacked; the media were not touched"
    if state.phase == "done":
        area.remove()
        return "removed the old content of a finished restore"
    _undo(area, state)
    area.enter(State("staging", state.token))
    area.remove()
    return "undid an interrupted restore; the old content is back"


def _exchange(area: RestoreArea, token: str) -> None:
    was = _names(area.root)
    comes = _names(area.new)
    places = tuple(Place(name, name in was, name in comes) for name in sorted(was | comes))
    status = area.root.stat()
    before = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
    # Read now: the renames below change the time of the directory they leave.
    comes_as = area.new.stat()
    area.enter(State("swapping", token, places, before))
    for place in places:
        if place.was:
            os.rename(area.root / place.name, area.old / place.name)
        if place.comes:
            os.rename(area.new / place.name, area.root / place.name)
    _set_root(
        area.root, stat.S_IMODE(comes_as.st_mode), comes_as.st_uid, comes_as.st_gid, comes_as.st_mtime_ns
    )
    area.enter(State("done", token))


def _undo(area: RestoreArea, state: State) -> None:
    for place in reversed(state.places):
        current, new, old = (base / place.name for base in (area.root, area.new, area.old))
        moved_away = os.path.lexists(old)
        # Without an `old`, what has the name is the old content itself, or came from the archive.
        if place.comes and not os.path.lexists(new) and (moved_away or not place.was):
            os.rename(current, new)
        if moved_away:
            os.rename(old, current)
    _set_root(area.root, *state.root)


def _keep_others(root: Path, new: Path) -> None:
    """Links what the archive does not name into the unpacked tree, so that one exchange does both."""
    for path, status in walk(root):
        target = new / path
        if path == "." or os.path.lexists(target) or not target.parent.is_dir() or target.parent.is_symlink():
            continue
        parent = target.parent.stat()
        if stat.S_ISDIR(status.st_mode):
            target.mkdir(mode=0o700)
            os.chown(target, status.st_uid, status.st_gid)
            shutil.copystat(root / path, target)
        else:
            os.link(root / path, target, follow_symlinks=False)
        os.utime(target.parent, ns=(parent.st_atime_ns, parent.st_mtime_ns))


def _names(directory: Path) -> set[str]:
    return {name for name in os.listdir(directory) if is_media(name)}


def _set_root(root: Path, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
    os.chown(root, uid, gid)
    os.chmod(root, mode)
    os.utime(root, ns=(mtime_ns, mtime_ns))
