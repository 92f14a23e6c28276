"""The workspace: what is copied of a project directory, what begins empty, and whose it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from persistence_tests.stack import workspace
from persistence_tests.stack.isolation import Bind
from persistence_tests.stack.references import common_ancestor, outside_references


@pytest.fixture
def project(tmp_path: Path) -> Path:
    home = tmp_path / "project"
    for name in (
        "compose.yaml",
        ".env",
        "data/old",
        "data/keep/conf",
        "conf/a",
        ".git/HEAD",
        "reports/r/x",
        "sub/reports/y",
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    (home / "data").chmod(0o2775)
    (home / "conf/a").chmod(0o640)
    (home / "link").symlink_to("conf/a")
    (home / "outside").symlink_to(tmp_path)
    os.mkfifo(home / "pipe")
    return home


def files(directory: Path) -> set[str]:
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def test_a_copy_has_modes_and_links_and_no_data(project: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    workspace.copy_project(project, copied, [Path("data")], [Path("data/keep")], [project / "reports"])
    assert files(copied) == {
        "compose.yaml",
        ".env",
        "data/keep/conf",
        "conf/a",
        "sub/reports/y",
        "link",
        "outside",
    }
    assert (copied / "data").stat().st_mode & 0o7777 == 0o2775
    assert (copied / "conf/a").stat().st_mode & 0o7777 == 0o640
    assert (copied / "link").readlink() == Path("conf/a")


def test_python_environments_stay_behind_unless_they_are_mounted(project: Path, tmp_path: Path) -> None:
    for name in (".venv", "tools/venv", "mounted"):
        (project / name / "lib").mkdir(parents=True)
        (project / name / "pyvenv.cfg").write_text("home = /usr/bin")
        (project / name / "lib" / "x").write_text("x")
    copied = tmp_path / "copy"
    workspace.copy_project(project, copied, [], [Path("mounted/lib")], [])
    assert {name for name in files(copied) if "lib" in name or "venv" in name} == {
        "mounted/pyvenv.cfg",
        "mounted/lib/x",
    }


def test_data_directories_are_the_writable_ones_that_nothing_else_needs(project: Path) -> None:
    binds = [
        Bind("a", str(project / "data"), "./data", True),
        Bind("b", str(project / "data"), "./data", False),
        Bind("a", str(project / "conf"), "./conf", False),
        Bind("a", str(project), ".", True),
        Bind("a", str(project / "nothing"), "./nothing", True),
        Bind("a", "/etc/localtime", None, False, True),
    ]
    needed = [project / "compose.yaml"]
    assert workspace.data_directories(binds, project, [], needed) == [Path("data")]
    assert workspace.data_directories(binds, project, ["./data/"], needed) == []
    assert workspace.data_directories(binds, project, [], [*needed, project / "data/keep"]) == []


def test_a_bind_behind_a_link_that_leads_out_is_refused(project: Path) -> None:
    binds = [
        Bind("a", str(project / "link"), "./link", True),
        Bind("a", str(project / "outside/x"), "./outside/x", True),
        Bind("a", str(project / "outside"), "./outside", False),
    ]
    (project.parent / "x").mkdir()
    refusals = workspace.bind_refusals(binds, project)
    assert [refusal.where for refusal in refusals] == ["services.a.volumes"] * 2


def test_a_workspace_knows_whether_its_maker_lives() -> None:
    made = workspace.create("r1")
    try:
        marker = workspace.read_marker(made)
        assert marker is not None
        assert marker.run == "r1"
        assert marker.is_live
        assert made in workspace.existing()
        code = "from persistence_tests.stack import workspace; print(workspace.create('r2'))"
        dead = Path(
            subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True
            ).stdout.strip()
        )
        gone = workspace.read_marker(dead)
        assert gone is not None
        assert not gone.is_live
        workspace.remove(dead, None, {})
        assert not dead.exists()
    finally:
        workspace.remove(made, None, {})


def test_what_is_no_workspace_is_never_removed(tmp_path: Path) -> None:
    workspace.remove(tmp_path, None, {})
    assert tmp_path.exists()


def test_outside_references_are_followed(tmp_path: Path) -> None:
    project = tmp_path / "deploy" / "shop"
    common = tmp_path / "common"
    project.mkdir(parents=True)
    common.mkdir()
    (project / "compose.yaml").write_text(
        "include: [../../common/base.yaml, {path: ./own.yaml, env_file: ../shared.env}, '../${WHO}.yaml']\n"
        "services:\n"
        "  a: {image: x, env_file: [{path: ../../common/a.env, required: false}, ../missing.env], ports: !reset []}\n"
    )
    (project / "own.yaml").write_text("services: {b: {extends: {file: ../other.yaml, service: b}}}")
    (project.parent / "other.yaml").write_text("services: {b: {label_file: labels}}")
    (common / "base.yaml").write_text("services: {c: {env_file: c.env}}")
    for path in (
        project.parent / "shared.env",
        project.parent / "labels",
        common / "a.env",
        common / "c.env",
    ):
        path.touch()
    found = outside_references([project / "compose.yaml"], project)
    assert {str(path.relative_to(tmp_path)) for path in found} == {
        "common/base.yaml", "common/a.env", "common/c.env", "deploy/other.yaml", "deploy/shared.env", "deploy/labels",
    }  # fmt: skip
    assert common_ancestor(project, found) == tmp_path
    assert common_ancestor(project, []) == project.parent
