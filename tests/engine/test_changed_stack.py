"""Events that make another stack of it: new images, an edited file, another directory, the stack's own deploy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.report.build import step_result
from persistence_tests.report.result import StepResult
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import BOX, Entry

pytestmark = pytest.mark.engine

UNNAMED = "volumes: { files: { name: !reset null } }\n"  # the project's own again, and named after it
LABEL = {"volumes": {"files": {"labels": {"edited": "1"}}}}
OTHER_LABEL = {"volumes": {"files": {"labels": {"edited": "2"}}}}
OTHER_VOLUME = {"volumes": {"other": {}}, "services": {"box": {"volumes": ["other:/files"]}}}


def deploy(command: str, **options: Any) -> Entry:
    return {"deploy": {"command": command, **options}}


EVENTS: dict[str, Entry] = {
    "new instruction": {"image-upgrade": {"append": "RUN echo 2 >/version"}},
    "unused argument": {"image-upgrade": {"service": "box", "build_args": {"NOBODY": "2"}}},
    "environment": {"up-changed": {"edits": {"services": {"box": {"environment": {"X": "2"}}}}}},
    "volume kept": {"up-changed": {"edits": LABEL}},
    "volume lost": {"up-changed": {"edits": OTHER_LABEL, "yes": True}},
    "other volume": {"up-changed": {"edits": OTHER_VOLUME}},
    "outside": {"up-changed": {"edits": {"services": {"box": {"volumes": ["/etc:/host"]}}}}},
    "renamed": "rename-project",
    "one service": deploy("docker-compose up -d --build box"),
    "interrupted": deploy("./deploy.sh", interrupt="starting", signal="SIGTERM"),
    "anew": deploy("./deploy-anew.sh"),
    "aside": deploy("./deploy-aside.sh", interrupt="restoring"),
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("changed")
    (directory / "unnamed.yaml").write_text(UNNAMED)
    files = [str(BOX / "compose.yaml"), str(directory / "unnamed.yaml")]
    stack = {"compose": files, "commands": "follow-project"}
    with bench(directory, EVENTS, times=1, stack=stack) as opened:
        assert opened.running.open().verdict is Verdict.KEPT
        yield opened


def judged(box: Bench, name: str) -> tuple[StepJudgement, StepResult]:
    judgement = box.step(box.take(name))
    return judgement, step_result(box.run.entries, box.running.scenario.name, judgement)


@pytest.mark.parametrize(
    "name", ["new instruction", "environment", "volume kept", "one service", "interrupted"]
)
def test_what_a_sound_stack_keeps(box: Bench, name: str) -> None:
    judgement, _ = judged(box, name)
    assert judgement.reasons == ()
    assert judgement.verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("name", "symptom", "paths", "rule"),
    [
        ("volume lost", Symptom.MISSING, ("volume", "direct"), "volume-removed"),
        ("other volume", Symptom.MISSING, ("direct",), "other-volume"),
        ("renamed", Symptom.ORPHANED, ("volume", "direct"), "project-volume"),
        ("anew", Symptom.MISSING, ("volume", "direct"), "volume-removed"),
        ("aside", Symptom.MISSING, ("volume", "direct"), "volume-removed"),
    ],
)
def test_what_is_lost_and_why(
    box: Bench, name: str, symptom: Symptom, paths: tuple[str, ...], rule: str
) -> None:
    judgement, result = judged(box, name)
    assert judgement.verdict is Verdict.LOST, judgement.reasons
    [finding] = result.findings
    assert (finding.symptom, tuple(finding.paths)) == (symptom, paths)
    assert finding.diagnosis is not None
    assert finding.diagnosis.rule == rule


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unused argument", "image of box: expected made anew, but it is unchanged"),
        (
            "outside",
            "mounts /etc at /host, which lies outside the project directory; help: say what replaces it",
        ),
    ],
)
def test_what_proves_nothing(box: Bench, name: str, reason: str) -> None:
    judgement, _ = judged(box, name)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any(reason in said for said in judgement.reasons), judgement.reasons


# How it stands; nothing of it is started


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    connected = Engine.connect()
    yield connected
    connected.close()


BARE = 'services: { app: { image: "debian:bookworm-slim", volumes: ["files:/files", "./data:/data"] } }\n'
VOLUMES = "volumes: { files: {}, named: { name: mine } }\n"
USING = 'services: { app: { volumes: ["named:/named"] } }\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "compose.yaml").write_text(BARE + VOLUMES)
    (directory / "using.yaml").write_text(USING)
    return directory


def stands(project: Path, engine: Engine, request: pytest.FixtureRequest) -> Stack:
    files = (project / "compose.yaml", project / "using.yaml")
    stack = Stack.prepare(StackSpec(files), engine, "test-changed", "shop")
    request.addfinalizer(stack.close)
    return stack


def test_a_projects_name_follows_its_directory(
    project: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    stack = stands(project, engine, request)
    began, former = stack.identity.project, stack.workspace
    assert stack.volume("files") == f"{began}_files"
    stack.rename_directory()
    assert (stack.project, stack.workspace.name) == (f"{began}-renamed", "shop-renamed")
    assert stack.volume("files") == f"{began}-renamed_files"
    assert stack.volume("named") == f"{began}-mine"
    assert stack.bind("./data") == stack.workspace / "data"
    assert not former.exists()
    assert project.is_dir()
    stack.reset()
    assert (stack.project, stack.workspace) == (began, former)
    assert (former / "compose.yaml").is_file()
    assert not former.with_name("shop-renamed").exists()


@pytest.mark.parametrize("how", ["name", ".env"])
def test_a_pinned_name_does_not(
    how: str, project: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    if how == "name":
        (project / "compose.yaml").write_text(f"name: acme\n{BARE}{VOLUMES}")
    else:
        (project / ".env").write_text("COMPOSE_PROJECT_NAME=acme\n")
    stack = stands(project, engine, request)
    stack.rename_directory()
    assert stack.project == stack.identity.project
    assert stack.volume("files") == f"{stack.project}_files"


def test_an_absolute_bind_into_the_project_would_not_follow(
    project: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    (project / "using.yaml").write_text(f'services: {{ app: {{ volumes: ["{project}/data:/again"] }} }}\n')
    stack = stands(project, engine, request)
    with pytest.raises(StackError, match="does not follow when that is renamed"):
        stack.rename_directory()
    assert stack.workspace.is_dir()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a bind outside": ({"services": {"app": {"volumes": ["/etc:/host"]}}}, "lies outside the project"),
    "a privileged service": ({"services": {"app": {"privileged": True}}}, "privileged"),
    "the engine's socket": (
        {"services": {"app": {"volumes": ["/var/run/docker.sock:/docker.sock"]}}},
        "mounts the engine's socket",
    ),
    "a foreign driver": ({"volumes": {"files": {"driver": "nfs"}}}, "the driver nfs"),
    "a file outside": (
        {"services": {"app": {"env_file": "../secret.env"}}},
        "files outside the project directory",
    ),
}


def test_an_edit_is_isolated_like_the_stack_itself_or_refused(
    project: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    (project.parent / "secret.env").write_text("A=b\n")
    stack = stands(project, engine, request)
    stood = stack.prepared
    for edit, reason in REFUSED.values():
        with pytest.raises(StackRefused, match=reason):
            stack.edit(edit)
        assert stack.prepared is stood
    ports = {
        "services": {"app": {"ports": ["80:80"], "container_name": "theirs"}, "new": {"image": "debian"}}
    }
    stack.edit({**ports, "volumes": {"files": {"name": "their-files"}}})
    app = stack.config["services"]["app"]
    assert "container_name" not in app
    assert [(port["host_ip"], port.get("published")) for port in app["ports"]] == [("127.0.0.1", None)]
    assert stack.config["services"]["new"]["labels"].items() >= stack.identity.labels.items()
    assert stack.volume("files") == f"{stack.project}-their-files"
    assert (project / "compose.yaml").read_text() == BARE + VOLUMES
    stack.reset()
    assert stack.volume("files") == f"{stack.project}_files"


def test_a_file_of_the_project_edits_it_too(
    project: Path, engine: Engine, request: pytest.FixtureRequest
) -> None:
    (project / "next.yaml").write_text("services: { app: { volumes: !reset [] } }\n")
    stack = stands(project, engine, request)
    stack.edit(file="next.yaml")
    assert not stack.config["services"]["app"].get("volumes")
    assert stack.volume("files") == f"{stack.project}_files"  # out of use, and still to be looked at
    with pytest.raises(StackError, match=r"there is no file other\.yaml"):
        stack.edit(file="other.yaml")
