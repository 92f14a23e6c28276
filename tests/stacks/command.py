"""`persistence` as a process of its own, followed by the history that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient

from persistence_tests.stack.identity import RUN_LABEL, WORKSPACE_LABEL

POLL_SECONDS = 0.02
PATIENCE = 180.0


@dataclass(frozen=True)
class Ended:
    """What a command that is over said."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


class Command:
    """Has its own temporary directory, by which all that it makes on the engine is known."""

    def __init__(self, *arguments: str, directory: Path, engine: str | None = None) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.reports = directory / "reports"
        self._out, self._err = directory / "stdout", directory / "stderr"
        self._began = time.monotonic()
        environment = {**os.environ, "TMPDIR": str(self.temporary), "COLUMNS": "200"}
        if engine is not None:
            environment["DOCKER_HOST"] = engine
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "persistence_tests", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def history(self) -> Path:
        [found] = [path for path in self.reports.glob("*/history.jsonl") if not path.parent.is_symlink()]
        return found

    @property
    def run(self) -> str:
        return self.history.parent.name

    def wait_for(self, reached: Callable[[], bool]) -> None:
        """Until it holds; fails where the command ends before, or after PATIENCE seconds."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert not self._is_over(POLL_SECONDS), self._out.read_text() + self._err.read_text()
            assert time.monotonic() < deadline, self._out.read_text() + self._err.read_text()

    def wait_for_record(self, kind: str, **fields: Any) -> None:
        """Until its history holds such a record."""
        self.wait_for(lambda: any(fields.items() <= line.items() for line in self.records(kind)))

    def wait_for_line(self, number: int) -> None:
        """Until its history has so many lines."""
        self.wait_for(lambda: self._lines() >= number)

    def _lines(self) -> int:
        try:
            return self.history.read_bytes().count(b"\n")
        except (ValueError, OSError):
            return 0

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The whole lines of its history so far."""
        try:
            text = self.history.read_text()
        except (ValueError, OSError):
            return []
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if line["type"] == kind]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def send_until_it_ends(self, number: signal.Signals) -> None:
        """Again and again, as fast as somebody can who will not wait."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_over(POLL_SECONDS):
            assert time.monotonic() < deadline, self._out.read_text() + self._err.read_text()
            self._process.send_signal(number)

    def ended(self, within: float = PATIENCE) -> Ended:
        """What it said, which pytest shows as well where the test fails."""
        code = self._process.wait(within)
        seconds = time.monotonic() - self._began
        ended = Ended(code, self._out.read_text(), self._err.read_text(), seconds)
        sys.stdout.write(ended.said)
        return ended

    def _is_over(self, within: float) -> bool:
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it, and with it what it started in its own session; nothing where it is over."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def made_below(client: DockerClient, temporary: Path) -> list[str]:
    """Everything on the engine whose workspace lies in this directory, and the workspaces themselves."""
    api = client.api
    filters = {"label": RUN_LABEL}
    listed = [
        *((f"container {e['Names']}", e) for e in api.containers(all=True, filters=filters)),
        *((f"volume {e['Name']}", e) for e in api.volumes(filters=filters)["Volumes"] or ()),
        *((f"network {e['Name']}", e) for e in api.networks(filters=filters)),
        *((f"image {e['RepoTags']} {e['Id'][:19]}", e) for e in api.images(filters=filters)),
    ]
    here = [
        what for what, e in listed if (e["Labels"] or {}).get(WORKSPACE_LABEL, "").startswith(f"{temporary}/")
    ]
    return here + [f"workspace {path}" for path in temporary.iterdir()]


def named_after(client: DockerClient, run: str) -> list[str]:
    """Everything on the engine that has the run in its name, labelled or not."""
    api = client.api
    names = [
        *(name for e in api.containers(all=True) for name in e["Names"]),
        *(e["Name"] for e in api.volumes()["Volumes"] or ()),
        *(e["Name"] for e in api.networks()),
        *(tag for e in api.images(all=True) for tag in e["RepoTags"] or ()),
    ]
    return [name for name in names if run in name]
