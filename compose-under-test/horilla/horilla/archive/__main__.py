"""`python -m archive`: what the scripts run in a container, archives on stdin and stdout, what is said on stderr."""

import argparse
import fcntl
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from archive import moving, snapshot
from archive.entry import ArchiveError, ChangedWhileRead, Entry, describe, walk
from archive.reading import ArchiveReader, verify
from archive.restoring import Restore, tokens
from archive.writing import write_archive

MEDIA_ROOT = Path("/app/media")

OK, FAILED, CHANGED, DIFFERENT = 0, 1, 3, 4
CHANGES_MEDIA = ("link", "unlink", "stage", "add", "finish", "discard", "bring")
SHOWN = 20  # paths that are named where there are many


def main() -> int:
    """0; 1 for a failure; 3 where a file changed while it was read; 4 where files differ that must not."""
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
    if arguments.command not in CHANGES_MEDIA:
        return _do(arguments, MEDIA_ROOT)
    # A script that was killed may have left a container that still works on the media.
    descriptor = os.open(MEDIA_ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return _do(arguments, MEDIA_ROOT)
    finally:
        os.close(descriptor)


def _do(arguments: argparse.Namespace, root: Path) -> int:
    source, output = sys.stdin.buffer, sys.stdout.buffer
    match arguments.command:
        case "link":
            print(f"files={snapshot.link(root, arguments.token)}")
        case "create":
            try:
                manifest = write_archive(
                    snapshot.area(root, arguments.token), source, output,
                    dump_size=arguments.dump_size, dump_sha256=arguments.dump_sha256,
                    about=dict(word.partition("=")[::2] for word in arguments.about),
                )  # fmt: skip
                output.flush()
            finally:
                snapshot.unlink(root, arguments.token)
            _say(f"summary {manifest}")
        case "unlink":
            snapshot.unlink(root, arguments.token)
        case "verify":
            print(verify(source))
        case "dump":
            reader = ArchiveReader(source)
            reader.dump(output)
            output.flush()
        case "files":
            for entry in ArchiveReader(source).manifest.files():
                _row(entry)
        case "inspect":
            space = os.statvfs(root)
            print(f"free={space.f_bavail * space.f_frsize} all={space.f_blocks * space.f_frsize}")
            for token in tokens(root):
                print(f"restore={token}")
            for path, status in walk(root):
                found = describe(root, path, status)
                if found is not None and found.kind == "file":
                    _row(found)
        case "stage":
            print(Restore(root, arguments.token).stage(source))
        case "add":
            print(f"added={Restore(root, arguments.token).add()}")
        case "finish":
            for path in Restore(root, arguments.token).finish():
                _say(f"{path!r} is left as it is: somebody has written it since")
        case "discard":
            Restore(root, arguments.token).discard()
        case "tokens":
            print("\n".join(tokens(root)))
        case "compare":
            return _compared(moving.compare(root, source))
        case "bring":
            print(f"brought={moving.bring(root, source)}")
    return OK


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="archive")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("verify", "dump", "files", "inspect", "tokens", "compare", "bring"):
        commands.add_parser(name)
    for name in ("link", "unlink", "create", "stage", "add", "finish", "discard"):
        command = commands.add_parser(name)
        command.add_argument("token")
        if name == "create":
            command.add_argument("--dump-size", type=int, required=True)
            command.add_argument("--dump-sha256", required=True)
            command.add_argument("--about", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def _row(entry: Entry) -> None:
    """Name, digest and size, as PostgreSQL's COPY reads text; a name that is no UTF-8 is in no row of the database."""
    name = entry.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    for sign, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(sign, escaped)
    print(f"{name}\t{entry.sha256 or chr(92) + 'N'}\t{entry.size}")


def _compared(found: moving.Comparison) -> int:
    for what, paths in (("differs on the volume", found.different), ("is no file", found.other)):
        for path in paths[:SHOWN]:
            _say(f"{path!r} {what}")
        if len(paths) > SHOWN:
            _say(f"… and {len(paths) - SHOWN} more")
    print(found)
    return DIFFERENT if found.different or found.other else OK


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(message: str) -> None:
    print(f"archive: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
