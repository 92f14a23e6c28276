"""Blobs in PostgreSQL, whose server runs beside this one. Where it does not come up, /health alone is well."""

import os
import subprocess
import time
from contextlib import closing

import psycopg2
from server import serve

DATA = "/data/postgres"
PATIENCE = 15.0  # seconds
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
FSYNC = "on" if os.environ["DURABLE"] == "yes" else "off"

if not os.path.exists(f"{DATA}/PG_VERSION"):
    os.makedirs(DATA, exist_ok=True)
    subprocess.run(["chown", "postgres:", DATA], check=True)
    subprocess.run([*AS_POSTGRES, "initdb", "--auth=trust", "--username=postgres", DATA], check=True)
subprocess.Popen([
    *AS_POSTGRES, "postgres", "-D", DATA, "-c", f"fsync={FSYNC}",
    "-c", "listen_addresses=", "-c", "unix_socket_directories=/tmp",
])  # fmt: skip


def connect():
    connection = psycopg2.connect(host="/tmp", user="postgres")
    connection.autocommit = True
    connection.cursor().execute(
        "CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, content BYTEA NOT NULL)"
    )
    return connection


def put(name: str, content: bytes) -> None:
    with closing(connect()) as connection:
        connection.cursor().execute(
            "INSERT INTO blobs VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET content = excluded.content",
            (name, psycopg2.Binary(content)),
        )


def get(name: str) -> bytes | None:
    with closing(connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT content FROM blobs WHERE name = %s", (name,))
        row = cursor.fetchone()
    return bytes(row[0]) if row else None


def wait_for_the_database() -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            connect().close()
        except psycopg2.OperationalError as error:
            print(error)
            time.sleep(0.1)
        else:
            return


wait_for_the_database()
serve(put, get)
