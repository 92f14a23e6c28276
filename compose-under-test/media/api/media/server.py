"""Runs the API until SIGTERM: `python3 -m media.server`."""

import asyncio
import logging
import socket
import sys

import uvicorn  # type: ignore[import-untyped]

from media.app import application
from media.layout import MEDIA_ROOT, standard_directories
from media.settings import Settings
from media.store import MediaStore

# Below Compose's grace period of 10 s, so that a slow client never makes the stop a kill.
GRACEFUL_SECONDS = 5.0


class GracefulServer(uvicorn.Server):  # type: ignore[misc]
    """Lets requests in flight end on shutdown, but not for longer than GRACEFUL_SECONDS."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, closes idle connections, waits for the others."""
        asyncio.get_running_loop().call_later(GRACEFUL_SECONDS, self._give_up)
        await super().shutdown(sockets)

    def _give_up(self) -> None:
        self.force_exit = True


def main() -> int:
    """The exit code: 0 after SIGTERM or SIGINT, 2 for senseless settings, 3 when it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        print(f"media: {error}", file=sys.stderr)
        return 2
    store = MediaStore(MEDIA_ROOT, standard_directories())
    config = uvicorn.Config(
        application(store, settings),
        host="0.0.0.0",
        port=settings.port,
        http="h11",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        # Without a level uvicorn takes it that every message is to be traced.
        log_level="info",
        # The proxy's word on who asked is not used.
        proxy_headers=False,
        server_header=False,
        backlog=512,
    )
    server = GracefulServer(config)
    server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
