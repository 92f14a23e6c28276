"""The HR stack's scripts as an operator calls them, and what lies in the stack, read without them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.stacks.horilla import HorillaStack

ROOT = "/app/media"
TABLES = ("base_company", "employee_employee", "employee_document")
HELPER_LABEL = "horilla-scripts-test"


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


def script(stack: HorillaStack, *line: str | Path, **environment: str) -> Ended:
    """A script of the stack's directory, run to its end, without a terminal."""
    done = subprocess.run(
        _command(stack, *line), cwd=stack.directory, env=_environment(stack) | environment,
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=600,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def interrupted(stack: HorillaStack, at: str, number: signal.Signals, *line: str | Path) -> Ended:
    """The same, but it and all that it started get a signal at the first line in which `at` is found."""
    with subprocess.Popen(
        _command(stack, *line), cwd=stack.directory, env=_environment(stack), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = []
        for text in process.stdout:
            said.append(text)
            if re.search(at, text):
                os.killpg(process.pid, number)
                break
        else:
            raise AssertionError(f"it never said {at!r}: {''.join(said)}")
        said += process.stdout
        code = process.wait(60)
    assert code != 0, "".join(said)
    return Ended(code, "".join(said), "")


def succeeds(stack: HorillaStack, *line: str | Path, **environment: str) -> Ended:
    ended = script(stack, *line, **environment)
    assert ended.code == 0, ended.said
    return ended


def backup(stack: HorillaStack, **environment: str) -> Path:
    return Path(succeeds(stack, "backup.sh", "backup", **environment).stdout.splitlines()[-1])


def snapshot(stack: HorillaStack) -> tuple[set[str], str]:
    """All files with mode, owner, time and content; and all rows of the tables that refer to them."""
    listed = stack.execute(
        "horilla",
        rf"cd {ROOT} && find . -mindepth 1 -printf '%P %y %m %U:%G %T@ %l\n'; find . -type f -exec sha256sum {{}} +",
        user="0",
    )
    tables = " ".join(f"-t {table}" for table in TABLES)
    rows = stack.execute("db", f"pg_dump -U postgres -d horilla --data-only --inserts {tables}")
    return set(listed.splitlines()), "\n".join(
        line for line in rows.splitlines() if line.startswith("INSERT")
    )


def dangling(stack: HorillaStack) -> list[str]:
    """Files that rows refer to and that are not there."""
    query = (
        "SELECT icon FROM base_company WHERE icon <> '' UNION SELECT icon_webp FROM base_company "
        "WHERE icon_webp <> '' UNION SELECT file FROM employee_document"
    )
    # As root: what a restore that was cut off has left is nobody else's to look into.
    found = stack.execute("horilla", f"cd {ROOT} && find . -type f -printf '%P\\n'", user="0")
    return sorted({name for (name,) in stack.rows(query)} - set(found.splitlines()))


def identities(stack: HorillaStack) -> dict[str, tuple[str, str]]:
    """The id of each container and of its image, by its name."""
    label = f"com.docker.compose.project={stack.project}"
    found = stack.engine.containers.list(all=True, filters={"label": label})
    return {str(one.name): (str(one.id), str(one.attrs["Image"])) for one in found}


def databases(stack: HorillaStack) -> set[str]:
    return {name for (name,) in stack.rows("SELECT datname FROM pg_database WHERE NOT datistemplate")}


def _command(stack: HorillaStack, *line: str | Path) -> list[str]:
    return [str(stack.directory / line[0]), *map(str, line[1:])]


def _environment(stack: HorillaStack) -> dict[str, str]:
    return stack.environment | {"HELPER_LABEL": f"{HELPER_LABEL}={stack.project}"}
