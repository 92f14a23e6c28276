"""`persistence init` without an engine: what it writes for other people's projects, and what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from persistence_tests.cli import exit_code
from persistence_tests.init.project import Project, find_files
from persistence_tests.init.proposal import propose
from persistence_tests.init.services import read_services
from persistence_tests.init.stores import find_stores
from persistence_tests.init.text import scenario_text
from persistence_tests.scenario import check_against, load, resolve_stack
from tests.stacks.foreign import FOREIGN, copy_of, edit

NOWHERE = "unix:///nonexistent/docker.sock"


class Said:
    """What the command said, and what it wrote."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("COMPOSE_FILE", raising=False)

    def called(directory: Path, *arguments: str) -> Said:
        monkeypatch.chdir(directory)
        capfd.readouterr()
        code = exit_code(["init", *arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Said(code, captured.out, captured.err)

    return called


def project(directory: Path, compose: str, **files: str) -> Path:
    home = directory / "shop"
    home.mkdir()
    (home / "compose.yaml").write_text(compose)
    for name, text in files.items():
        (home / name).write_text(text)
    return home


def written(init: Any, directory: Path, *arguments: str) -> str:
    """The scenario that is written; it must be a sound one."""
    said = init(directory, *arguments)
    assert said.code == 0, said.err
    [file] = directory.glob("*.persistence.yaml")
    resolve_stack(load(file))
    return file.read_text()


@pytest.mark.parametrize("name", FOREIGN)
def test_the_scenario_of_a_foreign_project(
    name: str, init: Any, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    home = copy_of(name, tmp_path)
    said = init(home)
    file = home / f"{FOREIGN[name].scenario}.persistence.yaml"
    assert said.code == 0, said.err
    assert file.read_text() == snapshot
    resolve_stack(load(file))
    edit(file, FOREIGN[name].edits)
    assert tuple(load(file).paths) == FOREIGN[name].paths
    resolve_stack(load(file))


@pytest.mark.parametrize("name", ["django", "guestbook", "postgres", "node"])
def test_what_it_says(name: str, init: Any, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    assert init(copy_of(name, tmp_path)).out == snapshot


def test_standard_output_has_the_scenario_and_nothing_else(init: Any, tmp_path: Path) -> None:
    home = copy_of("redis", tmp_path)
    said = init(home, "compose.yaml", "--output", "-")
    assert not list(home.glob("*.persistence.yaml"))
    assert "persistence run redis.persistence.yaml" in said.err
    assert said.out == written(init, home)


def test_a_file_that_is_there_stays(init: Any, tmp_path: Path) -> None:
    home = copy_of("redis", tmp_path)
    first = written(init, home)
    file = home / "redis.persistence.yaml"
    file.write_text("mine")
    said = init(home)
    assert (said.code, file.read_text()) == (64, "mine")
    assert "--force" in said.err
    assert init(home, "--force").code == 0
    assert file.read_text() == first


def test_another_store_has_a_scenario_of_its_own(init: Any, tmp_path: Path) -> None:
    home = copy_of("django", tmp_path)
    text = written(init, home, "--store", "database")
    assert "  volume: { volume: database, under: persistence-tests }" in text
    said = init(home, "--store", "databse", "--output", "x.persistence.yaml")
    assert said.code == 64
    assert "it has: media, database," in said.err


def test_a_file_elsewhere_names_the_compose_file_from_there(init: Any, tmp_path: Path) -> None:
    home = copy_of("redis", tmp_path)
    (tmp_path / "scenarios").mkdir()
    said = init(tmp_path, "redis", "--output", "scenarios/cache.persistence.yaml")
    assert said.code == 0, said.err
    assert load(tmp_path / "scenarios" / "cache.persistence.yaml").stack.compose == (home / "compose.yaml",)


BAD = {
    "no file": (None, [], "there is no Compose file"),
    "a file that is not there": ("services: {}\n", ["none.yaml"], "there is no such Compose file"),
    "not YAML": ("services: [\n", [], "Compose refuses compose.yaml"),
    "no services": ("services: {}\n", [], "has no services"),
    "a variable that must be set": (
        'services: { a: { image: "x:${TAG:?say which}" } }\n', [], "say which",
    ),
    "nothing can be written to": (
        "services: { a: { image: x, read_only: true } }\n", [], "nothing in this stack can be written to",
    ),
    "not a scenario's name": ("services: { a: { image: x } }\n", ["--output", "x.yaml"], "scenarios are named"),
    "a place that is not there": (
        "services: { a: { image: x } }\n", ["--output", "no/x.persistence.yaml"], "cannot be written",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_an_error_with_a_remedy(case: str, init: Any, tmp_path: Path) -> None:
    compose, arguments, expected = BAD[case]
    if compose is not None:
        (tmp_path / "compose.yaml").write_text(compose)
    said = init(tmp_path, *arguments)
    assert said.code == 64
    assert expected in said.err
    assert "  --> " in said.err and "= help: " in said.err
    assert not list(tmp_path.glob("*.persistence.yaml"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read(init: Any, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}")
    (tmp_path / "compose.yaml").chmod(0)
    assert "cannot be read" in init(tmp_path).err


def test_compose_files_are_found_as_compose_finds_them(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for name in ("docker-compose.yml", "docker-compose.override.yml"):
        (tmp_path / name).write_text("")
    assert [file.name for file in find_files(None, below, {})] == [
        "docker-compose.yml", "docker-compose.override.yml",
    ]  # fmt: skip
    (tmp_path / "compose.yaml").write_text("")
    assert find_files(None, below, {})[0] == tmp_path / "compose.yaml"
    assert find_files(tmp_path, below, {})[0] == tmp_path / "compose.yaml"
    assert find_files(Path("docker-compose.yml"), tmp_path, {}) == (tmp_path / "docker-compose.yml",)
    named = {"COMPOSE_FILE": "docker-compose.yml:compose.yaml"}
    assert [file.name for file in find_files(None, tmp_path, named)] == ["docker-compose.yml", "compose.yaml"]


def test_what_reaches_the_machine_is_replaced_or_named(
    init: Any, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    home = project(
        tmp_path,
        """
services:
  app:
    image: example/app:2
    container_name: shop
    ports: ["443:8443"]
    environment:
      SECRET_KEY: ${SECRET_KEY}
    volumes:
      - /srv/shop/media:/srv/media
      - /etc/localtime:/etc/localtime:ro
  traefik:
    image: traefik:v3
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
""",
    )
    said = init(home)
    text = (home / "shop.persistence.yaml").read_text()
    assert (said.code, text, said.out) == snapshot
    load(home / "shop.persistence.yaml")


@pytest.mark.parametrize(
    ("compose", "line"),
    [
        # a variable says where, and nothing is mounted there: the classic loss is what is looked at
        (
            "services: { app: { image: x, environment: { MEDIA_ROOT: /app/media, SSL_CERT_FILE: /etc/a/b.pem } },"
            " db: { image: 'postgres:16', volumes: ['pg:/var/lib/postgresql/data'] } }\nvolumes: { pg: }\n",
            "direct: { service: app, root: /, under: app/media }",
        ),
        # a volume beside the directory that is written to
        (
            "services: { app: { image: x, environment: { UPLOAD_DIR: /app/uploads }, volumes: ['cache:/cache'] } }\n"
            "volumes: { cache: }\n",
            "direct: { service: app, root: /, under: app/uploads }",
        ),
        # the whole project is mounted: only what is uploaded into it counts
        (
            "services: { app: { image: x, environment: { MEDIA_ROOT: /app/media }, volumes: ['.:/app'] } }\n",
            "volume: { bind: ./, under: media }",
        ),
        # PGDATA below the mount: beside the server's own files
        (
            "services: { db: { image: 'postgres:16', environment: { PGDATA: /var/lib/postgresql/data/pgdata },"
            " volumes: ['pg:/var/lib/postgresql/data'] } }\nvolumes: { pg: }\n",
            "direct: { service: db, root: /var/lib/postgresql/data, under: persistence-tests, user: postgres }",
        ),
        # redis keeps its data elsewhere than where the volume is
        (
            "services: { cache: { image: redis, volumes: ['redis:/var/lib/redis-data'] } }\nvolumes: { redis: }\n",
            "direct: { service: cache, root: /data, under: persistence-tests, user: redis }",
        ),
        # a well-known application, whose uploads are a part of what is mounted, and are served
        (
            "services: { blog: { image: 'wordpress:6', ports: ['8080:80'], volumes: ['wp:/var/www/html'] } }\n"
            "volumes: { wp: }\n",
            'api: { service: blog, port: 80, url: "/wp-content/uploads/{name}" }',
        ),
        # beside a database; the directory above has the name of something else
        (
            "services: { photos: { image: x, volumes: ['./library:/usr/src/app/upload', './l:/var/log/app'] },"
            " db: { image: 'postgres:16', volumes: ['pg:/var/lib/postgresql/data'] } }\nvolumes: { pg: }\n",
            "volume: { bind: ./library }",
        ),
        (
            "services: { app: { image: x, environment: { DATABASE_URL: 'sqlite:////data/app.db' },"
            " volumes: ['app-data:/data', 'logs:/var/log/app'] } }\nvolumes: { app-data: , logs: }\n",
            "volume: { volume: app-data, under: persistence-tests }",
        ),
    ],
)  # fmt: skip
def test_the_likeliest_store_is_chosen(compose: str, line: str, init: Any, tmp_path: Path) -> None:
    text = written(init, project(tmp_path, compose))
    assert "/etc/a" not in init(tmp_path / "shop", "--force").out
    assert f"  {line}\n" in text, text


def test_a_service_that_keeps_the_files_or_lends_its_network_is_not_left_out(
    init: Any, tmp_path: Path
) -> None:
    home = project(
        tmp_path,
        """
services:
  vpn: { image: x, privileged: true }
  app: { image: x, network_mode: "service:vpn", volumes: ["media:/srv/media"] }
  keeper: { image: x, pid: host, volumes: ["uploads:/srv/uploads"], environment: { UPLOAD_DIR: /srv/uploads } }
volumes: { media: , uploads: }
""",
    )
    said = init(home)
    assert said.code == 0
    text = (home / "shop.persistence.yaml").read_text()
    assert "direct: { service: keeper" in text and "without" not in text
    for where in ("services.vpn.privileged", "services.keeper.pid"):
        assert f"#   {where}: " in text and f"  - {where}: " in said.out


def test_configuration_comes_along_and_data_begins_empty(init: Any, tmp_path: Path) -> None:
    home = project(
        tmp_path,
        "services: { app: { image: x, volumes: ['./config:/config', './data:/data', './empty:/etc/x'] } }\n",
    )
    for name in ("config", "data", "empty"):
        (home / name).mkdir()
    for name in ("config", "data"):
        (home / name / "file").write_text("content")
    assert "  copy: [./config]\n" in written(init, home)


WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/:$", exclude_categories=["Cc", "Cs", "Zl", "Zp"]),
    max_size=12,
)
PATHS = st.lists(WORDS.filter(lambda word: word.strip(".") != ""), min_size=1, max_size=3).map("/".join)
KEYS = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,9}", fullmatch=True)
MOUNTS = st.one_of(
    st.builds(lambda key, target: {"type": "volume", "source": key, "target": f"/{target}"}, KEYS, PATHS),
    st.builds(
        lambda source, target: {"type": "bind", "source": source, "target": f"/{target}"}, PATHS, PATHS
    ),
    st.builds(lambda target: {"type": "volume", "target": f"/{target}"}, PATHS),
)
SERVICES = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["postgres:16", "redis", "wordpress", "nginx", "example/app", "mysql:8"]),
        "volumes": st.lists(MOUNTS, max_size=3),
        "environment": st.dictionaries(
            st.sampled_from(["MEDIA_ROOT", "PGDATA", "DATA_DIR", "DATABASE_URL", "X"]), PATHS.map("/".__add__)
        ),
        "ports": st.lists(st.sampled_from([{"target": 80}, {"target": 8000}]), max_size=1),
        "restart": st.sampled_from(["no", "always"]),
    }
)


@given(services=st.dictionaries(KEYS, SERVICES, min_size=1, max_size=3), outside=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_stack_is_the_scenario_is_a_sound_one(
    services: dict[str, dict[str, Any]], outside: bool, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "compose.yaml").write_text("")
    volumes = {}
    for service in services.values():
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                base = "/machine" if outside else str(home)
                mount["source"] = (
                    mount["source"] if mount["source"].startswith("/") else f"{base}/{mount['source']}"
                )
            elif "source" in mount:
                volumes[mount["source"]] = {"name": f"home_{mount['source']}"}
    config = {"name": "home", "services": services, "volumes": volumes}
    foreign = Project((home / "compose.yaml",), config, tuple(services), ("UNSET",))
    read = read_services(foreign)
    stores = find_stores(foreign, read)
    for store in stores:
        (home / "x.persistence.yaml").write_text(scenario_text(propose(foreign, read, stores, store), home))
        assert check_against(load(home / "x.persistence.yaml"), config) == []
