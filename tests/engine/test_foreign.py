"""Other people's Compose projects: the scenario that `init` writes is run as it stands, or with what it asks for."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from persistence_tests.stack.compose import Compose
from persistence_tests.stack.engine import Engine
from tests.stacks.foreign import FOREIGN, copy_of, edit

pytestmark = pytest.mark.engine

MOST_EDITED_LINES = 5


def persistence(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "persistence_tests", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def run_first_scenario(name: str, directory: Path, *options: str) -> dict[str, Any]:
    """`init` in a copy of the project, the owner's edits, `run`; the result."""
    foreign, home = FOREIGN[name], copy_of(name, directory)
    written = persistence(home, "init")
    assert written.returncode == 0, written.stderr
    scenario = home / f"{foreign.scenario}.persistence.yaml"
    assert edit(scenario, foreign.edits) <= MOST_EDITED_LINES
    done = persistence(home, "run", scenario.name, "--json", *options)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == result["exit_code"], done.stderr
    return result


def changes(container: Container) -> list[tuple[str, int]]:
    return sorted((str(change["Path"]), int(change["Kind"])) for change in container.diff())


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["verdict"] for step in result["scenarios"][0]["steps"]}


@pytest.mark.soak
@pytest.mark.parametrize("name", FOREIGN)
def test_a_first_scenario_says_how_it_is(name: str, tmp_path: Path) -> None:
    foreign = FOREIGN[name]
    result = run_first_scenario(name, tmp_path)
    steps = verdicts(result)
    assert (result["verdict"], result["exit_code"]) == (foreign.verdict, foreign.exit_code), steps
    assert steps == {step: "lost" if step in foreign.lost else "kept" for step in steps}
    assert len(steps) > 5
    for step in result["scenarios"][0]["steps"]:
        assert tuple(step["paths"]) == foreign.paths
        assert all(path["checked"] > 0 for path in step["paths"].values()), step


def test_a_stack_without_any_storage_is_lost_for_that_reason(tmp_path: Path) -> None:
    result = run_first_scenario("guestbook", tmp_path, "--event", "recreate")
    [step] = [step for step in result["scenarios"][0]["steps"] if step["step"] == "recreate"]
    assert (result["exit_code"], step["verdict"]) == (1, "lost")
    assert {finding["diagnosis"]["rule"] for finding in step["findings"]} == {"no-volume"}


def test_what_reaches_the_machine_is_left_out_and_the_rest_runs(tmp_path: Path) -> None:
    home = tmp_path / "watched"
    home.mkdir()
    (home / "compose.yaml").write_text(
        """
x-service: &service { image: "debian:bookworm-slim", command: [sleep, infinity], init: true }
services:
  app: { <<: *service, depends_on: [watcher], volumes: ["uploads:/srv/uploads"] }
  watcher: { <<: *service, volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"] }
volumes: { uploads: }
"""
    )
    assert persistence(home, "init").returncode == 0
    assert "  without: [watcher]\n" in (home / "watched.persistence.yaml").read_text()
    done = persistence(home, "run", "watched.persistence.yaml", "--event", "down-up", "--json")
    assert done.returncode == 0, done.stderr
    assert verdicts(json.loads(done.stdout)) == {"up": "kept", "down-up": "kept"}


def test_the_running_stack_is_looked_at_and_not_touched(tmp_path: Path, engine: Engine) -> None:
    home = tmp_path / f"seen{secrets.token_hex(4)}"
    home.mkdir()
    (home / "compose.yaml").write_text(
        "services: { app: { image: 'debian:bookworm-slim', command: [sleep, infinity], init: true } }\n"
    )
    compose = Compose(engine.url, home.name, home, (home / "compose.yaml",))
    try:
        compose.run("up", "-d")
        compose.run(
            "exec", "-T", "app", "sh", "-c", "mkdir /srv/kept && echo x | tee /srv/kept/a /srv/kept/b /tmp/c"
        )
        [container] = engine.client.containers.list(
            filters={"label": f"com.docker.compose.project={home.name}"}
        )
        before = (container.attrs, changes(container))
        said = persistence(home, "init")
        container.reload()
        assert (container.attrs, changes(container)) == before
    finally:
        compose.run("down", "--volumes", "--timeout", "0")
    assert "none at app /srv/kept (docker diff)" in said.stdout
    text = (home / f"{home.name}.persistence.yaml").read_text()
    assert "  direct: { service: app, root: /, under: srv/kept }\n" in text
