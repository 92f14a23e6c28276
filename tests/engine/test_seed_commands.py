"""Every command of the media stack's documentation, typed as it stands, where every name and port is fixed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence_tests.events.waiting import wait_healthy
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack

pytestmark = [pytest.mark.engine, pytest.mark.soak]

COMPOSE = Path(__file__).parents[1] / "fixed-media" / "compose.yaml"


@pytest.fixture(scope="module")
def media(engine: Engine) -> Iterator[Stack]:
    spec = StackSpec((COMPOSE,), isolation="machine")
    stack = Stack.prepare(spec, engine, run=f"t{secrets.token_hex(3)}", scenario="seed")
    try:
        stack.start()
        assert wait_healthy(stack)
        yield stack
    finally:
        stack.close()


def typed(stack: Stack, line: str) -> str:
    result = stack.command(line)
    assert result.exit_code == 0, f"{line}: {result}"
    return result.stdout


def test_manual_file_access(media: Stack) -> None:
    typed(
        media,
        """docker exec eatfit247-cms-api sh -c "echo 'test' > /home/app/assets/media-files/admin/test.txt\"""",
    )
    assert typed(media, "curl http://localhost:80/media-files/admin/test.txt") == "test\n"
    assert typed(media, "curl http://localhost:8001/media-files/admin/test.txt") == "test\n"


def test_usage_of_the_backup_script(media: Stack) -> None:
    assert "infra_media_files" in typed(media, "./backup-media.sh check")
    archive = typed(media, "./backup-media.sh backup").strip()
    assert archive.startswith("./media-backups/media-backup-")
    assert archive.rsplit("/", 1)[1] in typed(media, "./backup-media.sh list")
    typed(media, "docker exec eatfit247-cms-api rm /home/app/assets/media-files/admin/test.txt")
    typed(media, f"./backup-media.sh restore {archive}")
    assert wait_healthy(media)
    assert typed(media, "curl http://localhost:80/media-files/admin/test.txt") == "test\n"


def test_troubleshooting(media: Stack) -> None:
    assert "infra_media_files" in typed(media, "docker volume ls")
    said = typed(media, "docker volume inspect infra_media_files")
    assert "/var/lib/docker/volumes/infra_media_files/_data" in said
    assert "eatfit247-cms-api" in typed(media, "docker ps")
    before = {container.id for container in media.containers()}
    typed(media, "docker compose up -d")
    assert {container.id for container in media.containers()} == before
    assert "uploads" in typed(media, "docker exec eatfit247-cms-api ls -la /home/app/assets/media-files/")
    assert "ok" in typed(media, "curl http://localhost:80/api/v1/health")
    typed(media, "curl http://localhost:80/media-files/admin/")
    assert "already there" in typed(media, "docker exec eatfit247-cms-api /home/app/init-media-dirs.sh")


def test_what_the_documentation_says_is_tested(media: Stack) -> None:
    """down, build, up, a restart, a kill, a reboot: the file is there after each."""
    for line in (
        "docker compose down && docker compose up -d --wait",
        "docker compose build && docker compose up -d --wait",
        "docker restart eatfit247-cms-api",
        "docker kill eatfit247-cms-api && docker compose up -d --wait",
    ):
        typed(media, line)
        assert wait_healthy(media)
        assert typed(media, "curl -sS http://localhost:80/media-files/admin/test.txt") == "test\n", line
    media.machine.stop()
    media.machine.start()
    assert wait_healthy(media)
    assert (
        typed(media, "curl -sS --retry 20 --retry-all-errors http://localhost:80/media-files/admin/test.txt")
        == "test\n"
    )
