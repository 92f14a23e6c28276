"""Which engine is meant, whether it may be used, and what is said of a stack: no engine needed."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from persistence_tests.errors import StackError, UsageError
from persistence_tests.stack.compose import clean_environment, last_lines
from persistence_tests.stack.difference import difference
from persistence_tests.stack.engine import DEFAULT_SOCKET, Engine, configured_url, is_remote
from persistence_tests.stack.feed import nanoseconds
from persistence_tests.stack.process import run_process
from persistence_tests.stack.redaction import redacted
from persistence_tests.stack.shared import SharedHost
from persistence_tests.stack.state import Change, ContainerState, EngineEvent, EngineState, VolumeState
from persistence_tests.stack.watch import of_stack


def test_the_engine_is_dockers_own_choice(tmp_path: Path) -> None:
    config = {"DOCKER_CONFIG": str(tmp_path)}
    assert configured_url({**config, "DOCKER_HOST": "unix:///x"}) == "unix:///x"
    assert configured_url(config) == DEFAULT_SOCKET
    (tmp_path / "config.json").write_text('{"currentContext": "lab"}')
    with pytest.raises(UsageError, match="lab"):
        configured_url(config)
    meta = tmp_path / "contexts" / "meta" / sha256(b"lab").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "lab", "Endpoints": {"docker": {"Host": "ssh://lab"}}}))
    assert configured_url(config) == "ssh://lab"
    assert configured_url({**config, "DOCKER_CONTEXT": "default"}) == DEFAULT_SOCKET


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        ("unix:///var/run/docker.sock", False),
        ("npipe:////./pipe/docker_engine", False),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://localhost:2375", False),
        ("tcp://[::1]:2375", False),
        ("tcp://10.0.0.5:2375", True),
        ("ssh://me@localhost", True),
        ("https://build.example:2376", True),
    ],
)
def test_remote_engines_are_known(url: str, remote: bool) -> None:
    assert is_remote(url) is remote


def test_a_remote_engine_is_refused_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@build.example")
    with pytest.raises(UsageError, match="not on this machine"):
        Engine.connect()


def test_compose_sees_nothing_that_steers_it_elsewhere(tmp_path: Path) -> None:
    user = {"COMPOSE_FILE": "x", "COMPOSE_PROJECT_NAME": "y", "DOCKER_CONTEXT": "z", "PWD": "/", "HOME": "/h"}
    environment = clean_environment("unix:///s", tmp_path, {"A": "1"}, user)
    assert environment == {"HOME": "/h", "A": "1", "DOCKER_HOST": "unix:///s", "PWD": str(tmp_path)}


def test_a_process_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="did not end within"):
        run_process(
            ["sh", "-c", "sleep 60 & sleep 60"],
            said="x",
            cwd=tmp_path,
            env={"PATH": "/bin:/usr/bin"},
            timeout=0.2,
        )
    result = run_process(
        ["cat"], said="cat", cwd=tmp_path, env={"PATH": "/bin:/usr/bin"}, timeout=5, input=b"in\xff"
    )
    assert (result.stdout, result.exit_code) == ("in\ufffd", 0)


def test_last_lines_are_the_last() -> None:
    assert last_lines("a\n\nb\nc\n", 2) == "  | b\n  | c"


def test_secrets_are_not_recorded() -> None:
    config = {
        "services": {
            "a": {
                "environment": {
                    "DB_PASSWORD": "x1",
                    "URL": "pg://u:x2@h/d",
                    "KEYS": 3,
                    "TOKENIZE": "yes",
                    "A": "b",
                }
            }
        },
        "secrets": {"s": {"name": "p_s", "content": "x3"}, "key": {"file": "/f"}},
        "volumes": {"token": {"name": "kept"}},
    }
    hidden = redacted(config)
    assert not any(secret in json.dumps(hidden) for secret in ("x1", "x2", "x3"))
    assert hidden["services"]["a"]["environment"]["A"] == "b"
    assert hidden["volumes"] == config["volumes"]
    assert hidden["secrets"]["key"] == {"file": "/f"}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T00:00:01.000000001Z", 10**9 + 1),
        ("1970-01-01T01:00:01.123456789+01:00", 1_123_456_789),
        ("1969-12-31T23:00:01.1-01:00", 1_100_000_000),
    ],
)
def test_moments_are_exact(moment: str, expected: int) -> None:
    assert nanoseconds(moment) == expected


def container(
    identity: str = "i", started: str = "s", *, running: bool = True, image: str = "m"
) -> ContainerState:
    return ContainerState(identity, "n", "a", 1, image, running, started, 0, 0, 1, None, ())


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (container(), container(), Change.SAME),
        (container(), container(started="t"), Change.RESTARTED),
        (container(), container(started="t", running=False), Change.RESTARTED),
        (container(), container(running=False), Change.STOPPED),
        (container(running=False), container(running=False), Change.SAME),
        (container(), container("j", "t"), Change.RECREATED),
        (container(), container("j", "t", running=False), Change.RECREATED),
        (container(), None, Change.GONE),
        (None, container(), Change.NEW),
    ],
)
def test_differences_of_containers(
    before: ContainerState | None, after: ContainerState | None, change: Change
) -> None:
    def state(one: ContainerState | None) -> EngineState:
        return EngineState({} if one is None else {"a-1": one}, {})

    assert difference(state(before), state(after)).containers == {"a-1": change}


def test_differences_of_volumes_and_images() -> None:
    def volumes(*made: tuple[str, str | None, str]) -> dict[str, VolumeState]:
        return {name: VolumeState(name, key, created) for name, key, created in made}

    before = EngineState(
        {"a-1": container(image="m")},
        volumes(("s", "s", "1"), ("r", "r", "1"), ("g", "g", "1"), ("x", None, "1")),
    )
    after = EngineState(
        {"a-1": container(image="k")},
        volumes(("s", "s", "1"), ("r", "r", "2"), ("n", "n", "2"), ("y", None, "2")),
    )
    delta = difference(before, after)
    assert delta.volumes == {"s": Change.SAME, "r": Change.RECREATED, "g": Change.GONE, "n": Change.NEW}
    assert delta.images == {"a-1": Change.RECREATED}


def test_events_are_the_stacks_own() -> None:
    host = SharedHost(None, "r", "p")  # type: ignore[arg-type]  # no engine is asked
    own = {"persistence-tests.stack": "p"}

    def event(kind: str, identity: str, **attributes: str) -> EngineEvent:
        return EngineEvent(1, kind, "x", identity, attributes)

    mine = [
        EngineEvent(1, "container", "start", "c1", own),
        event("volume", "anonymous", container="c1"),
        event("volume", "p_data"),
        event("volume", "known"),
        event("network", "n", name="p_default"),
        EngineEvent(1, "image", "delete", "sha", own),
        event("image", "sha2", name="p-web:latest"),
    ]
    foreign = [
        EngineEvent(1, "container", "start", "h1", {**own, "persistence-tests.helper": "true"}),
        event("volume", "p_data", container="h1"),
        event("container", "c2"),
        event("volume", "other", container="c2"),
        event("network", "n", name="px_default"),
        event("image", "sha3", name="web:latest"),
    ]
    assert of_stack([*foreign, *mine], host, {"known"}) == mine
