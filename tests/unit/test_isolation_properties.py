"""What holds of every isolated configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.stack.identity import project_name
from persistence_tests.stack.isolation import inside_project
from persistence_tests.stack.override import Override, Reset
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.verification import violations
from tests.unit.test_isolation import HOME, IDENTITY, bind, config, isolated


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        (HOME, "."),
        (f"{HOME}/", "."),
        (f"{HOME}/a/../b", "./b"),
        (f"{HOME}x", None),
        (f"{HOME}/..", None),
        ("/", None),
    ],
)
def test_inside_project(path: str, inside: str | None) -> None:
    assert inside_project(path, HOME) == inside


@given(st.text(max_size=80), st.text(max_size=80))
def test_project_names_are_composes_and_no_two_are_alike(run: str, scenario: str) -> None:
    name = project_name(run, scenario)
    assert 0 < len(name) <= 40
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name[0].isalnum() and name[-1].isalnum()
    assert project_name(run, scenario + "x") != name


NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
MOUNTS = st.one_of(
    st.builds(
        lambda s, r: bind(s, read_only=r),
        st.sampled_from([HOME, f"{HOME}/d", "/srv", "/", f"{HOME}/../e"]),
        st.booleans(),
    ),
    st.just({"type": "volume", "target": "/a", "volume": {}}),
    st.builds(lambda n: {"type": "volume", "source": n, "target": "/v"}, NAMES),
    st.just({"type": "tmpfs", "target": "/t"}),
)
SERVICES = st.fixed_dictionaries(
    {},
    optional={
        "volumes": st.lists(MOUNTS, max_size=3),
        "ports": st.lists(
            st.fixed_dictionaries({"target": st.integers(1, 9), "published": st.just("80")}), max_size=3
        ),
        "container_name": NAMES,
        "image": NAMES,
        "build": st.fixed_dictionaries(
            {"context": st.sampled_from([HOME, "/elsewhere"])}, optional={"tags": st.just(["t"])}
        ),
        "networks": st.just({"default": None}),
        "privileged": st.booleans(),
        "pid": st.sampled_from(["host", "service:x"]),
        "extra_hosts": st.lists(st.sampled_from(["a=host-gateway", "b=127.0.0.1", "c=10.0.0.1"]), max_size=2),
        "pull_policy": st.sampled_from(["always", "daily", "missing", "never"]),
        "pre_start": st.just([{"command": ["x"], "image": "x", "volumes": [bind("/srv")]}]),
        "labels": st.dictionaries(NAMES, NAMES, max_size=2),
    },
)
RESOURCES = st.dictionaries(
    NAMES, st.fixed_dictionaries({}, optional={"name": NAMES, "external": st.just(True)}), max_size=3
)


@given(st.dictionaries(NAMES, SERVICES, max_size=3), RESOURCES, RESOURCES)
def test_what_is_not_refused_passes_the_second_net(
    services: dict[str, Any], volumes: dict[str, Any], networks: dict[str, Any]
) -> None:
    isolation = isolated(services, volumes=volumes, networks=networks)
    if isolation.refusals:
        return
    original = config(IDENTITY.project, services, volumes=volumes, networks=networks)
    assert violations(merged(original, isolation.override), IDENTITY) == []


def test_the_second_net_catches_what_an_empty_override_leaves() -> None:
    services = {
        "web": {
            "container_name": "web",
            "image": "shop",
            "build": {"context": HOME, "tags": ["x"]},
            "ports": [{"target": 80, "published": "80"}],
            "volumes": [bind("/srv"), {"type": "volume", "target": "/a"}],
        }
    }
    original = config(
        "shop", services, volumes={"v": {"name": "fixed"}}, networks={"n": {"name": "x", "external": True}}
    )
    where = {refusal.where for refusal in violations(original, IDENTITY)}
    assert where == {
        "name", "services.web.container_name", "services.web.ports", "services.web.labels", "services.web.volumes",
        "services.web.build.labels", "services.web.image", "services.web.build.tags", "volumes.v", "networks.n",
    }  # fmt: skip


def merged(original: Any, override: Any) -> Any:
    """What Compose makes of the two, for the shapes that occur here; paths are the workspace's."""
    if isinstance(override, Override):
        return [
            {**entry, "source": f"{IDENTITY.project_directory}/{entry['source']}"}
            if isinstance(entry, dict) and entry.get("type") == "bind"
            else entry
            for entry in override.value
        ]
    if isinstance(override, dict):
        base = dict(original or {})
        for key, value in override.items():
            if isinstance(value, Reset):
                base.pop(key, None)
            else:
                base[key] = merged(base.get(key), value)
        return base
    return override


def test_a_port_that_is_looked_at_is_published_beside_the_others() -> None:
    spec = StackSpec((), reached=(("db", 5432), ("web", 80), ("web", 81)))
    ports = [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}]
    made = isolated({"web": {"ports": ports}, "db": {}, "other": {}}, spec=spec)
    services = made.override["services"]
    shown = {name: [port["target"] for port in services[name]["ports"].value] for name in ("web", "db")}
    assert shown == {"web": [80, 81], "db": [5432]}
    assert "ports" not in services["other"]
    assert {port["host_ip"] for name in ("web", "db") for port in services[name]["ports"].value} == {
        "127.0.0.1"
    }
    assert (
        "db: its port 5432 is published on 127.0.0.1, at a free port, for the run to look at it"
        in made.changes
    )
