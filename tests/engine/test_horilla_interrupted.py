"""Long: the HR stack's scripts cut off at every line they print, versions that are no good, and a fresh project.

pytest -m soak tests/engine/test_horilla_interrupted.py
"""

from __future__ import annotations

import re
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError

from persistence_tests.stack.exec_stream import ExecFailed
from tests.engine.test_horilla_scripts import change, image
from tests.stacks.horilla import Client, HorillaStack, horilla_copy, poll
from tests.stacks.horilla_scripts import (
    HELPER_LABEL,
    backup,
    dangling,
    databases,
    identities,
    interrupted,
    script,
    snapshot,
    succeeds,
)

pytestmark = [pytest.mark.engine, pytest.mark.soak]

DEPLOYING = [
    *(rf"^\[{step}/8\]" for step in range(1, 9)),
    r"Image \S+ +Building", r"Successfully tagged", r"Container \S+horilla-1 +Recreate\b",
    r"Container \S+horilla-1 +Recreated", r"Container \S+horilla-1 +Starting", r"Container \S+replica-1 +Recreate\b",
    r"Container \S+nginx-1 +Starting",
]  # fmt: skip
RESTORING = [
    "loading the database", "unpacking the files", "stopping the application", "adding files",
    "swapping the databases", "replacing and removing files", "starting the application",
]  # fmt: skip
BACKING_UP = ["holding uploads", "dumping", "writing", "verifying", "restoring it beside"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HorillaStack]:
    with horilla_copy(tmp_path_factory.mktemp("stack") / "horilla") as stack:
        succeeds(stack, "deploy.sh")
        yield stack
        # Where `docker run` was killed between its two halves, the container was made and never started.
        for left in stack.engine.containers.list(
            all=True, filters={"label": f"{HELPER_LABEL}={stack.project}"}
        ):
            left.remove(force=True)


@pytest.fixture(scope="module")
def client(stack: HorillaStack) -> Client:
    client = stack.client("horilla").login()
    for number in range(3):
        assert client.upload(f"logo {number}.png", image(), f"company {number}").status_code == 201
    return client


@pytest.fixture(scope="module")
def archive(stack: HorillaStack, client: Client) -> Path:
    return backup(stack)


def person(stack: HorillaStack) -> Client:
    """Ports are others after a deploy."""
    return stack.client("horilla").login()


def new_version(stack: HorillaStack) -> None:
    """Another version of application and proxy: something to build, and containers to replace."""
    for name in ("app/start-app.sh", "nginx/start-nginx.sh"):
        with (stack.directory / "docker" / name).open("a") as file:
            file.write(f"# {secrets.token_hex(4)}\n")


# --- backup.sh ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "number"),
    [*((at, signal.SIGKILL) for at in BACKING_UP), (BACKING_UP[1], signal.SIGINT)],
    ids=str,
)
def test_a_backup_that_is_cut_off_leaves_nothing(
    stack: HorillaStack, archive: Path, at: str, number: signal.Signals
) -> None:
    complete = {path.name for path in archive.parent.glob("horilla-*")}
    interrupted(stack, at, number, "backup.sh", "backup")
    assert {path.name for path in archive.parent.glob("horilla-*")} == complete
    assert person(stack).upload("y.png", image(), "y").status_code == 201
    later = backup(stack)
    assert list(archive.parent.glob(".horilla-*")) == []
    assert databases(stack) == {"horilla", "postgres"}
    assert not [name for name in stack.files() if "/." in f"/{name}"]
    later.unlink()
    later.with_name(f"{later.name}.sha256").unlink()


@pytest.mark.parametrize(
    ("at", "number"),
    [
        *((at, signal.SIGKILL) for at in RESTORING),
        (RESTORING[3], signal.SIGINT),
        (RESTORING[5], signal.SIGINT),
    ],
)
def test_a_restore_that_is_cut_off_is_one_or_the_other_and_the_next_is_exact(
    stack: HorillaStack, archive: Path, at: str, number: signal.Signals
) -> None:
    succeeds(stack, "backup.sh", "restore", archive, "--yes")
    held = snapshot(stack)
    change(stack, person(stack))
    stack.execute(
        "horilla", "cd /app/media/base/company/icon && rm -r planted later.png"
    )  # a damage of its own
    stack.execute("db", "psql -U postgres -d horilla -c \"DELETE FROM base_company WHERE icon IN ("
                        "'base/company/icon/later.png', 'base/company/icon/logo_2.png')\"")  # fmt: skip
    interrupted(stack, at, number, "backup.sh", "restore", archive, "--yes")
    assert "horilla" in databases(stack)
    poll(lambda: _no_row_without_its_file(stack))()
    succeeds(stack, "backup.sh", "restore", archive, "--yes")
    assert snapshot(stack) == held
    assert databases(stack) == {"horilla", "postgres"}
    succeeds(stack, "status.sh")


def _no_row_without_its_file(stack: HorillaStack) -> None:
    """Once everything runs again; what is being stopped at that moment may not do so at once."""
    try:
        stack.compose("up", "-d", "--no-recreate", "--wait")
        assert dangling(stack) == []
    except (ExecFailed, APIError) as error:
        raise AssertionError("the application does not run yet") from error


def test_a_restore_goes_into_a_fresh_project(stack: HorillaStack, archive: Path, tmp_path: Path) -> None:
    succeeds(stack, "backup.sh", "restore", archive, "--yes")
    with horilla_copy(tmp_path / "horilla") as fresh:
        copied = tmp_path / archive.name
        shutil.copy(archive, copied)
        succeeds(fresh, "backup.sh", "restore", copied, "--yes")
        assert snapshot(fresh) == snapshot(stack)
        succeeds(fresh, "status.sh")


# --- deploy.sh ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    ["exit 1\n", "exec sleep infinity\n", "exec python -m http.server 8000\n"],
    ids=["ends", "listens not", "answers wrong"],
)
def test_a_version_that_never_becomes_healthy_goes_back(
    stack: HorillaStack, client: Client, fault: str
) -> None:
    start = stack.directory / "docker/app/start-app.sh"
    good, held = start.read_text(), snapshot(stack)
    succeeds(stack, "deploy.sh")
    running = stack.container("horilla").attrs["Image"]
    start.write_text(f"#!/bin/sh\n{fault}")
    try:
        # The second time what ran last was put back already; it must not be taken for a version that is no good.
        for _ in range(2):
            ended = script(stack, "deploy.sh", HEALTHY_SECONDS="40")
            assert ended.code == 1, ended.said
            assert "NOT deployed" in ended.stderr
            assert "are healthy" in ended.stderr
            assert stack.container("horilla").attrs["Image"] == running
            assert snapshot(stack) == held
            assert person(stack).upload("x.png", image(), "x").status_code == 201
            held = snapshot(stack)
        # Cut off while the bad one runs: what there is to go back to stays what it was.
        interrupted(stack, r"Container \S+horilla-1 +Started", signal.SIGKILL, "deploy.sh")
        ended = script(stack, "deploy.sh", HEALTHY_SECONDS="40")
        assert (ended.code, "are healthy" in ended.stderr) == (1, True), ended.said
        assert stack.container("horilla").attrs["Image"] == running
    finally:
        start.write_text(good)
    succeeds(stack, "deploy.sh")
    assert snapshot(stack) == held


def test_a_container_that_keeps_media_on_no_volume_stops_a_deploy(
    stack: HorillaStack, client: Client
) -> None:
    compose = stack.directory / "docker-compose.production.yaml"
    good = compose.read_text()
    compose.write_text(good.replace("    - horilla_media:/app/media\n", ""))
    try:
        stack.compose("up", "-d", "--wait")
        answer = person(stack).upload("lost.png", image(), "lost")
        assert answer.status_code == 201
    finally:
        compose.write_text(good)
    ended = script(stack, "deploy.sh")
    assert ended.code == 1
    container = re.search(r"Run \./migrate-media\.sh (\w+), then deploy", ended.stderr)
    assert container, ended.said
    succeeds(stack, "migrate-media.sh", container[1])
    succeeds(stack, "deploy.sh")
    assert answer.json()["icon"] in stack.files()
    assert dangling(stack) == []


@pytest.mark.parametrize(
    ("at", "number"),
    [
        *((at, signal.SIGKILL) for at in DEPLOYING),
        (DEPLOYING[2], signal.SIGINT),
        (DEPLOYING[3], signal.SIGTERM),
    ],
)
def test_a_deploy_that_is_cut_off_is_finished_by_the_next(
    stack: HorillaStack, client: Client, at: str, number: signal.Signals
) -> None:
    held = snapshot(stack)
    new_version(stack)
    interrupted(stack, at, number, "deploy.sh")
    ended = succeeds(stack, "deploy.sh")
    assert ended.stdout.splitlines()[-2:] == ["status: ok", "deployed"], ended.said
    assert snapshot(stack) == held
    assert len(identities(stack)) == 4
    assert not (stack.directory / ".lock").is_symlink()
