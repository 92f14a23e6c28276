"""PUT and GET /blobs/NAME, over what keeps blobs by their names; /health asks no database."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Put = Callable[[str, bytes], None]
Get = Callable[[str], bytes | None]


def serve(put: Put, get: Get) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._try(lambda: (put(self._name(), body), (201, b"kept"))[1])

        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(200, b"well")
                return
            self._try(lambda: (404, b"no such blob") if (blob := get(self._name())) is None else (200, blob))

        def _name(self) -> str:
            return unquote(self.path.removeprefix("/blobs/"))

        def _try(self, work: Callable[[], tuple[int, bytes]]) -> None:
            try:
                status, body = work()
            except Exception as error:
                status, body = 503, f"{type(error).__name__}: {error}".encode()
                print(self.command, self.path, body.decode())
            self._answer(status, body)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A line a request would hide the others."""

    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
