"""The media stack under a project name of its own."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from persistence_tests.stack.exec_stream import run_any
from tests.stacks.compose_copy import ComposeCopy
from tests.stacks.images import remove_images

SOURCE = Path(__file__).parents[2] / "compose-under-test/media"
ROOT = "/home/app/assets/media-files"
MAX_BYTES = 3 << 20
LABEL = "media-stack-test"

OVERRIDE = f"""
services:
  api:
    container_name: !reset null
    ports: !override ["127.0.0.1::8001"]
    environment: {{ MEDIA_MAX_BYTES: "{MAX_BYTES}" }}
  proxy:
    ports: !override ["127.0.0.1::80"]
    environment: {{ MEDIA_MAX_BYTES: "{MAX_BYTES}" }}
"""

poll = retry(
    stop=stop_after_delay(60),
    wait=wait_fixed(0.05),
    retry=retry_if_exception_type((AssertionError, requests.ConnectionError)),
    reraise=True,
)


@dataclass
class MediaStack(ComposeCopy):
    compose_file = "compose.yaml"

    session: requests.Session = field(default_factory=requests.Session)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in super().environment.items() if not key.startswith("MEDIA_")}
        return {**kept, "MEDIA_HELPER_LABEL": f"{LABEL}={self.project}"}

    def backup_media(
        self, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.directory / "backup-media.sh"), *map(str, arguments)],
            cwd=cwd or self.directory,
            env={**self.environment, "PWD": str(cwd or self.directory), **environment},
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip

    def backup(self) -> Path:
        done = self.backup_media("backup")
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.splitlines()[-1])

    def url(self, service: str) -> str:
        ((_, bindings),) = [
            (port, bindings) for port, bindings in self.container(service).ports.items() if bindings
        ]
        return f"http://127.0.0.1:{bindings[0]['HostPort']}"

    def execute(self, command: str, user: str = "") -> str:
        line = ["sh", "-ec", f"cd {ROOT}\n{command}"]
        output, complaints, code = run_any(self.container("api"), line, user=user)
        assert code == 0, complaints
        return output.decode("utf-8", "surrogateescape")

    def snapshot(self) -> set[str]:
        """All names, kinds, modes, owners, times, links and content, read without the code under test."""
        found = self.execute(
            r"find . -mindepth 1 -printf '%p %y %m %U:%G %T@ %n %l\0';"
            "find . -type f -print0 | xargs -0 sha256sum --zero; stat -c '. %a %u:%g' .",
            user="0",
        )
        return set(found.split("\0"))

    def volume(self) -> str:
        return f"{self.project}_media_files"


@contextmanager
def media_stack(directory: Path) -> Iterator[MediaStack]:
    """The stack, up and healthy; afterwards nothing of it is left."""
    shutil.copytree(SOURCE, directory, ignore=shutil.ignore_patterns("media-backups", "__pycache__"))
    (directory / "override.yaml").write_text(OVERRIDE)
    stack = MediaStack(directory, f"media-test-{secrets.token_hex(4)}")
    try:
        stack.compose("up", "-d", "--build", "--wait")
        yield stack
    finally:
        for helper in stack.engine.containers.list(all=True, filters={"label": f"{LABEL}={stack.project}"}):
            helper.remove(force=True)
        stack.compose("--profile", "backup", "down", "--volumes", "--remove-orphans")
        remove_images(stack.engine, stack.project)
        stack.session.close()
        stack.engine.close()
