"""The user's own containers, volumes, files and images are what they were, whatever a stack goes through."""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.helper import archive_stream
from persistence_tests.stack.identity import CONTROL_SERVICE, RUN_LABEL
from persistence_tests.stack.stack import Stack
from tests.engine.conftest import MakeStack

pytestmark = pytest.mark.engine

TOKEN = secrets.token_hex(4)
VOLUME, EXTERNAL, CONTAINER, NETWORK = (f"canary-{kind}-{TOKEN}" for kind in ("data", "ext", "app", "net"))
COMPOSE = f"""
services:
  app:
    container_name: {CONTAINER}
    image: canary/{TOKEN}:1
    build: .
    init: true
    command: [sleep, infinity]
    ports: ["127.0.0.1:18391:80"]
    volumes: [data:/data, ext:/ext, ./files:/files, "${{PWD}}/conf:/conf:ro"]
    networks: [default, front]
  client:
    image: canary/{TOKEN}:1
    command: [sleep, infinity]
    init: true
    networks: [front]
volumes:
  data: {{name: {VOLUME}}}
  ext: {{name: {EXTERNAL}, external: true}}
networks:
  front: {{name: {NETWORK}, external: true}}
"""


class Canary:
    """What the user has on the engine and in the project directory, under the names that the stack uses too."""

    def __init__(self, engine: Engine, project: Path) -> None:
        self.engine = engine
        self.project = project
        client = engine.client
        for name in (VOLUME, EXTERNAL):
            client.volumes.create(name)
        self.network = client.networks.create(NETWORK)
        self.container: Container = client.containers.create(
            engine.helper_image,
            ["sh", "-c", "echo mine >/data/file; echo mine >/ext/file; exec sleep 600"],
            name=CONTAINER,
            init=True,
            network_mode="none",
            volumes={VOLUME: {"bind": "/data"}, EXTERNAL: {"bind": "/ext"}},
        )
        client.images.get(engine.helper_image).tag(f"canary/{TOKEN}", "1")
        for name in ("files/upload", "conf/app.conf"):
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_text("mine")
        (project / "files").chmod(0o2770)

    def digest(self) -> str:
        """Identities, process, bytes and modes of everything."""
        self.container.reload()
        facts = [
            str(self.container.id),
            str(self.container.attrs["State"]["Pid"]),
            str(self.network.id),
            str(self.engine.client.images.get(f"canary/{TOKEN}:1").id),
        ]
        for path in ("/data", "/ext"):
            stream, _ = self.container.get_archive(path)
            facts.append(hashlib.sha256(b"".join(stream)).hexdigest())
        for file in sorted(self.project.rglob("*")):
            status = file.stat()
            facts.append(f"{file} {status.st_mode:o} {status.st_ino} {status.st_mtime_ns}")
            facts.append(file.read_text() if file.is_file() else "")
        return "\n".join(facts)

    def remove(self) -> None:
        self.container.remove(force=True)
        self.network.remove()
        for name in (VOLUME, EXTERNAL):
            self.engine.client.volumes.get(name).remove()
        self.engine.client.images.remove(f"canary/{TOKEN}:1")


@pytest.fixture(scope="module")
def canary(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    canary = Canary(engine, tmp_path_factory.mktemp("canary"))
    try:
        canary.container.start()
        yield canary
    finally:
        canary.remove()


@pytest.fixture(scope="module")
def untouched(canary: Canary, make_stack: MakeStack) -> tuple[Stack, str]:
    stack = make_stack(COMPOSE, directory=canary.project, follow_project=True)
    before = canary.digest()
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
    write(stack, "for d in data ext files; do echo theirs >/$d/file; done")
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


def test_ports_are_free_ones_on_the_loopback(untouched: tuple[Stack, str]) -> None:
    stack, _ = untouched
    stack.up()
    host, port = stack.address("app", 80)
    assert host == "127.0.0.1"
    assert port != 18391
    with pytest.raises(StackError, match="not published"):
        stack.address("app", 81)


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


REFUSED = """
services:
  a: {image: "debian:bookworm-slim", network_mode: host, volumes: ["/var/run/docker.sock:/s", "/srv:/srv"]}
  b: {image: "debian:bookworm-slim", privileged: true, volumes: ["./link:/data"]}
"""


def test_a_refusal_names_every_reason_and_makes_nothing(
    make_stack: MakeStack, tmp_path: Path, engine: Engine
) -> None:
    before = {volume.name for volume in engine.client.volumes.list()}
    with pytest.raises(StackRefused) as caught:
        make_stack(REFUSED, directory=tmp_path)
    for reason in ("host's network", "docker.sock", "/srv", "privileged"):
        assert reason in str(caught.value)
    assert (
        not {v.name for v in engine.client.volumes.list() if RUN_LABEL in (v.attrs.get("Labels") or {})}
        - before
    )


def test_a_bind_through_a_link_out_of_the_project_is_refused(make_stack: MakeStack, tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    project.mkdir()
    outside.mkdir()
    (project / "link").symlink_to(outside)
    compose = 'services: {b: {image: "debian:bookworm-slim", volumes: ["./link:/data"]}}'
    with pytest.raises(StackRefused, match="symbolic link"):
        make_stack(compose, directory=project)


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
