"""GET /api/v1/health: whether files can be stored, and where they would go."""

import asyncio
import errno
import os
import shutil

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from media.settings import Settings
from media.store import MediaStore


class Health:
    """The health of one store."""

    def __init__(self, store: MediaStore, settings: Settings) -> None:
        self._store = store
        self._require_mount = settings.require_mount

    def routes(self) -> list[Route]:
        """The health check."""
        return [Route("/api/v1/health", self.health, methods=["GET"])]

    async def health(self, request: Request) -> Response:
        """200 when a file can be made on the mounted volume, else 503; never cached."""
        state = await asyncio.to_thread(self._state)
        return JSONResponse(
            state, 200 if state["status"] == "ok" else 503, headers={"Cache-Control": "no-store"}
        )

    def _state(self) -> dict[str, str | bool | int]:
        root = self._store.root
        mounted = os.path.ismount(root)
        writable = _takes_a_file(root)
        healthy = writable and (mounted or not self._require_mount)
        return {
            "status": "ok" if healthy else "unavailable",
            "writable": writable,
            "mounted": mounted,
            "free_bytes": shutil.disk_usage(root).free if root.is_dir() else 0,
        }


def _takes_a_file(root: "os.PathLike[str]") -> bool:
    """Makes a file without a name, which nobody sees and which is gone when it is closed."""
    try:
        os.close(os.open(root, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return os.access(root, os.W_OK | os.X_OK)
        # A full volume still serves, and says 507 to whoever uploads.
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return True
