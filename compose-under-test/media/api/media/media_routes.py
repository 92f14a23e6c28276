"""POST, PUT and DELETE below /api/v1/media."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from media.multipart_upload import MultipartFile, file_pieces
from media.names import checked_name, path_segments
from media.receiving import ENVELOPE_BYTES, Body, receive
from media.refusal import Refusal
from media.serving import FILES_PREFIX
from media.settings import Settings
from media.store import MediaStore, Stored

PREFIX = "/api/v1/media/"


class MediaRoutes:
    """The writing half of the API over one store."""

    def __init__(self, store: MediaStore, settings: Settings) -> None:
        self._store = store
        self._limit = settings.max_bytes

    def routes(self) -> list[Route]:
        """Uploads to a directory; replacing and deleting a name in one."""
        path = PREFIX + "{path:rest}"
        return [
            Route(path, self.upload, methods=["POST"]),
            Route(path, self.replace, methods=["PUT"]),
            Route(path, self.delete, methods=["DELETE"]),
        ]

    async def upload(self, request: Request) -> Response:
        """A new file from the part `file`; `?name=` overrides its file name. An existing name is 409."""
        body = Body(request, self._limit + ENVELOPE_BYTES)

        async def store() -> Response:
            directory = path_segments(_raw_path(request).removesuffix(b"/"))
            form = MultipartFile(request.headers.get("content-type", ""))
            pieces = file_pieces(form, aiter(body))
            first = await anext(pieces, bytearray())
            name = request.query_params.get("name") or form.name
            if name is None:
                raise Refusal(400, "the body has no file")
            stored = await receive(
                self._store, directory, name, _chain(first, pieces), replace=False, limit=self._limit
            )
            return _answer(directory, stored)

        return await _drained(body, store)

    async def replace(self, request: Request) -> Response:
        """The raw body becomes the file, whether or not there was one: 200 or 201."""
        body = Body(request, self._limit)

        async def store() -> Response:
            *directory, name = path_segments(_raw_path(request))
            if not directory:
                raise Refusal(400, "a file belongs in a directory")
            stored = await receive(self._store, directory, name, aiter(body), replace=True, limit=self._limit)
            return _answer(directory, stored)

        return await _drained(body, store)

    async def delete(self, request: Request) -> Response:
        """The file is gone for good: 204; 404 when there was none."""
        *directory, name = path_segments(_raw_path(request))
        if not directory:
            raise Refusal(400, "a file belongs in a directory")
        await asyncio.to_thread(self._store.delete, directory, checked_name(name))
        return Response(status_code=204)


async def _drained(body: Body, store: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await store()
    except (Refusal, OSError):
        await body.drain()
        raise


async def _chain(first: bytearray, rest: AsyncIterator[bytearray]) -> AsyncIterator[bytearray]:
    yield first
    async for piece in rest:
        yield piece


def _raw_path(request: Request) -> bytes:
    raw: bytes = request.scope["raw_path"]
    return raw.removeprefix(PREFIX.encode())


def _answer(directory: Sequence[str], stored: Stored) -> Response:
    url = FILES_PREFIX + quote("/".join([*directory, stored.name]), errors="surrogateescape")
    content = {"name": stored.name, "size": stored.size, "sha256": stored.sha256, "url": url}
    return JSONResponse(content, 201 if stored.created else 200, headers={"Location": url})
