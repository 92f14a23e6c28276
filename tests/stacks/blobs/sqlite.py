"""Blobs in SQLite with a rollback journal. After FULL the deletion of the journal may be lost, and with it a commit."""

import os
import sqlite3
from contextlib import closing

from server import serve

SYNCHRONOUS = "EXTRA" if os.environ["DURABLE"] == "yes" else "OFF"


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect("/data/blobs.sqlite", timeout=30, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    connection.execute("CREATE TABLE IF NOT EXISTS blobs (name TEXT PRIMARY KEY, content BLOB NOT NULL)")
    return connection


def put(name: str, content: bytes) -> None:
    with closing(connect()) as connection:
        connection.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?)", (name, content))


def get(name: str) -> bytes | None:
    with closing(connect()) as connection:
        row = connection.execute("SELECT content FROM blobs WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


serve(put, get)
