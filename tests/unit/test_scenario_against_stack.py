"""What a scenario names, against what `docker compose config` says of the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from persistence_tests.errors import ScenarioError
from persistence_tests.scenario import check_against, load, refused_by_compose
from tests.unit.scenario_vocabulary import SOUND, VOCABULARY, written

NAME = "wrong.persistence.yaml"


def _resolved(directory: Path) -> dict[str, Any]:
    """As Compose prints it: ports are numbers, bind sources absolute, volumes have names on the engine."""
    return {
        "name": "shop",
        "services": {
            "app": {
                "ports": [
                    {"mode": "ingress", "target": 8001, "published": "80", "protocol": "tcp"},
                    {"mode": "ingress", "target": 53, "published": "53", "protocol": "udp"},
                ],
                "volumes": [
                    {"type": "volume", "source": "media", "target": "/data"},
                    {"type": "bind", "source": str(directory / "uploads"), "target": "/uploads"},
                    {"type": "bind", "source": "/srv/media", "target": "/srv"},
                    {"type": "tmpfs", "target": "/tmp"},
                ],
            },
            "worker": {"profiles": ["jobs"]},
            "silent": None,
        },
        "volumes": {"media": {"name": "shop_media"}, "database": None},
    }


def _problems(directory: Path, content: str, resolved: dict[str, Any]) -> str:
    written(directory, content, NAME)
    problems = check_against(load(NAME, VOCABULARY), resolved)
    return str(ScenarioError(problems)) if problems else ""


@pytest.fixture(autouse=True)
def _beside_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


OWN = "compose: compose.yaml\n  commands: follow-project"
BACKUP = "- backup-restore: { backup: ./b, restore: ./r, volume: %s }"


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [("{ volume: media }", "{ volume: database }")],
        [("{ volume: media }", "{ bind: ./uploads }")],
        [("{ volume: media }", "{ bind: uploads/2027 }")],
        [("{ volume: media }", "{ bind: /srv/media }")],
        [("service: app, while", "service: [app, silent], while")],
        [("compose: compose.yaml", "compose: compose.yaml\n  profiles: [jobs]")],
        [("compose: compose.yaml", "compose: compose.yaml\n  profiles: ['*']")],
        [("compose: compose.yaml", "compose: compose.yaml\n  binds: { /srv/media: media }")],
        [("compose: compose.yaml", OWN), ("- restart", BACKUP % "media")],
        [("compose: compose.yaml", "compose: compose.yaml\n  without: [worker, silent]")],
    ],
    ids=str,
)
def test_what_the_stack_has_is_no_problem(edits: list[tuple[str, str]], tmp_path: Path) -> None:
    content = SOUND
    for old, new in edits:
        content = content.replace(old, new, 1)
    assert _problems(tmp_path, content, _resolved(tmp_path)) == ""


WRONG = {
    "service of a path": [("direct: { service: app", "direct: { service: ap")],
    "service far from any": [("direct: { service: app", "direct: { service: nginx")],
    "service of an event": [("kill: { service: app", "kill: { service: workr")],
    "one service of several": [("kill: { service: app", "kill: { service: [app, workr]")],
    "service of a profile": [("kill: { service: app", "kill: { service: worker")],
    "port": [("port: 8001", "port: 8000")],
    "port that is not TCP": [("port: 8001", "port: 53")],
    "service without ports": [("api: { service: app", "api: { service: silent")],
    "volume": [("{ volume: media }", "{ volume: medai }")],
    "volume by its name on the engine": [("{ volume: media }", "{ volume: shop_media }")],
    "volume of an event": [("compose: compose.yaml", OWN), ("- restart", BACKUP % "mediaa")],
    "bind": [("{ volume: media }", "{ bind: ./upload }")],
    "profile": [("compose: compose.yaml", "compose: compose.yaml\n  profiles: [job]")],
    "bind that is replaced": [
        ("compose: compose.yaml", "compose: compose.yaml\n  binds: { /srv/medai: media }")
    ],
    "a service that is left out": [("compose: compose.yaml", "compose: compose.yaml\n  without: [app]")],
    "leaving out what is not there": [("compose: compose.yaml", "compose: compose.yaml\n  without: [ap]")],
    "leaving out everything": [
        ("compose: compose.yaml", "compose: compose.yaml\n  without: [app, worker, silent]")
    ],
    "everything at once": [
        ("{ service: app, root", "{ service: web, root"),
        ("port: 8001", "port: 80"),
        ("{ volume: media }", "{ volume: files }"),
        ("kill: { service: app", "kill: { service: web"),
    ],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_message(wrong: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    content = SOUND
    for old, new in WRONG[wrong]:
        assert old in content
        content = content.replace(old, new, 1)
    said = _problems(tmp_path, content, _resolved(tmp_path))
    assert said.replace(str(tmp_path), "/project") == snapshot


@pytest.mark.parametrize("resolved", [{}, {"services": None, "volumes": None}, {"services": {}}])
def test_a_stack_with_nothing_in_it(
    resolved: dict[str, Any], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    assert _problems(tmp_path, SOUND, resolved) == snapshot(name="nothing in it")


def test_the_words_of_compose_stand_at_the_compose_file(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    written(tmp_path, SOUND, NAME)
    scenario = load(NAME, VOCABULARY)
    said = "services.app.ports.0 must be a string\n"
    problem = refused_by_compose(scenario, said)
    assert problem == refused_by_compose(
        scenario, f"`docker compose config` failed with exit code 1:\n| {said}"
    )
    assert str(ScenarioError([problem])).replace(str(tmp_path), "/project") == snapshot
