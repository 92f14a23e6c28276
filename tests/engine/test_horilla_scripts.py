"""The HR stack's scripts on a real engine: what an operator meets on an ordinary day."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.stacks.horilla import COMPOSE_FILE, SOURCE, VOLUMES, Client, HorillaStack, horilla_copy
from tests.stacks.horilla_scripts import (
    HELPER_LABEL,
    ROOT,
    backup,
    databases,
    identities,
    interrupted,
    script,
    snapshot,
    succeeds,
)

pytestmark = pytest.mark.engine

ICONS = "base/company/icon"
STEPS = [
    "Validating Docker and the settings", "Creating volumes", "Building images", "Starting services",
    "Running migrations", "Collecting static files", "Verifying services", "Reporting status",
]  # fmt: skip


def image() -> bytes:
    """One that no other test has."""
    encoded = io.BytesIO()
    Image.frombytes("RGB", (10, 10), os.urandom(300)).resize((300, 200)).save(encoded, "PNG")
    return encoded.getvalue()


def steps_of(said: str) -> list[str]:
    return re.findall(r"^\[\d/8\] (.*)$", said, re.MULTILINE)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HorillaStack]:
    """Deployed by its script."""
    with horilla_copy(tmp_path_factory.mktemp("stack") / "horilla") as stack:
        ended = succeeds(stack, "deploy.sh")
        assert steps_of(ended.stdout) == STEPS
        assert ended.stdout.splitlines()[-2:] == ["status: ok", "deployed"]
        yield stack
        left = stack.engine.containers.list(all=True, filters={"label": f"{HELPER_LABEL}={stack.project}"})
        assert left == []


@pytest.fixture(scope="module")
def client(stack: HorillaStack) -> Client:
    client = stack.client().login()
    for number in range(3):
        assert client.upload(f"logo {number}.png", image(), f"company {number}").status_code == 201
    person = client.post("/employees/", {"first_name": "Ada", "last_name": "L"}).json()["id"]
    pdf = b"%PDF-1.4\n1 0 obj <<>> endobj\n%%EOF\n"
    assert client.post(f"/employees/{person}/documents/", file=("a.pdf", pdf)).status_code == 201
    return client


@pytest.fixture(scope="module")
def archive(stack: HorillaStack, client: Client) -> Path:
    return backup(stack)


def change(stack: HorillaStack, client: Client) -> None:
    """Upload, replace, delete; then damage, remove and plant behind the application's back."""
    assert client.upload("later.png", image(), "later").status_code == 201
    (first,), (second,) = stack.rows("SELECT id FROM base_company ORDER BY id LIMIT 2")
    assert client.post(f"/companies/{first}/icon/", icon=("other.png", image())).status_code == 200
    assert client.post(f"/companies/{second}/delete/").status_code == 204
    stack.execute(
        "horilla",
        f"cd {ROOT}/{ICONS} && echo damaged > later.png && rm -f logo_2.png && mkdir -p planted/deep"
        " && echo planted > planted/deep/file && chmod 700 .",
    )


# --- deploy.sh ------------------------------------------------------------------------------------------------


def test_deploying_again_changes_nothing(stack: HorillaStack, client: Client) -> None:
    before, held = identities(stack), snapshot(stack)
    succeeds(stack, "deploy.sh")
    after = identities(stack)
    assert snapshot(stack) == held
    # Where another project builds the same files at the same time, the next build may take that one's layers.
    same = {name for name, (_, image_id) in before.items() if after[name][1] == image_id}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    client.url = stack.url("nginx", 443)


def test_every_fault_of_the_settings_is_named(tmp_path: Path, stack: HorillaStack) -> None:
    # Isolated like the stack: should it find no fault, nothing else is touched.
    directory = tmp_path / "horilla"
    shutil.copytree(stack.directory, directory, ignore=shutil.ignore_patterns("backups"))
    files = ":".join(f"{directory}/{name}" for name in (COMPOSE_FILE, "override.yaml"))

    def faults(env: str | None, **extra: str) -> list[str]:
        (directory / ".env").unlink(missing_ok=True)
        if env is not None:
            (directory / ".env").write_text(env)
        ended = script(stack, directory / "deploy.sh", COMPOSE_FILE=files, **extra)
        assert (ended.code, ended.stdout) == (1, f"[1/8] {STEPS[0]}\n")
        *named, last = ended.stderr.splitlines()
        assert f"{len(named)} faults" in last
        return [re.split(r"[ :]", line.removeprefix("deploy: "))[0] for line in named]

    assert faults(None) == ["there", "SECRET_KEY", "POSTGRES_PASSWORD"]
    example = (SOURCE / ".env.production.example").read_text()
    assert faults(example) == ["SECRET_KEY", "POSTGRES_PASSWORD"]
    wrong = (
        "SECRET_KEY=change-me\nPOSTGRES_PASSWORD=too short\nHORILLA_ADMIN_USER=admin\nEMAIL_HOST_USER=me\n"
        "MEDIA_STORAGE=s3\nHTTP_PORT=8o\nTLS_SELF_SIGNED=maybe\nUPLOAD_RATE=fast\n"
    )
    assert faults(wrong) == [
        "SECRET_KEY", "POSTGRES_PASSWORD", "HORILLA_ADMIN_PASSWORD", "EMAIL_HOST", "EMAIL_HOST_PASSWORD",
        "AWS_STORAGE_BUCKET_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HTTP_PORT", "UPLOAD_RATE",
        "TLS_SELF_SIGNED",
    ]  # fmt: skip
    good = f"SECRET_KEY={'k3y' * 20}\nPOSTGRES_PASSWORD={'pass' * 4}\n"
    # The environment goes before the file, as Compose has it.
    assert faults(good, POSTGRES_PASSWORD="password1234") == ["POSTGRES_PASSWORD"]
    (directory / ".env").write_text(good)
    override = directory / "override.yaml"
    override.write_text(override.read_text().replace(stack.project, f"{stack.project}-absent"))
    ended = script(stack, directory / "deploy.sh", COMPOSE_FILE=files)
    assert (ended.code, "there is no certificate" in ended.stderr) == (1, True), ended.said


# --- status.sh ------------------------------------------------------------------------------------------------


def test_status_tells_what_an_alert_needs(stack: HorillaStack, client: Client) -> None:
    said = succeeds(stack, "status.sh").stdout
    for volume in VOLUMES:
        assert re.search(rf"^  {stack.project}_{volume} +\d+ KiB$", said, re.MULTILINE)
    assert "  base_company: 3 rows" in said
    assert "  0 dangling references, 0 files without a row" in said
    stack.execute("horilla", f"mv {ROOT}/{ICONS}/logo_0.png {ROOT}/{ICONS}/away.png")
    try:
        ended = script(stack, "status.sh")
    finally:
        stack.execute("horilla", f"mv {ROOT}/{ICONS}/away.png {ROOT}/{ICONS}/logo_0.png")
    assert ended.code == 4
    assert f"{ICONS}/logo_0.png is missing" in ended.stdout
    assert "1 dangling references, 1 files without a row" in ended.stdout


# --- backup.sh ------------------------------------------------------------------------------------------------


def test_a_backup_holds_both_and_a_restore_is_exact(
    stack: HorillaStack, client: Client, archive: Path
) -> None:
    with tarfile.open(archive) as content:
        names = content.getnames()
    assert names[:2] == ["manifest.jsonl", "database.dump"]
    assert {f"media/{name}" for name in stack.files()} <= set(names)
    before = snapshot(stack)
    change(stack, client)
    assert snapshot(stack) != before
    # From any directory, by a path that is relative to the script.
    succeeds(stack, "backup.sh", "restore", f"./backups/{archive.name}", "--yes")
    assert snapshot(stack) == before
    assert databases(stack) == {"horilla", "postgres"}
    assert client.upload("after.png", image(), "after").status_code == 201


def test_a_damaged_archive_is_refused_and_nothing_is_touched(
    stack: HorillaStack, client: Client, archive: Path
) -> None:
    before, running = snapshot(stack), identities(stack)
    content = archive.read_bytes()
    place = content.rindex(b"IDAT")  # in a picture's data
    damaged = {
        "cut": content[: len(content) // 2],
        "flipped": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
        "empty": b"",
    }
    for name, wrong in damaged.items():
        path = archive.with_name(f"{name}.tar")
        path.write_bytes(wrong)
        ended = script(stack, "backup.sh", "restore", path, "--yes")
        assert (ended.code, "nothing was touched" in ended.stderr) == (1, True), ended.said
        path.unlink()
    assert script(stack, "backup.sh", "restore", "absent.tar", "--yes").code == 1
    assert (snapshot(stack), identities(stack)) == (before, running)


def test_a_restore_asks_first(stack: HorillaStack, client: Client, archive: Path) -> None:
    before = snapshot(stack)
    assert script(stack, "backup.sh", "restore", archive).code == 1
    controller, terminal = pty.openpty()
    try:
        os.write(controller, b"n\n")
        done = subprocess.run(
            [stack.directory / "backup.sh", "restore", archive], env=stack.environment, stdin=terminal,
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        os.close(controller)
        os.close(terminal)
    assert (done.returncode, "REPLACE" in done.stderr) == (1, True)
    assert snapshot(stack) == before


def test_the_newest_are_kept_here_and_off_site(stack: HorillaStack, client: Client, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    settings = {"BACKUP_DIR": str(here), "BACKUP_OFFSITE_DIR": str(there), "BACKUP_KEEP": "1"}
    absent = script(stack, "backup.sh", "backup", **settings)
    assert (absent.code, here.exists(), there.exists()) == (1, False, False)
    there.mkdir()
    here.mkdir()
    for directory in (here, there):
        (directory / "horilla-20200101_000000.tar").write_bytes(b"old")
        (directory / "horilla-notes.tar").write_bytes(b"somebody's own")
    archive = backup(stack, **settings, BACKUP_RESTORE_TEST="no")
    for directory in (here, there):
        assert {path.name for path in directory.iterdir()} == {
            archive.name, f"{archive.name}.sha256", "horilla-notes.tar",
        }  # fmt: skip
    assert (there / archive.name).read_bytes() == archive.read_bytes()
    assert "verified" in succeeds(stack, "backup.sh", "list", **settings).stdout


def test_a_backup_that_is_killed_leaves_nothing_and_holds_nobody(
    stack: HorillaStack, client: Client, archive: Path
) -> None:
    backups = stack.directory / "backups"
    complete = {path.name for path in backups.iterdir()}
    interrupted(stack, "dumping the database", signal.SIGKILL, "backup.sh", "backup")
    assert {path.name for path in backups.glob("horilla-*")} <= complete
    # The rows that it held are free with it.
    assert client.upload("meanwhile.png", image(), "meanwhile").status_code == 201


# --- migrate-media.sh -----------------------------------------------------------------------------------------


def test_media_of_a_container_without_a_volume_are_brought_and_verified(stack: HorillaStack) -> None:
    old = stack.engine.containers.run(
        f"{stack.project}-horilla",
        ["sh", "-c", f"mkdir -p {ROOT}/{ICONS} && echo old > {ROOT}/{ICONS}/old.png && exec sleep 600"],
        detach=True, init=True, labels={HELPER_LABEL: stack.project},
    )  # fmt: skip
    try:
        name = str(old.name)
        assert script(stack, "migrate-media.sh", "--check", name).code == 1
        ended = succeeds(stack, "migrate-media.sh", name)
        assert f"may be removed: docker rm -f {name}" in ended.stderr
        assert stack.execute("horilla", f"stat -c %U {ROOT}/{ICONS}/old.png; cat {ROOT}/{ICONS}/old.png") == (
            "app\nold\n"
        )
        succeeds(stack, "migrate-media.sh", "--check", name)
        stack.execute("horilla", f"echo other > {ROOT}/{ICONS}/old.png")
        differs = script(stack, "migrate-media.sh", name)
        assert (differs.code, "must stay" in differs.stderr) == (4, True)
        assert stack.execute("horilla", f"cat {ROOT}/{ICONS}/old.png") == "other\n"
    finally:
        old.remove(force=True)
        stack.execute("horilla", f"rm -f {ROOT}/{ICONS}/old.png")
