"""Every command of the document that the HR stack follows, typed as it stands on a server of its own."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator

import pytest
from PIL import Image

from persistence_tests.stack.engine import Engine
from persistence_tests.stack.interruption import Interruption
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack
from tests.stacks.horilla import ICONS, SOURCE

pytestmark = [pytest.mark.engine, pytest.mark.soak]

# Before anything of the stack is there: a machine has to run something.
SERVER = "services: { idle: { image: debian:bookworm-slim, init: true, command: [sleep, infinity] } }\n"
PASSWORD = secrets.token_urlsafe(12)
# What the operator types into the editor.
NANO = f"""#!/bin/bash
set -e
fill() {{ sed -i "s|^$1=.*|$1=$2|" "$file"; }}
file=$1
fill SECRET_KEY "$(head -c 48 /dev/urandom | base64)"
fill POSTGRES_PASSWORD "$(head -c 24 /dev/urandom | base64)"
fill HORILLA_ADMIN_USER admin
fill HORILLA_ADMIN_PASSWORD {PASSWORD}
fill TLS_SELF_SIGNED yes
"""
# A browser, as far as it matters here.
BROWSER = f"""#!/bin/bash
set -e
jar=$(mktemp)
site() {{ curl -sSk -b "$jar" -c "$jar" -e https://localhost/ "$@"; }}
token() {{ awk '$6 == "csrftoken" {{ print $7 }}' "$jar"; }}
site -o /dev/null https://localhost/login/
site -o /dev/null -d username=admin -d password={PASSWORD} -d csrfmiddlewaretoken="$(token)" https://localhost/login/
site -H 'Accept: application/json' -H "X-CSRFToken: $(token)" "$@"
"""


@pytest.fixture(scope="module")
def logo() -> bytes:
    encoded = io.BytesIO()
    Image.frombytes("RGB", (10, 10), os.urandom(300)).resize((300, 200)).save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture(scope="module")
def server(engine: Engine, tmp_path_factory: pytest.TempPathFactory, logo: bytes) -> Iterator[Stack]:
    """A server with the stack's directory, before its first deploy; tests follow the document's order."""
    directory = tmp_path_factory.mktemp("server") / "horilla"
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("__pycache__", ".env", "backups"))
    (directory / "server.yaml").write_text(SERVER)
    (directory / "gfuture_tech_logo.png").write_bytes(logo)
    for name, text in (("nano", NANO), ("browser", BROWSER)):
        (directory / name).write_text(text)
    spec = StackSpec((directory / "server.yaml",), isolation="machine")
    stack = Stack.prepare(spec, engine, run=f"t{secrets.token_hex(3)}", scenario="seed")
    try:
        stack.start()
        typed(stack, "install -m 755 nano browser /usr/local/bin && rm nano browser")
        # As a registry would give it: all that is asked of it is sh, ls and tar.
        typed(stack, "docker tag debian:bookworm-slim alpine")
        yield stack
    finally:
        stack.close()


def typed(stack: Stack, line: str) -> str:
    result = stack.command(line, timeout=900)
    assert result.exit_code == 0, f"{line}: {result}"
    return result.stdout


def test_implementation_guide(server: Stack, logo: bytes) -> None:
    # Step 1
    typed(server, "cp docker-compose.production.yaml docker-compose.yaml")
    typed(server, "cp .env.production.example .env")
    refused = server.command("./deploy.sh")
    assert refused.exit_code == 1
    assert "SECRET_KEY is missing or empty" in refused.stderr
    typed(server, "nano .env")
    # Step 2
    typed(server, "chmod -x deploy.sh && chmod +x deploy.sh")
    assert typed(server, "./deploy.sh").endswith("deployed\n")
    # Step 3
    listed = typed(server, "docker volume ls | grep horilla")
    assert {"horilla_media", "horilla_static"} <= set(listed.split())
    assert "base" in typed(server, "docker run --rm -v horilla_media:/media alpine ls -la /media")
    assert "301" in typed(server, "curl http://localhost")
    assert "text/html" in typed(server, "curl -skL -o /dev/null -w '%{content_type}' http://localhost")
    # Step 4
    uploaded = typed(
        server, "browser -F name=GFuture -F icon=@gfuture_tech_logo.png https://localhost/companies/"
    )
    assert f'"{ICONS}/gfuture_tech_logo.png"' in uploaded
    assert _shown(server) == _held(server)
    # Step 5: another version
    typed(server, "sed -i 's|</body>|<!-- new --></body>|' horilla/templates/base.html")
    before = typed(server, "docker inspect --format '{{.Image}}' horilla")
    assert typed(server, "./deploy.sh").endswith("deployed\n")
    assert typed(server, "docker inspect --format '{{.Image}}' horilla") != before
    assert _shown(server) == _held(server)


def _shown(server: Stack) -> str:
    return typed(server, f"curl -sSkf https://localhost/media/{ICONS}/gfuture_tech_logo.png | sha256sum")


def _held(server: Stack) -> str:
    return typed(server, "sha256sum < gfuture_tech_logo.png")


def test_logos_not_showing(server: Stack) -> None:
    assert "horilla_media" in typed(server, "docker volume ls | grep horilla_media")
    assert "base" in typed(server, "docker run --rm -v horilla_media:/media alpine ls -la /media")
    # At a terminal, and then as a script would say it.
    lines = "from base.models import Company\nCompany.objects.first().icon.url\nexit()\n"
    shell = "docker-compose exec horilla python manage.py shell"
    said = typed(server, f"printf '{lines}' | script -qec '{shell}' /dev/null")
    assert f"'/media/{ICONS}/gfuture_tech_logo.png'" in said
    line = "from base.models import Company; print(Company.objects.first().icon.url)"
    assert f"/media/{ICONS}/gfuture_tech_logo.png\n" in typed(server, f"echo '{line}' | {shell}")


def test_volume_not_persisting(server: Stack) -> None:
    mounts = typed(server, "docker inspect horilla | grep -A 10 Mounts")
    assert '"Name": "horilla_media"' in mounts + typed(server, "docker inspect horilla | grep -A 20 Mounts")
    assert '"Driver": "local"' in typed(server, "docker volume inspect horilla_media")


def test_deployment_fails(server: Stack) -> None:
    import re
    import signal

    following = Interruption(re.compile("nginx"), signal.SIGINT)
    server.command("docker-compose logs -f", interruption=following)
    assert following.line
    for service in ("horilla", "db", "nginx"):
        assert typed(server, f"docker-compose logs {service}")


def test_migration_from_old_setup(server: Stack) -> None:
    typed(
        server,
        "docker run --rm -v horilla_media:/media -v $(pwd):/backup alpine \\\n"
        "  tar czf /backup/media-backup.tar.gz -C /media .",
    )
    typed(server, f"docker run --rm -v horilla_media:/media alpine rm /media/{ICONS}/gfuture_tech_logo.png")
    assert server.command("./status.sh").exit_code == 4
    typed(server, "./deploy.sh")
    typed(
        server,
        "docker run --rm -v horilla_media:/media -v $(pwd):/backup alpine \\\n"
        "  tar xzf /backup/media-backup.tar.gz -C /media",
    )
    assert "base" in typed(server, "docker run --rm -v horilla_media:/media alpine ls -la /media")
    assert typed(server, "./status.sh").endswith("status: ok\n")
    assert _shown(server) == _held(server)


def test_what_our_guides_add(server: Stack) -> None:
    archive = typed(server, "./backup.sh backup").splitlines()[-1]
    typed(server, "docker-compose down && docker-compose up -d --wait")
    assert _shown(server) == _held(server)
    typed(
        server, f"browser -X POST https://localhost/companies/delete/ -F icon={ICONS}/gfuture_tech_logo.png"
    )
    assert server.command(f"curl -sSkf https://localhost/media/{ICONS}/gfuture_tech_logo.png").exit_code != 0
    typed(server, f"./backup.sh restore {archive} --yes")
    assert _shown(server) == _held(server)
    # The machine is switched off and on again.
    server.machine.stop()
    server.machine.start()
    typed(
        server,
        "curl -sSkf --retry 60 --retry-all-errors --retry-delay 1 -o /dev/null https://localhost/health/",
    )
    assert _shown(server) == _held(server)
    typed(
        server, "docker-compose up -d --wait"
    )  # everything of it had started by itself, and only becomes healthy
    assert typed(server, "./status.sh").endswith("status: ok\n")
