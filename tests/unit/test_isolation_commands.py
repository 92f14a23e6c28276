"""The stack's own commands: fixed names are found in their scripts, and links of the workspace lead nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from docker.errors import NotFound
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.stack import links
from persistence_tests.stack.fixed_names import fixed_names
from persistence_tests.stack.guard_rules import Denied, GuardRules, Request
from persistence_tests.stack.identity import RUN_LABEL, Identity

CONFIG = {
    "name": "persistence-r1-shop",
    "services": {"api": {"container_name": "shop-api"}, "db": {"container_name": "persistence-r1-shop-db"}},
    "volumes": {"media": {"name": "persistence-r1-shop_media"}, "fixed": {"name": "fixed-data"}},
}


def found(line: str, workspace: Path) -> list[str]:
    return [str(refusal.where) for refusal in fixed_names(line, workspace, Path("/home/me/Shop"), CONFIG)]


@pytest.mark.parametrize(
    "line",
    [
        "docker exec shop-api id",
        "docker volume rm fixed-data",
        "docker run -v shop_media:/data debian true",
        "docker logs shop-api-1",
        "cd x && docker  stop 'shop-api'",
        "sudo docker ps",
        "sudo -u root docker compose up",
        "docker -H tcp://other ps",
        "docker --context prod ps",
        "DOCKER_HOST=unix:///var/run/docker.sock docker ps",
        "curl --unix-socket /var/run/docker.sock http://x/containers/json",
        "unset DOCKER_HOST; docker ps",
        "docker compose -p shop down -v",
        "docker-compose --project-name=shop down",
    ],
)
def test_what_leads_past_the_isolated_stack_is_found(line: str, tmp_path: Path) -> None:
    assert found(line, tmp_path)
    (tmp_path / "deploy.sh").write_text(f"#!/bin/bash\n\n{line}\n")
    assert set(found("./deploy.sh --now", tmp_path)) == {"deploy.sh:3"}


@pytest.mark.parametrize(
    "line",
    [
        "docker compose exec api curl http://shop-api:8000/",
        "docker compose -p $COMPOSE_PROJECT_NAME down",
        "docker exec $(docker ps -q --filter label=role=api) id",
        "docker volume rm ${PROJECT}_media",
        "# docker exec shop-api id",
        "echo shop-api",
        "docker build -t shop-api .",
        "pg_dump -h shop-api shop",
        "docker run my-shop-apiary",
    ],
)
def test_what_names_nothing_fixed_passes(line: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.sh").write_text(line)
    (tmp_path / "binary").write_bytes(b"\xff docker exec shop-api")
    assert found(line, tmp_path) == found("./deploy.sh binary ../.. 'open", tmp_path) == []


# Links


@pytest.fixture
def copied(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The project, its copy below a workspace, and a directory outside."""
    project, outside, copy = tmp_path / "shop", tmp_path / "outside", tmp_path / "ws" / "stack" / "shop"
    for home in (project, copy):
        (home / "releases" / "1").mkdir(parents=True)
        for name, target in (
            ("current", project / "releases" / "1"), ("here", Path("releases/1")), ("backups", outside),
            ("notes", outside / "notes"), ("gone", outside / "gone"), ("python", Path("/usr/bin/env")),
            ("up", Path("../../../outside")),
        ):  # fmt: skip
            (home / name).symlink_to(target)
    outside.mkdir()
    (outside / "notes").write_text("mine")
    return project, copy, outside


def test_an_absolute_link_into_the_project_leads_into_the_copy(copied: tuple[Path, Path, Path]) -> None:
    project, copy, _ = copied
    links.turn_inwards(project, copy)
    assert (copy / "current").resolve() == copy / "releases" / "1"
    assert (copy / "here").readlink() == Path("releases/1")
    assert (project / "current").readlink() == project / "releases" / "1"


def test_links_that_lead_out_are_cut_but_for_the_systems(copied: tuple[Path, Path, Path]) -> None:
    project, copy, outside = copied
    links.turn_inwards(project, copy)
    changes = links.cut(copy, copy.parents[1])
    assert (copy / "backups").is_dir() and not (copy / "backups").is_symlink()
    assert list((copy / "backups").iterdir()) == []
    assert (copy / "notes").read_text() == "mine" and not (copy / "notes").is_symlink()
    assert not (copy / "gone").is_symlink()
    assert not (copy / "up").is_symlink()
    assert (copy / "python").is_symlink() and (copy / "here").is_symlink()
    assert [change.split()[0] for change in changes] == ["./backups", "./gone", "./notes", "./up"]
    assert (outside / "notes").read_text() == "mine"


# The guard


class Api:
    """An engine with one object of the run and one of the user in each kind."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def _labels(self, name: str) -> dict[str, str]:
        if name.removesuffix(":latest") not in {"own", "theirs"}:
            raise NotFound(name)
        return {RUN_LABEL: "r1"} if name.startswith("own") else {}

    def inspect_container(self, name: str) -> dict[str, Any]:
        return {"Config": {"Labels": self._labels(name)}}

    inspect_image = inspect_container

    def inspect_volume(self, name: str) -> dict[str, Any]:
        return {"Labels": self._labels(name) or None}

    inspect_network = inspect_volume

    def exec_inspect(self, name: str) -> dict[str, Any]:
        self._labels(name)
        return {"ContainerID": name}

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        self.made.append(name)


class Engine:
    def __init__(self) -> None:
        self.client = self
        self.api = Api()


def ask(method: str, target: str, body: Any = None) -> Request:
    identity = Identity("r1", "persistence-r1-shop", "/tmp/ws", "/tmp/ws/stack/shop")
    rules = GuardRules(Engine(), identity, "renamed", ["/etc/localtime"])  # type: ignore[arg-type]
    request = Request.of(method, target)
    if body is not None:
        request.body = json.dumps(body).encode()
    return rules.allow(request)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (method, f"{prefix}{path}")
        for prefix in ("", "/v1.41")
        for method, path in [
            ("GET", "/containers/{}/json"), ("POST", "/containers/{}/exec"), ("DELETE", "/containers/{}"),
            ("PUT", "/containers/{}/archive?path=/"), ("GET", "/containers/{}/attach/ws"), ("POST", "/exec/{}/start"),
            ("DELETE", "/volumes/{}"), ("PUT", "/volumes/{}"), ("DELETE", "/networks/{}"), ("DELETE", "/images/{}"),
            ("POST", "/images/{}/tag?repo=persistence-r1-shop/x"),
        ]
    ],
)  # fmt: skip
def test_calls_on_an_object_are_for_the_runs_own(method: str, target: str) -> None:
    assert ask(method, target.format("own")).target.startswith("/")
    with pytest.raises(Denied):
        ask(method, target.format("theirs"))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/commit?container=own"), ("POST", "/images/load"), ("POST", "/images/create?fromSrc=-"),
        ("POST", "/build?t=shop:latest"), ("POST", "/build?t=persistence-r1-shop&t=shop"), ("POST", "/build/prune"),
        ("POST", "/build?networkmode=host"), ("POST", "/swarm/init"), ("DELETE", "/plugins/x"), ("PATCH", "/info"),
        ("POST", "/images/own/push"), ("POST", "/images/own/tag?repo=shop"), ("GET", "/containers/../volumes/theirs"),
        ("GET", "/v1.41//containers/theirs/json"), ("DELETE", "/images/a/theirs/../../theirs"), ("GET", "/secrets"),
        ("POST", "/images/create?fromImage=own"),
    ],
)  # fmt: skip
def test_what_may_reach_more_is_denied(method: str, target: str) -> None:
    with pytest.raises(Denied):
        ask(method, target)


@pytest.mark.parametrize(
    "body",
    [
        {"HostConfig": {"Binds": ["/home/me:/x"]}},
        {"HostConfig": {"Binds": ["/tmp/ws/../x:/x"]}},
        {"HostConfig": {"Binds": ["/etc/localtime:/x"]}},
        {"HostConfig": {"Binds": ["theirs:/x:ro"]}},
        {"HostConfig": {"Mounts": [{"Type": "volume", "Source": "theirs"}]}},
        {"HostConfig": {"Mounts": [{"Type": "npipe", "Source": "x"}]}},
        {"HostConfig": {"VolumesFrom": ["theirs:ro"]}},
        {"HostConfig": {"NetworkMode": "host"}},
        {"HostConfig": {"NetworkMode": "container:theirs"}},
        {"HostConfig": {"NetworkMode": "theirs"}},
        {"HostConfig": {"PidMode": "host"}},
        {"HostConfig": {"IpcMode": "container:theirs"}},
        {"HostConfig": {"Privileged": True}},
        {"HostConfig": {"Devices": [{"PathOnHost": "/dev/sda"}]}},
        {"NetworkingConfig": {"EndpointsConfig": {"theirs": {}}}},
    ],
)
def test_a_container_that_reaches_more_is_not_made(body: dict[str, Any]) -> None:
    with pytest.raises(Denied):
        ask("POST", "/containers/create?name=x", body)


def test_what_is_made_bears_the_runs_labels() -> None:
    host = {"Binds": ["/tmp/ws/stack:/w", "own:/v", "fresh:/f", "/etc/localtime:/l:ro"], "NetworkMode": "own"}
    made = json.loads(ask("POST", "/containers/create", {"HostConfig": host, "Labels": {"a": "b"}}).body)
    assert made["Labels"][RUN_LABEL] == "r1" and made["Labels"]["a"] == "b"
    assert made["HostConfig"] == host
    for target in ("/volumes/create", "/networks/create"):
        assert json.loads(ask("POST", target, {"Name": "fresh"}).body)["Labels"][RUN_LABEL] == "r1"
    with pytest.raises(Denied):
        ask("POST", "/volumes/create", {"Name": "theirs"})
    with pytest.raises(Denied):
        ask("POST", "/networks/own/connect", {"Container": "theirs"})
    with pytest.raises(Denied):
        ask("POST", "/containers/own/exec", {"Cmd": ["id"], "Privileged": True})
    for tag in ("persistence-r1-shop-web", "renamed-web"):
        assert json.loads(ask("POST", f"/build?t={tag}:x").query["labels"][0])[RUN_LABEL] == "r1"


LABELS = st.one_of(
    st.none(),
    st.lists(st.text(max_size=5), max_size=2),
    st.dictionaries(st.text(max_size=5), st.booleans(), max_size=2),
)


@given(
    st.sampled_from(["/containers/json", "/volumes", "/networks", "/containers/prune", "/images/prune"]),
    LABELS,
)
def test_lists_and_prunes_hold_only_the_runs_own(path: str, labels: Any) -> None:
    given = {"status": ["exited"]} if labels is None else {"label": labels}
    method = "POST" if path.endswith("prune") else "GET"
    asked = ask(method, f"/v1.41{path}?all=1&filters={quote(json.dumps(given))}")
    filters = json.loads(asked.query["filters"][0])
    assert f"{RUN_LABEL}=r1" in filters["label"]
    assert set(labels or ()) <= set(filters["label"])
    assert asked.query["all"] == ["1"] and asked.version == "/v1.41"
