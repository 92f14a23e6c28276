"""Stacks in a machine of their own: everything as it stands, and what befalls the whole Docker host."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import NotFound

from persistence_tests.model.finding import Verdict
from persistence_tests.model.records import ControlsChecked
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.identity import RUN_LABEL
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import BOX, VOLUME, WRITES
from tests.stacks.box_scenario import Entry as EventEntry

pytestmark = pytest.mark.engine

SERVED = {"service": "web", "port": 8000, "url": "/files/{name}"}
PATHS = {"volume": VOLUME, "direct": {"service": "web", "root": "/files"}, "api": SERVED}
STACK = {"compose": str(BOX / "compose.yaml"), "isolation": "machine", "profiles": ["web"]}
POSTING = {"through": "api", "request": "POST /files/{name}", "into": ["."], "files": 3, "names": "plain"}
CASES: dict[str, EventEntry] = {
    "engine-restart": "engine-restart",
    "engine-kill while writing": {"engine-kill": {"while": "writing"}},
    "reboot": "reboot",
    "host-crash while writing": {"host-crash": {"while": "writing"}},
    "prune": "prune",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    writes = [WRITES, {**POSTING, "sizes": [100, 70000]}]
    with bench(
        tmp_path_factory.mktemp("machine"), CASES, times=2, stack=STACK, paths=PATHS, writes=writes
    ) as opened:
        judgement = opened.running.open()
        assert judgement.verdict is Verdict.KEPT, judgement
        yield opened


RARELY = ("prune",)  # the engine's images are brought over again for it


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.soak] if n in RARELY else []) for n in CASES]
)
def test_an_event_of_a_machine_is_proven_and_nothing_is_lost(box: Bench, name: str) -> None:
    judgement = box.step(box.take(name))
    assert judgement.reasons == ()
    assert judgement.verdict is Verdict.KEPT
    (checks,) = [e.record for e in box.run.entries if isinstance(e.record, ControlsChecked)][-1:]
    assert checks.checks and all(check.behaved for check in checks.checks)


MACHINE = """
name: fixed
services:
  app:
    image: debian:bookworm-slim
    container_name: the-app
    init: true
    restart: always
    command: [perl, -e, "$$SERVER"]
    ports: ["80:80", "127.0.0.1:8001:81"]
    volumes:
      - data:/data
      - /srv/given:/given
      - /srv/empty:/empty
      - ./own:/own
      - /var/run/docker.sock:/docker.sock
    secrets: [key]
volumes:
  data: {name: shared-data, external: true}
secrets:
  key: {file: KEY}
"""
SERVER = (
    "use IO::Select; use IO::Socket::INET; my $$s = IO::Select->new(map { IO::Socket::INET->new(LocalPort => $$_, "
    "Listen => 9, ReuseAddr => 1) } 80, 81); while (1) { for ($$s->can_read) { my $$c = $$_->accept; <$$c>; print $$c "
    "qq(HTTP/1.0 200 OK\\\\r\\\\n\\\\r\\\\nport ), $$_->sockport; } }"
)


@pytest.fixture(scope="module")
def fixed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("fixed")
    key = tmp_path_factory.mktemp("elsewhere") / "key"
    key.write_text("a secret of the host's")
    (home / "given").mkdir()
    (home / "given" / "file").write_text("given")
    (home / "own").mkdir()
    (home / "compose.yaml").write_text(MACHINE.replace("$$SERVER", SERVER).replace("KEY", str(key)))
    (home / "seed.sh").write_text(
        "docker run --rm -v shared-data:/data debian:bookworm-slim touch /data/seeded\n"
    )
    spec = StackSpec((home / "compose.yaml",), isolation="machine", binds={"/srv/given": "./given"})
    stack = Stack.prepare(spec, engine, run=f"t{secrets.token_hex(3)}", scenario="fixed")
    try:
        stack.start()
        yield stack
    finally:
        stack.close()
        stack.close()
    assert not engine.client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={stack.identity.run}"})
    assert not engine.client.volumes.list(filters={"label": f"{RUN_LABEL}={stack.identity.run}"})
    assert not engine.client.networks.list(filters={"label": f"{RUN_LABEL}={stack.identity.run}"})
    assert not Path(stack.identity.workspace).exists()


def said(stack: Stack, line: str) -> str:
    result = stack.command(line)
    assert result.exit_code == 0, result
    return result.stdout.strip()


def test_every_name_stands_as_the_files_say(fixed: Stack) -> None:
    assert fixed.project == "fixed"
    assert said(fixed, "docker ps --format '{{.Names}}' | sort") == "fixed-persistence-control-1\nthe-app"
    assert "Running" in fixed.command("docker compose up -d").stderr  # and not made anew
    assert said(fixed, "docker exec the-app cat /run/secrets/key") == "a secret of the host's"


def test_ports_mean_what_they_say_inside_and_are_reached_from_outside(fixed: Stack) -> None:
    assert said(fixed, "curl -sS http://localhost/") == "port 80"
    assert said(fixed, "curl -sS http://localhost:8001/") == "port 81"
    for port in (80, 81):
        host, published = fixed.address("app", port)
        assert host == "127.0.0.1"
        assert said_from_here(host, published) == f"port {port}"


def said_from_here(host: str, port: int) -> str:
    from http.client import HTTPConnection

    connection = HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_paths_of_the_host_are_the_machines_own(fixed: Stack) -> None:
    assert said(fixed, "docker exec the-app ls /given /empty") == "/empty:\n\n/given:\nfile"
    said(fixed, "docker exec the-app touch /empty/made /own/made")
    assert said(fixed, "ls /srv/empty ./own") == "./own:\nmade\n\n/srv/empty:\nmade"
    assert not Path("/srv/empty").exists()
    assert fixed.holds(fixed.bind("/srv/empty"))
    with fixed.opened(fixed.bind("/srv/given")) as (container, place):
        assert (container.get_archive(f"{place}/file")[1] or {})["size"] == 5


def test_scripts_work_as_they_stand(fixed: Stack) -> None:
    said(fixed, "bash ./seed.sh")
    assert said(fixed, "docker exec the-app ls /data") == "seeded"
    result = fixed.command("echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 7)


def test_nothing_of_the_outer_host_is_in_reach(fixed: Stack, engine: Engine) -> None:
    machine = fixed.machine.container
    assert said(fixed, "docker info --format '{{.ID}}'") != engine.client.info()["ID"]
    mounts = {mount["Destination"]: mount for mount in machine.attrs["Mounts"]}
    assert set(mounts) <= {fixed.identity.workspace, "/var/lib/docker", "/snapshot", "/sys/fs/cgroup"}
    assert not machine.attrs["HostConfig"]["Privileged"]
    with pytest.raises(NotFound):
        engine.client.containers.get("the-app")
