"""What is done before the application serves: `manage.py prepare`, at every start, by one replica at a time."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from config import environment
from uploads.storage import DurableStorage, make_durably

DATABASE_SECONDS = 60
# Any number will do, as long as nobody else locks it in this database.
LOCK = 0x4F52494C4C41
DIRECTORIES = ("base/company/icon/webp", "employee/avatars", "employee/documents")


class Command(BaseCommand):
    """Idempotent; whatever interrupts it, the next start completes it."""

    help = "Waits for the database, migrates it, collects static files, and makes the first account."
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        """CommandError when the database does not answer, or a volume is not the application's."""
        _check_writable(settings.STATIC_ROOT)
        with _alone():
            call_command("migrate", interactive=False, verbosity=1)
            call_command("clearsessions")
            call_command("collectstatic", interactive=False)
            if isinstance(default_storage, DurableStorage):
                self._prepare_media(default_storage)
            self._make_first_account()

    def _prepare_media(self, storage: DurableStorage) -> None:
        _check_writable(settings.MEDIA_ROOT)
        for directory in DIRECTORIES:
            make_durably(settings.MEDIA_ROOT / directory)
        if removed := storage.sweep():
            self.stdout.write(f"removed {removed} temporary files of interrupted uploads")

    def _make_first_account(self) -> None:
        name, password = environment.text("HORILLA_ADMIN_USER"), environment.text("HORILLA_ADMIN_PASSWORD")
        users = get_user_model().objects
        if name and password and not users.exists():
            users.create_superuser(name, password=password)
            self.stdout.write(f"made the first account, {name}")


def _check_writable(root: Path) -> None:
    if not os.access(root, os.W_OK | os.X_OK):
        raise CommandError(
            f"{root} cannot be written by {os.getuid()}: it belongs to {root.stat().st_uid}. Mend its volume by "
            f"`docker-compose run --rm --no-deps --user 0 horilla chown {os.getuid()}:{os.getgid()} {root}`"
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Holds a lock in the database, on a connection of its own, which goes when the process does."""
    with _connected() as locking:
        locking.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield


def _connected() -> psycopg.Connection:
    deadline = time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            return psycopg.connect(**connection.get_connection_params(), autocommit=True)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(f"the database does not answer: {error}") from error
            time.sleep(0.5)
