"""Takes a file from a request's body into the store without holding more than a megabyte of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.requests import ClientDisconnect, Request

from media.kinds import HEAD_BYTES, check_content, check_extension
from media.names import checked_name
from media.refusal import Refusal
from media.store import MediaStore, Stored, Upload

WRITE_BYTES = 1 << 20
# What multipart/form-data adds to the file: boundaries, headers, small other fields.
ENVELOPE_BYTES = 65536


class Body:
    """A request's body, counted: Refusal 413 above `limit` bytes, announced or arrived."""

    def __init__(self, request: Request, limit: int) -> None:
        self._stream = request.stream()
        self._limit = limit
        self._announced = request.headers.get("content-length", "")
        self._seen = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._announced.isdecimal() and int(self._announced) > self._limit:
            raise self._too_large()
        async for piece in self._stream:
            self._seen += len(piece)
            if self._seen > self._limit:
                raise self._too_large()
            yield piece

    async def drain(self) -> None:
        """Reads the rest of a body that was refused, so that the client comes to read the answer.

        A body of more than twice the limit is not read: its connection ends.
        """
        try:
            async for piece in self._stream:
                self._seen += len(piece)
                if self._seen > 2 * self._limit:
                    return
        except (ClientDisconnect, RuntimeError):
            return

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than {self._limit} bytes")


async def receive(
    store: MediaStore,
    directory: Sequence[str],
    name: str,
    pieces: AsyncIterator[bytes | bytearray],
    *,
    replace: bool,
    limit: int,
) -> Stored:
    """Stores `pieces` as `name` in `directory`; nothing stays behind when this raises or is cancelled."""
    checked_name(name)
    check_extension(name)
    if not replace and await asyncio.to_thread(store.exists, directory, name):
        raise Refusal(409, "a file of that name exists")
    upload = Upload(store, directory, name, replace=replace)
    stored: Stored | None = None
    waiting = bytearray()
    size = 0
    try:
        async for piece in pieces:
            waiting += piece
            size += len(piece)
            if size > limit:
                raise Refusal(413, f"the file is larger than {limit} bytes")
            if len(waiting) >= WRITE_BYTES:
                if size == len(waiting):
                    check_content(name, bytes(waiting[:HEAD_BYTES]))
                await asyncio.to_thread(upload.write, waiting)
                waiting = bytearray()
        if size == len(waiting):
            check_content(name, bytes(waiting[:HEAD_BYTES]))
        stored = await asyncio.to_thread(upload.commit, waiting)
        return stored
    finally:
        if stored is None:
            await asyncio.shield(asyncio.to_thread(upload.abort))
