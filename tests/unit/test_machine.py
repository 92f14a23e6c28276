"""What a stack needs of a machine, read from its configuration; and what proves that something befell a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.events import EVENTS
from persistence_tests.events.on_machine import ORDERLY, Course, HostEvent
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.machine.commands import in_machine
from persistence_tests.stack.machine.container import MachineState, Process
from persistence_tests.stack.machine.plan import HostPath, content, host_paths, plan, ports, trees
from persistence_tests.stack.machine.supplies import bases, wanted
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.state import ContainerState, EngineEvent, EngineState, VolumeState

HOME = "/home/me/shop"
SPEC = StackSpec((Path(f"{HOME}/compose.yaml"),), isolation="machine")


def with_service(**service: Any) -> dict[str, Any]:
    return {"name": "shop", "services": {"api": service}}


def test_ports_are_reached_where_they_are_fixed() -> None:
    config = with_service(
        ports=[
            {"target": 80, "published": "8080", "protocol": "tcp"},
            {"target": 81, "published": "8081", "host_ip": "127.0.0.1"},
            {"target": 82, "published": "8082", "host_ip": "::1"},
            {"target": 83, "published": "8083", "host_ip": "127.0.0.1"},
            {"target": 84, "published": "8083", "host_ip": "0.0.0.0"},
            {"target": 53, "published": "53", "protocol": "udp"},
            {"target": 85},
            {"target": 86, "published": "0"},
        ]
    )
    found = ports(config)
    assert found.fixed == (8080, 8081, 8082, 8083)
    assert found.loopback == (8081, 8082)


def mounting(source: str, **mount: Any) -> dict[str, Any]:
    return with_service(volumes=[{"type": "bind", "source": source, "target": "/x", **mount}])


def test_a_path_of_the_host_is_what_lies_outside_the_workspace() -> None:
    """A relative path leads into the workspace there, wherever the user has it; an absolute one is the machine's."""
    assert host_paths(mounting(f"{HOME}/data"), mounting("/tmp/w/stack/shop/data"), "/tmp/w") == []
    assert host_paths(mounting("/home/me/beside"), mounting("/tmp/w/stack/beside"), "/tmp/w") == []
    (found,) = host_paths(mounting("/srv/media/"), mounting("/srv/media/"), "/tmp/w")
    assert (found.path, found.users, found.where) == ("/srv/media", "/srv/media/", "services.api.volumes")


def test_volumes_secrets_and_configurations_name_paths_too() -> None:
    config = {
        **with_service(),
        "volumes": {
            "bound": {"driver_opts": {"type": "none", "o": "bind,rw", "device": "/srv/bound"}},
            "memory": {"driver_opts": {"type": "tmpfs", "o": "size=1m", "device": "tmpfs"}},
        },
        "secrets": {"key": {"file": "/etc/shop/key"}, "given": {"environment": "KEY"}},
        "configs": {"main": {"file": f"{HOME}/main.conf"}},
    }
    found = {path.path: path.given for path in host_paths(config, config, HOME)}
    assert found == {"/etc/shop/key": True, "/srv/bound": False}


@pytest.mark.parametrize(
    ("path", "system", "engine"),
    [
        ("/var/run/docker.sock", True, True),
        ("/etc/localtime", True, False),
        ("/", True, False),
        ("/etcetera", False, False),
        ("/srv/x", False, False),
    ],
)
def test_what_every_host_has_is_the_machines_own(path: str, system: bool, engine: bool) -> None:
    found = HostPath(path, path, "services.api.volumes")
    assert (found.is_system, found.is_engine) == (system, engine)


@pytest.mark.parametrize(
    ("binds", "expected"),
    [
        ({}, (None, True)),
        ({"/srv/media": "./fixtures"}, (f"{HOME}/fixtures", True)),
        ({"/srv/media/": "/srv/media"}, ("/srv/media", True)),
        ({"/srv/media": "/srv/other"}, ("/srv/other", False)),
        ({"/srv/media": "../other"}, ("/home/me/other", False)),
        ({"/srv/else": "./fixtures"}, (None, True)),
    ],
)
def test_content_is_taken_only_where_the_scenario_says_so(
    binds: dict[str, str], expected: tuple[str | None, bool]
) -> None:
    path = HostPath("/srv/media", "/srv/media", "services.api.volumes")
    assert content(path, replace(SPEC, binds=binds)) == expected


def test_a_secret_is_taken_along() -> None:
    path = HostPath("/etc/key", "/etc/key", "secrets.key", given=True)
    assert content(path, SPEC) == ("/etc/key", True)


def test_what_is_external_is_made_under_its_own_name() -> None:
    config = {
        **mounting(f"{HOME}/data"),
        "volumes": {"outside": {"name": "shared", "external": True}, "own": {"name": "shop_own"}},
        "networks": {
            "web": {"name": "web", "external": True},
            "hosts": {"name": "host", "external": True},
        },
    }
    made = plan(config, SPEC)
    assert (made.external_volumes, made.external_networks) == (("shared",), ("web",))
    assert [bind.inside for bind in made.binds] == ["./data"]
    assert not made.refusals and not made.override


def test_a_service_that_is_left_out_is_nobodys_dependency() -> None:
    config: dict[str, Any] = {
        "services": {"traefik": {}, "api": {"depends_on": {"traefik": {}, "db": {}}}, "db": {}},
    }
    made = plan(config, replace(SPEC, without=frozenset({"traefik"})))
    assert set(made.override["services"]) == {"traefik", "api"}
    assert set(made.override["services"]["api"]["depends_on"]) == {"traefik"}


def test_the_name_of_the_control_service_is_taken() -> None:
    assert plan({"services": {"persistence-control": {}}}, SPEC).refusals


def test_directories_outside_that_are_built_from() -> None:
    build = {"context": "/home/me", "additional_contexts": {"lib": "/opt/lib", "base": "docker-image://x"}}
    inside = {"context": f"{HOME}/api"}
    config = {"services": {"a": {"build": build}, "b": {"build": inside}, "c": {"image": "x"}}}
    assert trees(config, HOME) == ("/home/me", "/opt/lib")


DOCKERFILE = """\
# syntax: none
ARG BASE=debian:bookworm-slim
ARG TAG
FROM --platform=linux/amd64 ${BASE} AS build
from node:${TAG:-20} as Web
FROM scratch
COPY --from=build /a /b
COPY --chown=1:1 --from=busybox:1 /bin/busybox /b
COPY --from=web /x /x
COPY --from=0 /x /x
RUN echo FROM nothing
"""


def test_what_a_dockerfile_begins_with() -> None:
    assert bases(DOCKERFILE, {}) == {"debian:bookworm-slim", "node:20", "busybox:1"}
    assert bases(DOCKERFILE, {"BASE": "alpine", "TAG": "22"}) == {"alpine", "node:22", "busybox:1"}


reference = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?(:[a-z0-9]{1,5})?", fullmatch=True).filter(
    lambda text: text != "scratch"
)


@given(st.lists(reference, min_size=1, max_size=5, unique=True), st.data())
def test_no_stage_is_an_image(images: list[str], data: st.DataObject) -> None:
    lines = []
    for number, image in enumerate(images):
        lines.append(f"FROM {image} AS stage{number}")
        lines.append(f"COPY --from=stage{data.draw(st.integers(0, number))} /a /a")
    assert bases("\n".join(lines), {}) == set(images)


def test_a_services_image_is_wanted_unless_it_is_built() -> None:
    config = {
        "services": {
            "db": {"image": "postgres:16"},
            "api": {"image": "shop-api", "build": {"dockerfile_inline": "FROM debian"}},
        }
    }
    assert wanted(config) == {"postgres:16", "debian"}


def test_what_belongs_to_the_users_host_stays_there() -> None:
    given = {
        "PATH": "/home/me/bin", "HOME": "/home/me", "TOKEN": "t", "DOCKER_HOST": "unix:///x", "COMPOSE_FILE": "x",
        "TMPDIR": "/tmp/x", "LD_PRELOAD": "x", "MEDIA": "1",
    }  # fmt: skip
    assert set(in_machine(given)) == {"PATH", "HOME", "TOKEN", "MEDIA"}
    assert in_machine(given)["PATH"] != given["PATH"]


# What befalls a machine

ENGINE, CONTAINERD = Process(20, 1000), Process(30, 1010)
BEFORE = MachineState(True, "boot 1", "never", 0, ENGINE, CONTAINERD, 100)
AGAIN = replace(BEFORE, engine=Process(200, 5000), containerd=Process(300, 5010))
BOOTED = replace(AGAIN, boot="boot 2", ended="end 1")
DOWN = replace(BEFORE, running=False, ended="end 1", engine=None, containerd=None)
COURSES = {
    "engine-restart": Course(BEFORE, None, AGAIN, f'level=info msg="{ORDERLY}"\n'),
    "engine-kill": Course(BEFORE, None, AGAIN, 'level=info msg="Starting up"\n'),
    "reboot": Course(BEFORE, DOWN, BOOTED, f'level=info msg="{ORDERLY}"\n'),
    "host-crash": Course(BEFORE, replace(DOWN, exit_code=137), replace(BOOTED, exit_code=137), "Starting up"),
}


def container(service: str, started: str, *, running: bool = True) -> ContainerState:
    return ContainerState(
        f"{service:0<64}", service, service, 1, "image", running, started, 0, 0, 7, None, ()
    )


VOLUMES = {"shop_own": VolumeState("shop_own", "own", "1"), "c": VolumeState("c", NAMED_VOLUME, "1")}


def state(api: str = "1", control: str = "1", *, running: bool = True) -> EngineState:
    return EngineState(
        {
            "api-1": container("api", api, running=running),
            "persistence-control-1": container("persistence-control", control),
            "job-1": container("job", "1", running=False),
        },
        VOLUMES,
    )


def proven(
    name: str, course: Course | None, before: EngineState, after: EngineState, *seen: EngineEvent
) -> Any:
    event = EVENTS[name](EVENTS[name].Options.model_validate({}))
    assert isinstance(event, HostEvent)
    event._course = course
    return event.prove(before, after, seen)


@pytest.mark.parametrize("name", COURSES)
def test_a_whole_course_proves_the_event(name: str) -> None:
    proof = proven(name, COURSES[name], state(), state("2", "2"))
    assert proof.problems == ()
    assert proof.evidence


@pytest.mark.parametrize("name", COURSES)
def test_what_did_not_come_back_was_ended_all_the_same(name: str) -> None:
    """That it has no restart policy is the stack's own fault, and no reason to doubt the event."""
    proof = proven(name, COURSES[name], state(), state("1", "2", running=False))
    assert proof.problems == ()
    assert any("does not run any more" in fact.fact for fact in proof.evidence)


@pytest.mark.parametrize("name", COURSES)
@pytest.mark.parametrize("after", [state(), state("2", "1"), state("1", "2")], ids=["all", "control", "api"])
def test_containers_that_were_not_ended_prove_nothing(name: str, after: EngineState) -> None:
    assert proven(name, COURSES[name], state(), after).problems


@pytest.mark.parametrize("name", COURSES)
def test_a_course_of_another_event_proves_nothing(name: str) -> None:
    for other, course in COURSES.items():
        if other != name:
            assert proven(name, course, state(), state("2", "2")).problems, other


@pytest.mark.parametrize("name", COURSES)
def test_with_any_piece_taken_away_it_is_not_proven(name: str) -> None:
    course = COURSES[name]
    lacking = [None, replace(course, after=replace(course.after, engine=ENGINE))]
    lacking.append(replace(course, after=replace(course.after, engine=None)))
    if course.middle is not None:
        lacking.append(replace(course, middle=None))
        lacking.append(replace(course, middle=replace(course.middle, running=True)))
        lacking.append(replace(course, middle=replace(course.middle, ended=BEFORE.ended)))
        lacking.append(replace(course, after=replace(course.after, boot=BEFORE.boot)))
    if name == "engine-kill":
        lacking.append(replace(course, after=replace(course.after, containerd=CONTAINERD)))
    for less in lacking:
        assert proven(name, less, state(), state("2", "2")).problems, less


@pytest.mark.parametrize("name", COURSES)
def test_a_volume_that_was_destroyed_is_a_problem(name: str) -> None:
    gone = EngineEvent(1, "volume", "destroy", "shop_own", {})
    assert proven(name, COURSES[name], state(), state("2", "2"), gone).problems
