"""PUT, GET and DELETE /pictures/NAME: a file, a smaller one made of it, and the row that refers to both; /health.

Written in the order that makes it durable: the files, then the row, then the answer. Removed the other way round.
"""

import hashlib
import os
import subprocess
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import psycopg2

PICTURES, DATA = "/pictures", "/data/postgres"
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
TABLE = """
    CREATE TABLE IF NOT EXISTS picture (
        id serial PRIMARY KEY, file text UNIQUE NOT NULL, file_sha256 text NOT NULL, file_size bigint NOT NULL,
        small text, removed boolean NOT NULL DEFAULT false
    )
"""


def start_postgres() -> None:
    if not os.path.exists(f"{DATA}/PG_VERSION"):
        os.makedirs(DATA, exist_ok=True)
        subprocess.run(["chown", "postgres:", DATA], check=True)
        with open("/tmp/password", "w") as file:
            file.write(os.environ["POSTGRES_PASSWORD"])
        os.chmod("/tmp/password", 0o644)
        rights = ["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=/tmp/password"]
        subprocess.run([*AS_POSTGRES, "initdb", *rights, "--username=gallery", DATA], check=True)
        with open(f"{DATA}/pg_hba.conf", "a") as file:
            file.write("host all all all scram-sha-256\n")
    subprocess.Popen([
        *AS_POSTGRES, "postgres", "-D", DATA, "-c", "listen_addresses=*", "-c", "unix_socket_directories=/tmp",
    ])  # fmt: skip
    while True:
        try:
            with closing(connect()) as connection:
                connection.cursor().execute(TABLE)
                return
        except psycopg2.OperationalError as error:
            print(error)
            time.sleep(0.1)


def connect():
    connection = psycopg2.connect(host="/tmp", user="gallery", dbname="postgres")
    connection.autocommit = True
    return connection


def store(name: str, content: bytes) -> None:
    path = os.path.join(PICTURES, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = os.path.join(os.path.dirname(path), f"{os.urandom(4).hex()}.new")
    with open(new, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def put(name: str, content: bytes) -> None:
    small = f"small/{name}"
    store(small, content[::16] + b".")
    store(name, content)
    with closing(connect()) as connection:
        connection.cursor().execute(
            "INSERT INTO picture (file, file_sha256, file_size, small) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (file) DO UPDATE SET file_sha256 = excluded.file_sha256, file_size = excluded.file_size",
            (name, hashlib.sha256(content).hexdigest(), len(content), small),
        )


def delete(name: str) -> None:
    with closing(connect()) as connection:
        connection.cursor().execute("DELETE FROM picture WHERE file = %s", (name,))
    for each in (name, f"small/{name}"):
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(PICTURES, each))


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        put(self._name(), self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self._answer(201, b"kept")

    def do_DELETE(self) -> None:
        delete(self._name())
        self._answer(200, b"removed")

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, b"well")
            return
        try:
            with open(os.path.join(PICTURES, self._name()), "rb") as file:
                self._answer(200, file.read())
        except FileNotFoundError:
            self._answer(404, b"no such picture")

    def _name(self) -> str:
        return unquote(self.path.removeprefix("/pictures/"))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A line a request would hide the others."""


start_postgres()
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
