"""The ASGI application: routes, and what a client is told when something is refused or fails."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from media.health import Health
from media.media_routes import MediaRoutes
from media.refusal import Refusal, refusal_of
from media.serving import Serving
from media.settings import Settings
from media.store import MediaStore

# Threads mostly wait for the disk.
STORAGE_THREADS = 16


class _Rest(Convertor[str]):
    """The rest of a path, also with line breaks in it, which Starlette's own `path` does not match."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("rest", _Rest())

log = logging.getLogger("media")


def application(store: MediaStore, settings: Settings) -> Starlette:
    """The whole API over `store`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(STORAGE_THREADS, "storage"))
        if removed := await asyncio.to_thread(store.sweep):
            log.info("removed %d temporary files of interrupted uploads", removed)
        yield

    return Starlette(
        routes=[
            *Health(store, settings).routes(),
            *MediaRoutes(store, settings).routes(),
            *Serving(store).routes(),
        ],
        exception_handlers={
            Refusal: _refused,
            OSError: _storage_failed,
            ClientDisconnect: _client_left,
            HTTPException: _no_route,
        },
        lifespan=lifespan,
    )


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse({"error": refusal.reason}, refusal.status)


async def _storage_failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, OSError)
    log.error("%s %s: %s", request.method, request.url.path, error)
    return await _refused(request, refusal_of(error))


async def _client_left(request: Request, error: Exception) -> Response:
    log.warning("%s %s: the client left before the end", request.method, request.url.path)
    return Response(status_code=400)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
