"""`python3 -m media.archive`: what backup-media.sh runs in a container, archives on stdin and stdout."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from media.archive import schedule
from media.archive.entry import ArchiveError, ChangedWhileRead
from media.archive.inspection import inspect
from media.archive.locking import locked
from media.archive.reading import verify
from media.archive.restoring import recover, swap
from media.archive.staging import RestoreArea, stage
from media.archive.writing import write_archive
from media.layout import MEDIA_ROOT, standard_directories

BACKUP_DIRECTORY = Path("/home/app/media-backups")

OK = 0
FAILED = 1
CHANGED = 3


def main() -> int:
    """The exit code: 0, 1 for a failure, 3 for a file that changed while it was read, or `inspect`'s own."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(arguments)
    except ChangedWhileRead as error:
        _say(str(error))
        return CHANGED
    except (ArchiveError, OSError) as error:
        _say(f"ERROR: {error}")
        return FAILED
    except KeyboardInterrupt:
        _say("interrupted")
        return FAILED


def _run(arguments: argparse.Namespace) -> int:
    root = MEDIA_ROOT
    standard = standard_directories()
    match arguments.command:
        case "create":
            with locked(root, exclusive=False):
                if RestoreArea(root).path.exists():
                    raise ArchiveError(
                        "the volume holds an interrupted restore; run ./backup-media.sh recover"
                    )
                summary = write_archive(root, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            _say(f"summary {summary}")
        case "verify":
            summary, sha256 = verify(sys.stdin.buffer, standard)
            print(f"{summary} sha256={sha256}")
        case "stage":
            with locked(root, exclusive=True):
                _recover(root)
                token, summary = stage(root, sys.stdin.buffer)
            print(f"{summary} token={token}")
        case "swap":
            with locked(root, exclusive=True):
                swap(root, arguments.token, merge=arguments.merge)
        case "recover":
            with locked(root, exclusive=True):
                _recover(root)
        case "inspect":
            lines, code = inspect(root, standard, "app", arguments.min_free)
            print("\n".join(lines))
            return code
        case "schedule":
            _schedule(root, standard)
        case "schedule-health":
            every, _ = _plan()
            return OK if schedule.on_time(BACKUP_DIRECTORY, every) else FAILED
    return OK


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="media.archive")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("create", "verify", "stage", "recover", "schedule", "schedule-health"):
        commands.add_parser(name)
    swapping = commands.add_parser("swap")
    swapping.add_argument("token")
    swapping.add_argument("--merge", action="store_true")
    inspecting = commands.add_parser("inspect")
    inspecting.add_argument("--min-free", type=int, default=0)
    return parser.parse_args()


def _recover(root: Path) -> None:
    if done := recover(root):
        _say(done)


def _plan() -> tuple[float, int]:
    every = float(os.environ.get("MEDIA_BACKUP_EVERY_SECONDS", "86400"))
    keep = int(os.environ.get("MEDIA_BACKUP_KEEP", "14"))
    if every < 1 or keep < 1:
        raise ArchiveError("MEDIA_BACKUP_EVERY_SECONDS and MEDIA_BACKUP_KEEP must be at least 1")
    return every, keep


def _schedule(root: Path, standard: tuple[str, ...]) -> None:
    every, keep = _plan()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda signum, frame: stopped.set())
    _say(f"a backup every {every:.0f} s, the newest {keep} are kept")
    schedule.run(root, BACKUP_DIRECTORY, standard, every=every, keep=keep, wait=stopped.wait, log=_say)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(message: str) -> None:
    print(f"media-archive: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
