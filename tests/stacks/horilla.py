"""The HR stack under a project name of its own, and clients that log in to it."""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from typing import Any
from urllib.parse import urlsplit

import requests
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from persistence_tests.stack.exec_stream import run_any
from tests.stacks.compose_copy import ComposeCopy
from tests.stacks.images import remove_images

SOURCE = Path(__file__).parents[2] / "compose-under-test/horilla"
COMPOSE_FILE = "docker-compose.production.yaml"
VOLUMES = ("horilla_media", "horilla_static", "postgres_data", "horilla_tls")
ADMIN = ("admin", secrets.token_urlsafe(12))
ICONS = "base/company/icon"

# As much of clamd as a client of it needs.
CLAMD = """
import socketserver, struct

class Scan(socketserver.StreamRequestHandler):
    def handle(self):
        assert self.rfile.read(10) == b"zINSTREAM" + bytes(1)
        content = b""
        while size := struct.unpack(">I", self.rfile.read(4))[0]:
            content += self.rfile.read(size)
        verdict = b"Eicar-Test-Signature FOUND" if b"EICAR" in content else b"OK"
        self.wfile.write(b"stream: " + verdict + bytes(1))

socketserver.ThreadingTCPServer(("", 3310), Scan).serve_forever()
"""

ISOLATED = """
services:
  horilla:
    container_name: !reset null
    ports: !override ["127.0.0.1::8000"]
  nginx:
    ports: !override ["127.0.0.1::80", "127.0.0.1::443"]
"""
# `guarded` is one more replica, which nginx does not know, with a scanner and a tight limit.
OVERRIDE = f"""{ISOLATED}
  guarded:
    extends: {{ file: {COMPOSE_FILE}, service: horilla-replica }}
    networks: !override {{ default: {{}} }}
    ports: ["127.0.0.1::8000"]
    environment: {{ UPLOAD_RATE: 3/h, CLAMD_ADDRESS: "clamd:3310", GUNICORN_WORKERS: "1" }}
  clamd:
    image: "${{COMPOSE_PROJECT_NAME}}-horilla"
    pull_policy: never
    init: true
    command: ["python", "-c", {json.dumps(CLAMD)}]
    depends_on: [horilla]
"""

poll = retry(
    stop=stop_after_delay(120),
    wait=wait_fixed(0.05),
    retry=retry_if_exception_type((AssertionError, requests.RequestException)),
    reraise=True,
)


@dataclass
class HorillaStack(ComposeCopy):
    compose_file = COMPOSE_FILE

    def url(self, service: str, port: int = 8000) -> str:
        """The address of a service; that of nginx is https unless it is its port 80."""
        bindings = self.container(service).ports[f"{port}/tcp"]
        assert bindings
        return f"{'https' if port == 443 else 'http'}://127.0.0.1:{bindings[0]['HostPort']}"

    def execute(self, service: str, command: str, user: str = "") -> str:
        output, complaints, code = run_any(self.container(service), ["sh", "-ec", command], user=user)
        assert code == 0, complaints
        return output.decode("utf-8", "surrogateescape")

    def rows(self, query: str) -> list[list[str]]:
        """What psql answers."""
        said = self.execute("db", f'psql -U postgres -d horilla -qtA -F "|" -c "{query}"')
        return [line.split("|") for line in said.splitlines()]

    def files(self) -> set[str]:
        """All names below the media root, read without the code under test."""
        return set(self.execute("horilla", "cd /app/media && find . -type f -printf '%P\\n'").splitlines())

    def client(self, service: str = "nginx") -> "Client":
        """Somebody who comes by nginx, or directly, and is not logged in."""
        if service != "nginx":
            return Client(self.url(service))
        return Client(self.url("nginx", 443), str(self.certificate()))

    def certificate(self) -> Path:
        """The self-signed certificate, which is its own authority."""
        pem = self.directory / "fullchain.pem"
        if not pem.exists():
            pem.write_text(self.execute("nginx", "cat /etc/nginx/tls/fullchain.pem"))
        return pem


class Client:
    """A browser's session: cookies, the CSRF token, and where it comes from."""

    def __init__(self, url: str, certificate: str = "") -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False  # REQUESTS_CA_BUNDLE would take the certificate's place
        self.session.verify = certificate or True

    def get(self, path: str, accept: str = "text/html", **headers: str) -> requests.Response:
        """Follows no redirect."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.session.get(
            self.url + path,
            headers={"Accept": accept, **self._cookies(), **named},
            timeout=60,
            allow_redirects=False,
        )

    def post(
        self,
        path: str,
        data: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        **files: tuple[str, bytes],
    ) -> requests.Response:
        """Sends a form with the CSRF token, as a page of the site would."""
        headers = {
            "Accept": accept,
            "Referer": self.url + path,
            "X-CSRFToken": self.session.cookies.get("csrftoken", ""),
            **self._cookies(),
        }
        return self.session.post(
            self.url + path,
            data=data,
            files=files or None,
            headers=headers,
            timeout=60,
            allow_redirects=False,
        )

    def login(self, user: str = ADMIN[0], password: str = ADMIN[1]) -> "Client":
        assert self.get("/login/").status_code == 200
        answer = self.post("/login/", {"username": user, "password": password}, accept="text/html")
        assert (answer.status_code, "sessionid" in self.session.cookies) == (302, True)
        return self

    def upload(self, name: str, content: bytes, company: str = "") -> requests.Response:
        return self.post("/companies/", {"name": company}, icon=(name, content))

    def raw(self, method: str, target: str) -> int:
        """The status for a request line exactly as given, which no client library normalises."""
        place = urlsplit(self.url)
        assert place.hostname
        if place.scheme == "https":
            context = create_default_context(cafile=str(self.session.verify))
            connection: HTTPConnection = HTTPSConnection(
                place.hostname, place.port, timeout=30, context=context
            )
        else:
            connection = HTTPConnection(place.hostname, place.port, timeout=30)
        try:
            connection.putrequest(method, target)
            connection.putheader("Content-Length", "0")
            connection.endheaders()
            return connection.getresponse().status
        finally:
            connection.close()

    def _cookies(self) -> dict[str, str]:
        """The cookies are for HTTPS only; whoever comes directly brings them nevertheless."""
        if self.url.startswith("https"):
            return {}
        return {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.session.cookies)}


@contextmanager
def horilla_copy(directory: Path, override: str = ISOLATED) -> Iterator[HorillaStack]:
    """The stack, with complete settings, before its first start; afterwards nothing of it is left."""
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("__pycache__", ".env", "backups"))
    project = f"horilla-test-{secrets.token_hex(4)}"
    names = "".join(f"  {volume}: {{ name: {project}_{volume} }}\n" for volume in VOLUMES)
    (directory / "override.yaml").write_text(f"{override}volumes:\n{names}")
    (directory / ".env").write_text(
        f"SECRET_KEY={secrets.token_urlsafe(50)}\nPOSTGRES_PASSWORD={secrets.token_urlsafe(16)}'x\n"
        f"HORILLA_ADMIN_USER={ADMIN[0]}\nHORILLA_ADMIN_PASSWORD={ADMIN[1]}\nTLS_SELF_SIGNED=yes\n"
    )
    stack = HorillaStack(directory, project)
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")
        remove_images(stack.engine, project)
        stack.engine.close()


@contextmanager
def horilla_stack(directory: Path) -> Iterator[HorillaStack]:
    """The stack, up and healthy, with a guarded replica beside it; afterwards nothing of it is left."""
    with horilla_copy(directory, OVERRIDE) as stack:
        stack.compose("up", "-d", "--build", "--wait")
        yield stack
