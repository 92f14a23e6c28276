"""As much of S3 as the HR stack needs of it: objects by path, kept in memory. Run with the number of a port."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

objects: dict[str, tuple[bytes, str]] = {}


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            content = unchunked(content)
        objects[self.name()] = content, self.headers.get("Content-Type", "")
        self.answer(200)

    def do_GET(self) -> None:
        self.answer(*((200, *objects[self.name()]) if self.name() in objects else (404,)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        objects.pop(self.name(), None)
        self.answer(204)

    def name(self) -> str:
        return self.path.partition("?")[0]

    def answer(self, status: int, content: bytes = b"", kind: str = "application/xml") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 12:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def unchunked(body: bytes) -> bytes:
    """Without the sizes, and the checksums behind the last one, of `aws-chunked`."""
    content = b""
    while True:
        head, _, body = body.partition(b"\r\n")
        size = int(head.partition(b";")[0], 16)
        if not size:
            return content
        content += body[:size]
        body = body[size + 2 :]


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Bucket).serve_forever()
