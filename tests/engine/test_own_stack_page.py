"""The pages for somebody's own stack, typed line by line in an empty directory; the first with the wheel built here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.stacks.documents import DOCS, blocks

pytestmark = [pytest.mark.engine, pytest.mark.soak]


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    dist, home = tmp_path / "dist", tmp_path / "empty"
    home.mkdir()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(dist)]
    subprocess.run(build, cwd=DOCS.parent, check=True, capture_output=True)
    [wheel] = dist.glob("*.whl")
    # What the page installs by its name is this wheel, wherever pip would find another one.
    (dist / "constraint.txt").write_text(f"persistence-tests @ {wheel.as_uri()}\n")
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("VIRTUAL_ENV", "PYTHONPATH") and not key.startswith("PYTEST")
    } | {"PIP_CONSTRAINT": str(dist / "constraint.txt"), "COLUMNS": "200"}
    type_out("your-own-stack.md", home, environment)


def test_the_page_of_crash_loss_does_what_it_says(tmp_path: Path) -> None:
    program = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    type_out("crash-loss.md", tmp_path, os.environ | {"PATH": program, "COLUMNS": "200"})


def type_out(document: str, home: Path, environment: Mapping[str, str]) -> None:
    """Every command of a page, one after the other; each says what the page says that it does."""
    said = ""
    for block in blocks(document):
        if block.language == "sh":
            done = subprocess.run(
                ["bash", "-c", block.text],
                cwd=home,
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            said = done.stdout + done.stderr
            assert done.returncode == block.exit_code, f"{block.text}\n{said}"
        elif block.language == "text":
            for line in filter(None, block.text.splitlines()):
                assert _plain(line) in _plain(said), f"{line!r} is not in:\n{said}"


def _plain(text: str) -> str:
    """Numbers and the width of columns differ from run to run."""
    return re.sub(r"\d+", "0", re.sub(r"[ \n]+", " ", text)).strip()
