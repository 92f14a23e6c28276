"""The backup script of the media stack on a real engine, as an operator meets it."""

import gzip
import hashlib
import os
import pty
import re
import shutil
import signal
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stacks.media import ROOT, MediaStack, media_stack, poll

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaStack]:
    with media_stack(tmp_path_factory.mktemp("stack") / "media") as stack:
        yield stack


def plant(stack: MediaStack) -> None:
    stack.execute(
        "find blog member uploads -mindepth 1 -delete; mkdir -p admin/deep/er;"
        "echo secret > admin/deep/secret; chmod 640 admin/deep/secret; ln admin/deep/secret admin/deep/same;"
        "ln -s ../../blog admin/deep/link; ln -s /nowhere admin/deep/dangling;"
        'printf x > "admin/deep/a b\'\\"%#?\n.txt"; touch -d @1000000000.123456789 admin/deep/same;'
        "chmod 2750 admin/deep/er; mkdir -p newtop; echo top > newtop/top.txt"
    )
    stack.execute(
        "echo r > admin/deep/root; chown 1234:4321 admin/deep/root; chmod 4711 admin/deep/root", user="0"
    )


def damage(stack: MediaStack) -> None:
    stack.execute(
        "rm -rf admin/deep/er newtop admin/deep/link;"
        "echo changed > admin/deep/secret; chmod 755 admin/deep/secret;"
        "mkdir -p later; echo later > later/later.txt; echo later > blog/later.txt"
    )


@pytest.fixture(scope="module")
def planted(stack: MediaStack) -> set[str]:
    """What the archive holds."""
    plant(stack)
    return stack.snapshot()


@pytest.fixture(scope="module")
def archive(stack: MediaStack, planted: set[str]) -> Path:
    return stack.backup()


def test_a_backup_is_a_whole_and_readable_archive(stack: MediaStack, archive: Path) -> None:
    assert archive.parent == stack.directory / "media-backups"
    assert re.fullmatch(r"media-backup-\d{8}_\d{6}\.tar\.gz", archive.name)
    with tarfile.open(archive) as content:
        names = set(content.getnames())
    assert {"admin/deep/secret", "admin/deep/a b'\"%#?\n.txt", "newtop/top.txt", "uploads"} <= names
    recorded, name = archive.with_name(archive.name + ".sha256").read_text().split()
    assert (recorded, name) == (hashlib.sha256(archive.read_bytes()).hexdigest(), archive.name)
    listed = stack.backup_media("list")
    assert listed.returncode == 0
    assert re.search(
        rf"^20.* {archive.stat().st_size} bytes  verified .*{archive.name}$", listed.stdout, re.MULTILINE
    )


def test_a_restore_is_exact(stack: MediaStack, archive: Path, planted: set[str]) -> None:
    damage(stack)
    done = stack.backup_media("restore", f"./media-backups/{archive.name}", "--yes")
    assert done.returncode == 0, done.stderr
    assert stack.snapshot() == planted
    assert stack.container("api").status == "running"
    # The script returns when the API serves again.
    assert stack.session.get(f"{stack.url('api')}/api/v1/health", timeout=10).status_code == 200


def test_a_merging_restore_keeps_the_rest(
    stack: MediaStack, archive: Path, planted: set[str], tmp_path: Path
) -> None:
    damage(stack)
    # From another directory, and by a relative path.
    copy = tmp_path / "elsewhere.tar.gz"
    shutil.copy(archive, copy)
    done = stack.backup_media("restore", copy.name, "--yes", "--merge", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert planted - stack.snapshot() == set()
    assert stack.execute("cat later/later.txt blog/later.txt") == "later\nlater\n"


def flipped_bit(archive: bytes) -> bytes:
    """The archive with one bit changed, behind its middle, where that matters.

    Some bits do not: in a run of zeros, a reference to other zeros says the same.
    """
    whole = gzip.decompress(archive)
    for place in range(len(archive) // 2, len(archive)):
        flipped = archive[:place] + bytes([archive[place] ^ 1]) + archive[place + 1 :]
        try:
            if gzip.decompress(flipped) != whole:
                return flipped
        except (OSError, EOFError, zlib.error):
            return flipped
    raise AssertionError("no bit of the archive matters")


def test_a_damaged_archive_is_refused_and_nothing_is_touched(stack: MediaStack, archive: Path) -> None:
    damage(stack)
    before = stack.snapshot()
    started = stack.container("api").attrs["State"]["StartedAt"]
    content = archive.read_bytes()
    cut = archive.with_name("cut.tar.gz")
    cut.write_bytes(content[: len(content) // 2])
    flipped = archive.with_name("flipped.tar.gz")
    flipped.write_bytes(flipped_bit(content))
    replaced = archive.with_name("replaced.tar.gz")
    with tarfile.open(replaced, "w:gz") as other:
        other.addfile(tarfile.TarInfo("admin/x.txt"))
    shutil.copy(f"{archive}.sha256", f"{replaced}.sha256")
    for path in (cut, flipped, replaced, archive.with_name("absent.tar.gz")):
        done = stack.backup_media("restore", path, "--yes")
        assert done.returncode == 1, done.stderr
        assert "ERROR" in done.stderr
    assert stack.snapshot() == before
    assert stack.container("api").attrs["State"]["StartedAt"] == started


def test_a_restore_asks_first(stack: MediaStack, archive: Path) -> None:
    damage(stack)
    before = stack.snapshot()
    assert stack.backup_media("restore", archive).returncode == 1
    controller, terminal = pty.openpty()
    try:
        os.write(controller, b"n\n")
        done = subprocess.run(
            [stack.directory / "backup-media.sh", "restore", archive], env=stack.environment, stdin=terminal,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.returncode == 1
    assert "REPLACE" in done.stderr
    assert stack.snapshot() == before


def test_a_killed_backup_leaves_nothing_that_looks_complete(stack: MediaStack) -> None:
    stack.execute("head -c 30000000 /dev/urandom > downloads/large.bin")
    backups = stack.directory / "media-backups"
    complete = {path.name for path in backups.glob("media-backup-*")}
    process = subprocess.Popen(
        [stack.directory / "backup-media.sh", "backup"], env=stack.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    poll(lambda: _assert_partial(backups))()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    assert {path.name for path in backups.glob("media-backup-*")} == complete
    stack.execute("rm downloads/large.bin")
    stack.backup()
    assert list(backups.glob(".media-backup-*")) == []


def _assert_partial(backups: Path) -> None:
    assert any(path.stat().st_size for path in backups.glob(".media-backup-*.partial"))


def test_the_api_recovers_by_itself_from_a_restore_that_was_cut_off(stack: MediaStack, archive: Path) -> None:
    damage(stack)
    before = stack.snapshot()
    process = subprocess.Popen(
        [stack.directory / "backup-media.sh", "restore", archive, "--yes"], env=stack.environment,
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    with process, process.stderr as said:
        assert any("stopping" in line for line in said)
        os.killpg(process.pid, signal.SIGKILL)
    assert ".media-restore" in stack.execute("ls -A")
    stack.compose("up", "-d", "--force-recreate", "--wait", "api")
    assert ".media-restore" not in stack.execute("ls -A")
    assert stack.snapshot() == before


def test_a_file_that_is_being_written_fails_the_backup(stack: MediaStack) -> None:
    backups = stack.directory / "media-backups"
    complete = set(backups.iterdir())
    writing = stack.container("api").exec_run(
        ["sh", "-c", f"while echo line; do :; done > {ROOT}/admin/growing.txt & echo $!"]
    )
    assert isinstance(writing.output, bytes)
    try:
        done = stack.backup_media("backup")
    finally:
        stack.execute(f"kill {writing.output.decode().strip()}; rm admin/growing.txt")
    assert done.returncode == 1, done.stderr
    assert "growing.txt" in done.stderr
    assert done.stdout == ""
    assert set(backups.iterdir()) == complete


def test_check_tells_what_an_alert_needs(stack: MediaStack) -> None:
    done = stack.backup_media("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"volume: {stack.volume()} (driver local)" in done.stdout
    assert re.search(r"^files: \d+$", done.stdout, re.MULTILINE)
    assert stack.backup_media("check", MEDIA_MIN_FREE_BYTES=str(1 << 60)).returncode == 5
    stack.execute("mv invoice invoice.away")
    missing = stack.backup_media("check")
    stack.execute("mv invoice.away invoice")
    assert missing.returncode == 4
    assert "missing directories: invoice" in missing.stdout
    assert stack.backup_media("no-such-command").returncode == 64


def test_everything_works_while_the_stack_is_down(
    stack: MediaStack, archive: Path, planted: set[str]
) -> None:
    damage(stack)
    stack.compose("down")
    assert stack.backup_media("check").returncode == 0
    later = stack.backup()
    assert later != archive
    assert stack.backup_media("restore", archive, "--yes").returncode == 0
    absent = f"{stack.project}-absent"
    # Another project of the same images, whose volume does not exist: it must not come to be by a backup.
    (stack.directory / "absent.yaml").write_text(f"services: {{api: {{image: {stack.project}-api}}}}\n")
    files = f"{stack.environment['COMPOSE_FILE']}:{stack.directory}/absent.yaml"
    for command in (("check",), ("backup",), ("restore", archive, "--yes")):
        done = stack.backup_media(*command, COMPOSE_PROJECT_NAME=absent, COMPOSE_FILE=files)
        assert done.returncode == 3, done.stderr
    assert not [volume for volume in stack.engine.volumes.list() if absent in str(volume.name)]
    stack.compose("up", "-d", "--wait")
    assert stack.snapshot() == planted


def test_the_schedule_makes_backups_and_keeps_the_newest(stack: MediaStack) -> None:
    shutil.rmtree(stack.directory / "media-backups")
    (stack.directory / "schedule.yaml").write_text(
        'services: {backup: {environment: {MEDIA_BACKUP_EVERY_SECONDS: "1", MEDIA_BACKUP_KEEP: "2"}}}\n'
    )
    backups = stack.directory / "media-backups"
    stack.compose(
        "-f",
        "compose.yaml",
        "-f",
        "override.yaml",
        "-f",
        "schedule.yaml",
        "--profile",
        "backup",
        "up",
        "-d",
        "backup",
    )
    try:
        poll(lambda: _assert_rotated(backups, set()))()
        first = {path.name for path in backups.glob("media-backup-*.tar.gz")}
        poll(lambda: _assert_rotated(backups, first))()
    finally:
        container = stack.container("backup")
        container.stop(timeout=5)
        container.reload()
        code = container.attrs["State"]["ExitCode"]
        container.remove()
    assert code == 0
    archives = sorted(backups.glob("media-backup-*.tar.gz"))
    assert 1 <= len(archives) <= 3
    assert stack.backup_media("restore", archives[-1], "--yes").returncode == 0


def _assert_rotated(backups: Path, known: set[str]) -> None:
    names = {path.name for path in backups.glob("media-backup-*.tar.gz")}
    assert len(names) == 2
    assert not names & known
