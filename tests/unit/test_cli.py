"""The command as a user meets it, without an engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from persistence_tests.cli import exit_code
from persistence_tests.report.build import build
from tests.unit.report_histories import faulted, kept, skipped, wiped, write_history

COMMANDS = ("run", "init", "validate", "replay", "check", "report", "explain", "doctor", "clean")
SCENARIO = """
stack: { compose: compose.yaml }
paths:
  direct: { service: app, root: /files }
writes:
  - { through: direct, into: [.], files: 2 }
events: [restart, kill]
"""
NOWHERE = "unix:///nonexistent/docker.sock"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Persistence = Callable[..., Done]


@pytest.fixture
def persistence(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Persistence:
    """The program, 80 columns wide, with an engine that does not answer; `cwd` is where it is called."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)

    def called(*arguments: str, cwd: Path | None = None) -> Done:
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capfd.readouterr()
        code = exit_code(arguments)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Done(code, captured.out, captured.err)

    return called


def process(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "persistence_tests", *arguments],
        capture_output=True, encoding="utf-8", cwd=cwd, env={**os.environ, **environment}, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text("services:\n  app:\n    image: debian:bookworm-slim\n")
    (tmp_path / "shop.persistence.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_help_fits_and_is_whole(
    persistence: Persistence, command: tuple[str, ...], snapshot: SnapshotAssertion
) -> None:
    done = persistence(*command, "--help")
    assert done.returncode == 0
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert not any(line.endswith("...") for line in done.stdout.splitlines()[1:])
    assert done.stdout == snapshot


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("run", "--fast"),
        ("run", "--seed", "one"),
        ("run", "nothing-here"),
        ("run", "shop.persistence.yaml", "--event", "earthquake"),
        ("run", "shop.persistence.yaml", "--path", "ftp"),
        ("run", "shop.persistence.yaml", "--engine", "unix:///a", "--engine", "unix:///b"),
        ("explain", "PV999x"),
        ("check", "nothing-here"),
        ("replay", "nothing-here"),
    ],
)
def test_wrong_usage_is_64_and_says_what_to_do(
    persistence: Persistence, arguments: tuple[str, ...], project: Path
) -> None:
    done = persistence(*arguments, cwd=project)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.strip()


@pytest.mark.parametrize("arguments", [("run", "shop.persistence.yaml"), ("clean",)])
def test_without_an_engine_it_is_2(arguments: tuple[str, ...], project: Path) -> None:
    done = process(*arguments, cwd=project, DOCKER_HOST=NOWHERE)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no Docker engine answers at {NOWHERE}")
    assert "help: start Docker" in done.stderr
    assert not (project / "reports").exists()


def test_doctor_without_an_engine() -> None:
    done = process("doctor", DOCKER_HOST=NOWHERE)
    assert done.returncode == 2
    assert "✓ compose" in done.stdout
    assert f"✗ engine           no Docker engine answers at {NOWHERE}" in done.stdout
    assert "    help: start Docker" in done.stdout


def test_validate_tells_every_problem(
    persistence: Persistence, project: Path, snapshot: SnapshotAssertion
) -> None:
    (project / "bad.persistence.yaml").write_text(
        SCENARIO.replace("kill]", "kil]").replace("files: 2", "files: x")
    )
    done = persistence("validate", ".", cwd=project)
    assert done.returncode == 64
    assert done.stdout == "shop.persistence.yaml: ok\n"
    assert done.stderr == snapshot


def test_a_plan_touches_nothing(persistence: Persistence, project: Path, snapshot: SnapshotAssertion) -> None:
    before = sorted(project.rglob("*"))
    done = persistence("run", "shop.persistence.yaml", "--event", "kill", "--plan", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace(str(project), "PROJECT") == snapshot
    assert sorted(project.rglob("*")) == before


ENDS = {"kept": (kept, 0), "lost": (wiped, 1), "skipped": (skipped, 2), "inconclusive": (faulted, 2)}


@pytest.mark.parametrize("end", ENDS)
def test_check_says_what_the_run_said(
    persistence: Persistence, end: str, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    make, code = ENDS[end]
    path = write_history(make().entries(), tmp_path / "history.jsonl")
    text, directory, machine = (
        persistence("check", str(path)), persistence("check", str(tmp_path)), persistence("check", str(path), "--json")
    )  # fmt: skip
    assert (text.returncode, directory.returncode, machine.returncode) == (code, code, code)
    assert text.stdout == directory.stdout
    result = json.loads(machine.stdout)
    assert (result["verdict"], result["exit_code"]) == (end, code)
    expected = build(make().entries()).as_dict()
    assert result["scenarios"][0]["steps"][1]["findings"] == json.loads(
        json.dumps(expected["scenarios"][0]["steps"][1]["findings"])
    )
    blocks = [line for line in text.stdout.splitlines() if " s" not in line and "^" not in line]
    assert "\n".join(blocks) == snapshot


def test_a_skip_that_is_allowed_is_green(persistence: Persistence, tmp_path: Path) -> None:
    path = write_history(skipped().entries(), tmp_path / "history.jsonl")
    assert persistence("check", str(path), "--allow-skip").returncode == 0


def test_a_torn_history_is_judged_up_to_its_last_whole_line_and_is_not_complete(
    persistence: Persistence, tmp_path: Path
) -> None:
    path = write_history(kept().entries(), tmp_path / "history.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    done = persistence("check", str(path))
    assert done.returncode == 2
    assert "the run is not complete: the history ends before the run does" in done.stdout


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the history holds no entry"),
        (b"{}\n", "this is not a history"),
        (b"not json\n", "the line is not JSON"),
        (b"\xff\xfe\x00\n", "the line is not JSON"),
        (b'{"history": 99, "at": 0, "scenario": null, "type": "RunBegan"}\n', "the history has format 99"),
    ],
)
def test_what_is_no_history_is_refused(
    persistence: Persistence, content: bytes, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(content)
    done = persistence("check", str(path))
    assert done.returncode == 64
    assert what in done.stderr


def test_a_locale_without_the_characters_loses_none(tmp_path: Path) -> None:
    path = write_history(wiped(["admin/é\udcff"]).entries(), tmp_path / "history.jsonl")
    done = process("check", str(path), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1
    assert "admin/\\xe9\\udcff" in done.stdout


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    path = write_history(wiped().entries(), tmp_path / "history.jsonl")
    done = subprocess.run(
        f"'{sys.executable}' -m persistence_tests check '{path}' | head -0",
        shell=True,
        capture_output=True,
        check=False,
    )
    assert done.stderr == b""


def test_a_fault_of_the_harness_is_2_and_its_traceback_is_in_a_file(tmp_path: Path) -> None:
    code = """
import persistence_tests.report.explain as explain
def broken(*_): raise RuntimeError("boom \\x1b[2J")
explain.contents = broken
from persistence_tests.cli import main
main(["explain"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert "error: the harness itself failed: RuntimeError: boom \\x1b[2J" in done.stderr
    assert "Traceback" not in done.stderr
    (file,) = tmp_path.glob("persistence-fault-*.txt")
    assert str(file) in done.stderr
    assert "Traceback" in file.read_text()


def test_report_writes_the_reports_again(persistence: Persistence, tmp_path: Path) -> None:
    history = write_history(wiped().entries(), tmp_path / "history.jsonl")
    done = persistence("report", str(tmp_path))
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "report.html"))
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(first) == [
        "ctrf.json",
        "history.jsonl",
        "junit.xml",
        "report.html",
        "result.json",
        "summary.md",
    ]
    assert persistence("report", str(history)).returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_report_of_no_run_says_so(persistence: Persistence, tmp_path: Path) -> None:
    done = persistence("report", cwd=tmp_path)
    assert done.returncode != 0
    assert "reports/latest" in done.stderr or "history.jsonl" in done.stderr
