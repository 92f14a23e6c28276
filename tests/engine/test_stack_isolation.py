"""The user's own containers, volumes, files and images are what they were, whatever a stack goes through."""

from __future__ import annotations

import io
import re
import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.helper import archive_stream
from persistence_tests.stack.identity import CONTROL_SERVICE, RUN_LABEL
from persistence_tests.stack.stack import Stack
from tests.engine.conftest import DOCKERFILE, MakeStack
from tests.stacks.canary import CONTAINER, EXTERNAL, IMAGE, NETWORK, TOKEN, VOLUME, Canary

pytestmark = pytest.mark.engine

COMPOSE = f"""
name: shop
include: [include/compose.yaml]
services:
  app:
    container_name: {CONTAINER}
    image: {IMAGE}
    build: {{context: ., tags: ["{IMAGE}"], network: host, pull: true}}
    init: true
    command: [sleep, infinity]
    ports: ["127.0.0.1:$PORT:80", "$PORT:81"]
    volumes:
      - data:/data
      - ext:/ext
      - ./files:/files
      - ${{PWD}}/conf:/conf:ro
      - ./current:/current
      - ./single.txt:/single.txt
      - $OUTSIDE/data:/outside
      - /cache
    tmpfs: /scratch
    networks: [default, front]
    secrets: [key]
    configs: [settings]
    env_file: ../outside/app.env
    labels: {{traefik.enable: "true", shop.role: api}}
    logging: {{driver: syslog, options: {{syslog-address: "tcp://127.0.0.1:$PORT"}}}}
    extra_hosts: ["machine:host-gateway", "me:127.0.0.1"]
    depends_on: {{debug: {{condition: service_started, required: false}}}}
    develop: {{watch: [{{path: ./files, action: sync, target: /files}}]}}
    post_start: [{{command: [sh, -c, "echo hook >/data/hook"]}}]
  client:
    extends: {{file: ../outside/base.yaml, service: base}}
    image: {IMAGE}
    pull_policy: always
    init: true
    networks: [front]
  debug:
    image: debian:bookworm-slim
    profiles: [debug]
    privileged: true
    volumes: ["/:/host"]
  idle:
    image: debian:bookworm-slim
    profiles: [debug]
    depends_on: [debug]
jobs:
  tidy:
    image: debian:bookworm-slim
    volumes: ["/srv:/srv"]
    triggers: {{manual: true}}
volumes:
  data: {{name: "$DATA_NAME"}}
  ext: {{name: {EXTERNAL}, external: true}}
networks:
  front: {{name: {NETWORK}, external: true}}
secrets:
  key: {{file: ../outside/key}}
configs:
  settings: {{content: "who = $DATA_NAME"}}
"""
INCLUDED = f"""
services:
  included:
    image: debian:bookworm-slim
    command: [sleep, infinity]
    init: true
    container_name: {CONTAINER}-included
    volumes: ["./files:/files", "shared:/shared"]
volumes:
  shared: {{name: {VOLUME}-shared}}
"""


@pytest.fixture(scope="module")
def canary(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    canary = Canary(engine, tmp_path_factory.mktemp("canary"))
    try:
        yield canary
    finally:
        canary.remove()


@pytest.fixture(scope="module")
def untouched(canary: Canary, make_stack: MakeStack) -> tuple[Stack, str]:
    project, outside = canary.project, canary.outside
    (project / "include").mkdir()
    (project / "include" / "compose.yaml").write_text(INCLUDED)
    (project / "current").symlink_to(project / "releases" / "1")
    (project / "single.txt").write_text("mine")
    (project / "backups").symlink_to(outside / "data")
    (project / ".env").write_text(f"PORT={canary.port}\nDATA_NAME={VOLUME}\nOUTSIDE={outside}\n")
    (outside / "base.yaml").write_text("services: {base: {command: [sleep, infinity]}}")
    (outside / "app.env").write_text("WHO=outside\n")
    (outside / "key").write_text("mine")
    (project / "Dockerfile").write_text(DOCKERFILE)
    (project / "compose.yaml").write_text(COMPOSE)
    binds = {str(outside / "data"): "./replaced"}
    before = canary.digest()
    stack = make_stack(COMPOSE, directory=project, follow_project=True, binds=binds)
    stack.start()
    return stack, before


def write(stack: Stack, line: str) -> None:
    exit_code, output = stack.containers("app")[0].exec_run(["sh", "-c", line])
    assert exit_code == 0, output


def names(stream: Iterator[bytes]) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        return {member.name for member in tar if member.isfile()}


def test_nothing_of_the_users_is_touched(untouched: tuple[Stack, str], canary: Canary) -> None:
    stack, before = untouched
    write(
        stack,
        "for d in data ext files current outside; do echo theirs >/$d/file; done; echo theirs >/single.txt",
    )
    write(stack, "test -s /data/hook && test -s /run/secrets/key && test -s /settings && test $WHO = outside")
    stack.compose.run("build", "--no-cache")
    stack.up("--force-recreate", "-V")
    stack.down("--volumes", "--remove-orphans")
    stack._make_external()
    stack.up()
    assert canary.digest() == before


def test_the_stacks_own_command_reaches_the_run_only(untouched: tuple[Stack, str], canary: Canary) -> None:
    stack, before = untouched
    result = stack.command('docker-compose restart app && pwd && printf "%s" "$PWD"')
    assert result.exit_code == 0, result.stderr
    assert set(result.stdout.split()) == {str(stack.workspace)}
    assert canary.digest() == before


ATTACKS = {
    "exec": 'docker exec "$C" sh -c "echo theirs >/data/file"',
    "stop": 'docker stop -t 0 "$C"',
    "remove": 'docker rm -fv "$C"',
    "copy into": 'echo theirs >t && docker cp t "$C:/data/file"',
    "rename": 'docker rename "$C" other',
    "its volumes": 'docker run --rm --volumes-from "$C" "$H" sh -c "echo theirs >/data/file"',
    "its network": 'docker run --rm --network "$N" "$H" true',
    "its namespaces": 'docker run --rm --pid "container:$C" "$H" true',
    "a volume": 'docker run --rm -v "$V:/v" "$H" sh -c "echo theirs >/v/file"',
    "a volume by mount": 'docker run --rm --mount "type=volume,source=$V,target=/v" "$H" true',
    "a volume made again": 'docker volume create "$V"',
    "a volume removed": 'docker volume rm -f "$V"',
    "a network removed": 'docker network disconnect -f "$N" "$C"; docker network rm "$N"',
    "a directory": 'docker run --rm -v "$O:/o" "$H" sh -c "echo theirs >/o/data/file"',
    "the machine": 'docker run --rm -v /:/host "$H" true',
    "its privileges": 'docker run --rm --privileged "$H" true',
    "the host's network": 'docker run --rm --network host "$H" true',
    "the socket": 'docker run --rm -v "${DOCKER_HOST#unix://}:/s" "$H" true',
    "an image removed": 'docker rmi -f "$I"',
    "a tag moved": 'docker tag "$(docker ps -q | head -1 | xargs docker inspect -f {{.Image}})" "$I"',
    "a build": 'docker build -t "$I" .',
    "a pull": 'docker pull "$H"',
    "a project": "COMPOSE_PROJECT_NAME=shop; docker ps -q --filter label=com.docker.compose.project=shop | grep .",
    "all builds": "docker builder prune -f",
}
DENIED = re.compile(
    "not the stack's under test|container with|reaches more|would take|is here|no tag of the run"
)
"""Each with names that come from the environment, which nobody can read in a script beforehand."""


def test_the_stacks_own_command_reaches_nothing_of_the_users(
    untouched: tuple[Stack, str], canary: Canary
) -> None:
    stack, before = untouched
    stack.up()
    names = {"C": CONTAINER, "V": VOLUME, "N": NETWORK, "I": IMAGE, "O": str(canary.outside)}
    env = {**names, "H": stack.engine.helper_image}
    script = "\n".join(
        f"({line}) 2>&1 && echo !{shlex.quote(name)}; echo ---" for name, line in ATTACKS.items()
    )
    result = stack.command(script, env=env)
    answers = dict(zip(ATTACKS, result.stdout.split("---\n"), strict=False))
    assert len(answers) == len(ATTACKS)
    for name, answer in answers.items():
        assert "!" not in answer, name
        assert DENIED.search(answer) or (name, answer) == ("a project", ""), (name, answer)
    said = stack.command('docker exec "$C" true; docker ps -aq --no-trunc; docker volume ls -q', env=env)
    assert f"{CONTAINER} is not the stack's under test" in said.stderr
    listed = set(said.stdout.split())
    assert listed & {c.id for c in stack.containers()}
    assert not listed & {str(canary.container.id), VOLUME, EXTERNAL}
    pruned = stack.command(
        "docker system prune -f --volumes; docker image prune -af; echo theirs >backups/file"
    )
    assert pruned.exit_code == 0, pruned.stderr
    assert canary.digest() == before


def test_the_stacks_own_command_reaches_all_that_is_the_runs(untouched: tuple[Stack, str]) -> None:
    stack, _ = untouched
    stack.up()
    line = """
    set -eu
    app=$(docker ps -q --filter label=com.docker.compose.service=app)
    echo streamed | docker exec -i "$app" sh -c 'cat >/data/in'
    docker exec "$app" cat /data/in
    echo attached | docker run --rm -i -v "$V:/v" -v "$PWD:/w" "$H" sh -c 'cat >/w/out; cat /v/in'
    docker cp "$app:/data/in" copied && cat out copied
    docker volume create extra >/dev/null && docker run --name one --label a=b -v extra:/v "$H" true
    docker-compose exec -T app cat /data/in
    docker-compose logs app >/dev/null
    docker-compose build -q client app >/dev/null 2>&1
    printf 'FROM scratch\nLABEL a=b\n' | docker build -q -t "$P:extra" - >/dev/null
    """
    environment = {"V": stack.volume("data"), "H": stack.engine.helper_image, "P": stack.project}
    result = stack.command(line, env=environment)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["streamed", "streamed", "attached", "streamed", "streamed"]


def test_a_command_with_fixed_names_is_refused_with_its_line(
    untouched: tuple[Stack, str], canary: Canary
) -> None:
    stack, before = untouched
    script = stack.workspace / "backup.sh"
    script.write_text(f"#!/bin/bash\ntrue\ndocker exec {CONTAINER} tar -c /data\n")
    with pytest.raises(StackRefused, match=f"backup.sh:3: names {CONTAINER}") as caught:
        stack.command("./backup.sh now")
    assert "COMPOSE_PROJECT_NAME" in str(caught.value)
    assert canary.digest() == before


def test_binds_are_the_workspaces(untouched: tuple[Stack, str]) -> None:
    stack, _ = untouched
    stack.up()
    write(stack, "test -s /conf/app.conf && ! test -e /files/upload && echo x >/files/new")
    assert (stack.bind("./files") / "new").read_text() == "x\n"
    assert stack.bind("./files").stat().st_mode & 0o7777 == 0o2770
    with pytest.raises(StackError, match="no bind mount"):
        stack.bind("./nowhere")


def test_the_container_name_is_an_alias_still(untouched: tuple[Stack, str]) -> None:
    stack, _ = untouched
    stack.up()
    exit_code, output = stack.containers("client")[0].exec_run(["getent", "hosts", CONTAINER])
    assert exit_code == 0, output


def test_ports_are_free_ones_on_the_loopback(untouched: tuple[Stack, str], canary: Canary) -> None:
    stack, _ = untouched
    stack.up()
    host, port = stack.address("app", 80)
    assert host == "127.0.0.1"
    assert port not in (canary.port, stack.address("app", 81)[1])
    with pytest.raises(StackError, match="not published"):
        stack.address("app", 82)


def test_a_helper_reads_a_volume_that_exists_and_makes_none(untouched: tuple[Stack, str]) -> None:
    stack, _ = untouched
    stack.up()
    write(stack, "mkdir -p /data/a && echo x >/data/a/b")
    stack.down()
    with (
        stack.helper({"/persistence": stack.volume("data")}) as container,
        archive_stream(container, "/persistence/a") as stream,
    ):
        assert names(stream) == {"a/b"}
    with pytest.raises(StackError, match="not on the engine"), stack.helper({"/it": f"nobodys-{TOKEN}"}):
        pass
    assert not stack.engine.client.volumes.list(filters={"name": f"nobodys-{TOKEN}"})


def test_closing_leaves_nothing_of_the_run_and_everything_of_the_users(
    untouched: tuple[Stack, str], canary: Canary
) -> None:
    stack, before = untouched
    stack.up()
    stack.down()
    stack.up()
    volumes = stack.recorded_volumes()
    assert len(volumes) > 5
    stack.close()
    stack.close()
    assert left_of(stack.engine, stack.identity.run) == []
    existing = {volume.name for volume in stack.engine.client.volumes.list()}
    assert not volumes & existing
    assert not Path(stack.identity.workspace).exists()
    assert canary.digest() == before


def left_of(engine: Engine, run: str) -> list[object]:
    filters: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run}"}
    client = engine.client
    return [
        *client.containers.list(all=True, filters=filters),
        *client.volumes.list(filters=filters),
        *client.networks.list(filters=filters),
        *client.images.list(filters=filters),
    ]


REFUSED: dict[str, tuple[str, str]] = {
    "host-network": ("network_mode: host", "host's network"),
    "foreign-network": ("network_mode: shop_default", "joins the network shop_default"),
    "foreign-namespace": (f'network_mode: "container:{CONTAINER}"', f"foreign container {CONTAINER}"),
    "host-pid": ("pid: host", "machine's own pid"),
    "foreign-volumes": (
        f'volumes_from: ["container:{CONTAINER}"]',
        f"volumes of the foreign container {CONTAINER}",
    ),
    "foreign-links": (f'external_links: ["{CONTAINER}:db"]', "links to containers of another project"),
    "privileged": ("privileged: true", "every disk of the machine"),
    "device": ('devices: ["/dev/sda:/dev/sda"]', "/dev/sda belongs to the machine"),
    "socket": ('volumes: ["/var/run/docker.sock:/s"]', "engine's socket"),
    "socket-allowed": ('volumes: ["/run/docker.sock:/s:ro"]', "engine's socket /run/docker.sock"),
    "directory-of-the-socket": ('volumes: ["/run:/r:ro"]', "/run gives the engine's socket"),
    "api-socket": ("use_api_socket: true", "gives the engine's socket"),
    "absolute": ('volumes: ["/srv:/srv"]', "mounts /srv at /srv"),
    "above": ('volumes: ["../outside:/o"]', "outside at /o"),
    "single-file": ('volumes: ["/etc/hostname:/etc/host"]', "mounts /etc/hostname"),
    "link": ('volumes: ["./link:/l"]', "leads by a symbolic link"),
    "behind-a-link": ('volumes: ["./link/not/there:/l"]', "link/not/there leads by a symbolic link"),
    "provider": ("provider: {type: cloud}", "a program on the machine"),
    "model": ("models: [llm]", "the machine's own runner"),
    "hook": ("post_start: [{command: [id], privileged: true}]", "a privileged hook"),
    "init-container": ('pre_start: [{command: [id], volumes: ["/opt:/opt"]}]', "mounts /opt at /opt"),
    "build": ("build: {context: ., privileged: true}", "a privileged build"),
    "memory-that-is-none": ("volumes: [memory:/m]", "keeps its data at /srv/data"),
    "remote-volume": ("volumes: [nfs:/n]", "keeps its data at :/export"),
}


def test_a_refusal_names_every_reason_and_makes_nothing(
    make_stack: MakeStack, tmp_path: Path, engine: Engine
) -> None:
    (tmp_path / "outside").mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "link").symlink_to("../outside")
    services = "\n".join(
        f"  {name}:\n    image: debian:bookworm-slim\n    {line}" for name, (line, _) in REFUSED.items()
    )
    compose = f"""
services:
{services}
models: {{llm: {{model: ai/tiny}}}}
volumes:
  memory: {{driver_opts: {{type: tmpfs, o: "bind,rw", device: /srv/data}}}}
  nfs: {{driver_opts: {{type: nfs, o: "addr=10.0.0.1", device: ":/export"}}}}
"""
    before = {volume.name for volume in engine.client.volumes.list()}
    as_is = {"/run/docker.sock": "/run/docker.sock", "/run": "/run"}
    with pytest.raises(StackRefused) as caught:
        make_stack(compose, directory=project, binds=as_is)
    said = str(caught.value)
    assert {name for name, (_, reason) in REFUSED.items() if reason not in said} == set()
    made = {v.name for v in engine.client.volumes.list() if RUN_LABEL in (v.attrs.get("Labels") or {})}
    assert not {name for name in made - before if "engine-test" in name}
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_bind_through_a_link_out_of_the_project_is_refused(make_stack: MakeStack, tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    (project / "link").symlink_to(outside)
    compose = 'services: {b: {image: "debian:bookworm-slim", volumes: ["./link:/data"]}}'
    with pytest.raises(StackRefused, match="symbolic link"):
        make_stack(compose, directory=project)


HOSTILE = "sh op: $HOME 'x' \"y\" #1 ünï {name}"


def test_a_hostile_directory_is_only_a_name(make_stack: MakeStack, tmp_path: Path) -> None:
    project = tmp_path / HOSTILE
    (project / "data").mkdir(parents=True)
    (project / "conf").mkdir()
    (project / "conf" / "app.conf").write_text("mine")
    compose = """
    name: ${NAME:-../../etc}
    services:
      a:
        image: debian:bookworm-slim
        volumes: ["./data:/data", {type: bind, source: "${PWD}/conf", target: /conf, read_only: true}]
    """
    stack = make_stack(compose, directory=project, follow_project=True, env={"NAME": "fine"})
    assert stack.bind("./data") == stack.workspace / "data"
    assert (stack.bind("./conf") / "app.conf").read_text() == "mine"
    assert stack.workspace.name == HOSTILE
    result = stack.command('docker-compose config --services && cat "$PWD/conf/app.conf"')
    assert result.exit_code == 0, result.stderr
    assert sorted(result.stdout.split()) == ["a", "mine", CONTROL_SERVICE]


def test_commands_need_leave(make_stack: MakeStack) -> None:
    stack = make_stack('services: {a: {image: "debian:bookworm-slim"}}')
    with pytest.raises(StackRefused, match="may name containers"):
        stack.command("true")


def test_files_outside_the_project_that_compose_includes_are_found(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    project = tmp_path / "deploy" / "shop"
    project.mkdir(parents=True)
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "base.yaml").write_text(
        'services: {base: {image: "debian:bookworm-slim", env_file: ../common/base.env}}'
    )
    (tmp_path / "common" / "base.env").write_text("WHO=base\nDB_PASSWORD=hunter2\n")
    compose = """
    services:
      a: {extends: {file: ../../common/base.yaml, service: base}, environment: {URL: "pg://u:hunter2@db/x"}}
    """
    stack = make_stack(compose, directory=project)
    environment = stack.config["services"]["a"]["environment"]
    assert environment["WHO"] == "base"
    assert stack.services() == ("a",)
    assert CONTROL_SERVICE in stack.config["services"]
    for recorded in (stack.prepared.original, stack.prepared.isolated):
        assert "hunter2" not in str(recorded)
