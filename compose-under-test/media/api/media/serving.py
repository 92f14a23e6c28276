"""GET and HEAD below /media-files: the bytes of a file, or what a directory holds."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from io import FileIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from media.kinds import content_type
from media.layout import FILESYSTEM_DIRECTORY, is_service_name
from media.names import path_segments
from media.ranges import requested_range
from media.refusal import Refusal
from media.store import MediaStore

FILES_PREFIX = "/media-files/"
READ_BYTES = 1 << 20
FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Opened:
    file: FileIO
    size: int
    modified: int
    etag: str
    head: bytes


class Serving:
    """The reading half of the API over one store."""

    def __init__(self, store: MediaStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Files, and directories by a trailing slash."""
        return [Route(FILES_PREFIX + "{path:rest}", self.serve, methods=["GET", "HEAD"])]

    async def serve(self, request: Request) -> Response:
        """200, 206 or 304 for a file, 200 with JSON for a directory, 404 for everything that is not there."""
        raw = request.scope["raw_path"].removeprefix(FILES_PREFIX.encode())
        if raw == b"" or raw.endswith(b"/"):
            directory = path_segments(raw[:-1]) if raw else ()
            return JSONResponse(await asyncio.to_thread(self._listing, directory))
        segments = path_segments(raw)
        opened = await asyncio.to_thread(self._open, segments)
        if opened is None:
            return Response(status_code=301, headers={"Location": quote(segments[-1], safe="") + "/"})
        return await _file_response(request, segments[-1], opened)

    def _open(self, segments: Sequence[str]) -> _Opened | None:
        """The file with its first megabyte; None for a directory."""
        path = self._store.resolve(segments)
        try:
            # A pipe that somebody put there must not block the thread.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Refusal(404, "no such file") from error
        except PermissionError as error:
            raise Refusal(403, "the file cannot be read") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            if stat.S_ISDIR(status.st_mode):
                return None
            raise Refusal(404, "no such file")
        return _Opened(
            FileIO(descriptor),
            status.st_size,
            int(status.st_mtime),
            f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"',
            os.pread(descriptor, min(status.st_size, READ_BYTES), 0),
        )

    def _listing(self, segments: Sequence[str]) -> dict[str, object]:
        path = self._store.resolve(segments)
        directories: list[str] = []
        files: list[dict[str, str | int]] = []
        try:
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if is_service_name(entry.name) or entry.name == FILESYSTEM_DIRECTORY:
                        continue
                    if entry.is_dir():
                        directories.append(_shown(entry.name))
                    elif entry.is_file():
                        status = entry.stat()
                        files.append(
                            {
                                "name": _shown(entry.name),
                                "size": status.st_size,
                                "modified": formatdate(status.st_mtime, usegmt=True),
                            }
                        )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Refusal(404, "no such directory") from error
        return {"directory": _shown("/".join(segments)), "directories": directories, "files": files}


async def _file_response(request: Request, name: str, opened: _Opened) -> Response:
    headers = {
        "Content-Type": content_type(name),
        "ETag": opened.etag,
        "Last-Modified": formatdate(opened.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        # Always asked again: a replaced file is seen at once, an unchanged one costs a 304.
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
    if _unchanged(request, opened):
        opened.file.close()
        del headers["Content-Type"]
        return Response(status_code=304, headers=headers)
    try:
        part = requested_range(_range_header(request, opened), opened.size)
    except Refusal:
        opened.file.close()
        headers |= {"Content-Range": f"bytes */{opened.size}", "Content-Type": "text/plain"}
        return Response(status_code=416, headers=headers)
    offset, length = part or (0, opened.size)
    status = 200 if part is None else 206
    headers["Content-Length"] = str(length)
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{opened.size}"
    if request.method == "HEAD":
        opened.file.close()
        return Response(status_code=status, headers=headers)
    if offset + length <= len(opened.head):
        opened.file.close()
        return Response(opened.head[offset : offset + length], status, headers)
    return StreamingResponse(_pieces(opened.file, offset, length), status, headers)


async def _pieces(file: FileIO, offset: int, length: int) -> AsyncIterator[bytes]:
    try:
        end = offset + length
        while offset < end:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(READ_BYTES, end - offset), offset)
            if not piece:
                return  # Somebody cut the file short: the server then breaks the connection off.
            offset += len(piece)
            yield piece
    finally:
        file.close()


def _unchanged(request: Request, opened: _Opened) -> bool:
    if tags := request.headers.get("if-none-match"):
        known = [tag.strip().removeprefix("W/") for tag in tags.split(",")]
        return opened.etag in known or known == ["*"]
    since = _seconds(request.headers.get("if-modified-since"))
    # Two versions of one second have one date, so a date says nothing about a file that is that new.
    return since is not None and opened.modified <= since and time.time() - opened.modified > FRESH_SECONDS


def _range_header(request: Request, opened: _Opened) -> str | None:
    condition = request.headers.get("if-range")
    # A date cannot tell two versions of one second apart, so only the tag makes a range conditional.
    return request.headers.get("range") if condition in (None, opened.etag) else None


def _seconds(header: str | None) -> float | None:
    try:
        return parsedate_to_datetime(header).timestamp() if header else None
    except ValueError:
        return None


def _shown(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
