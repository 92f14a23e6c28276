"""What "the user" has on an engine and on this machine, under the names and paths that a hostile stack uses too."""

from __future__ import annotations

import hashlib
import secrets
import socketserver
import threading
from pathlib import Path

from docker.models.containers import Container

from persistence_tests.stack.engine import Engine

TOKEN = secrets.token_hex(4)
VOLUME, EXTERNAL, CONTAINER, NETWORK = (f"canary-{kind}-{TOKEN}" for kind in ("data", "ext", "app", "net"))
IMAGE = f"canary/{TOKEN}:1"


class Listener(socketserver.ThreadingTCPServer):
    """A server of the user's; a connection to it is one too many."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        self.connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        self.shutdown_request(request)  # type: ignore[arg-type]


class Canary:
    """`project` is the directory of the stack, `outside` what lies beside it."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.project, self.outside = home / "shop", home / "outside"
        self.listener = Listener()
        threading.Thread(target=self.listener.serve_forever, args=(0.05,), daemon=True).start()
        self.port = self.listener.server_address[1]
        client = engine.client
        for name in (VOLUME, EXTERNAL):
            client.volumes.create(name)
        self.network = client.networks.create(NETWORK)
        self.container: Container = client.containers.create(
            engine.helper_image,
            ["sh", "-c", "echo mine >/data/file; echo mine >/ext/file; exec sleep 600"],
            name=CONTAINER,
            init=True,
            network=NETWORK,
            volumes={VOLUME: {"bind": "/data"}, EXTERNAL: {"bind": "/ext"}},
            labels={"com.docker.compose.project": "shop"},
        )
        repository, _, tag = IMAGE.partition(":")
        client.images.get(engine.helper_image).tag(repository, tag)
        for name in ("shop/files/upload", "shop/conf/app.conf", "shop/releases/1/index", "outside/data/file"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text("mine")
        (self.project / "files").chmod(0o2770)
        self.container.start()

    def digest(self) -> str:
        """Identities, process, bytes and modes of everything, and who called."""
        self.container.reload()
        facts = [
            str(self.container.id),
            str(self.container.attrs["State"]["Pid"]),
            str(sorted(self.container.attrs["NetworkSettings"]["Networks"])),
            str(self.network.id),
            str(self.engine.client.images.get(IMAGE).id),
            f"{self.listener.connections} connections",
        ]
        self.network.reload()
        facts.append(str(sorted(self.network.attrs["Containers"])))
        for path in ("/data", "/ext"):
            stream, _ = self.container.get_archive(path)
            facts.append(hashlib.sha256(b"".join(stream)).hexdigest())
        for file in sorted((*self.project.rglob("*"), *self.outside.rglob("*"))):
            status = file.lstat()
            facts.append(f"{file} {status.st_mode:o} {status.st_ino} {status.st_mtime_ns}")
            facts.append(file.read_text() if file.is_file() else "")
        return "\n".join(facts)

    def remove(self) -> None:
        self.listener.shutdown()
        self.listener.server_close()
        self.container.remove(force=True)
        self.network.remove()
        for name in (VOLUME, EXTERNAL):
            self.engine.client.volumes.get(name).remove()
        self.engine.client.images.remove(IMAGE)
