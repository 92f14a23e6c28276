"""What a sound scenario file becomes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.errors import ScenarioError, UsageError
from persistence_tests.model.names import NameTrait
from persistence_tests.model.operation import Acknowledgement, OperationKind, PayloadKind, PromiseClass
from persistence_tests.model.payload import DEFAULT_SIZES
from persistence_tests.model.records import Claim, StepPlanned
from persistence_tests.paths.frames import Overwriting
from persistence_tests.paths.request import RequestTemplate
from persistence_tests.scenario import Ready, find, load
from persistence_tests.scenario.quantities import byte_count, directory, mode
from persistence_tests.scenario.references import step_names
from tests.unit.scenario_vocabulary import SOUND, VOCABULARY, complaints, loaded, written


def test_a_whole_scenario(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, SOUND)
    assert scenario.name == "sound"
    assert scenario.source == tmp_path / "sound.persistence.yaml"
    assert scenario.sha256 == hashlib.sha256(SOUND.encode()).hexdigest()
    assert scenario.stack.compose == (tmp_path / "compose.yaml",)
    assert not scenario.stack.follow_project
    assert scenario.ready == Ready("api", "/health", 60.0)
    assert [(name, kind) for name, (kind, _) in scenario.paths.items()] == [
        ("volume", "volume"),
        ("direct", "direct"),
        ("api", "api"),
    ]
    assert scenario.expect.directories == ("admin", "blog", "uploads")
    assert scenario.expect.mode == "0755"
    assert scenario.expect.ignore == ()
    assert scenario.claims == (Claim("Force kill container", "kill"),)
    assert scenario.up == StepPlanned("up", "up", "up, from nothing")


def test_rules_with_their_defaults(tmp_path: Path) -> None:
    direct, api = loaded(tmp_path, SOUND).rules
    assert (direct.index, direct.through, direct.into, direct.files) == (0, "direct", ("admin", "blog"), 4)
    assert (direct.kinds, direct.sizes, direct.names) == ((PayloadKind.BYTES,), DEFAULT_SIZES, "hostile")
    assert (direct.operations, direct.requests, direct.writers) == ((OperationKind.CREATE,), {}, 1)
    assert direct.overwriting is Overwriting.TRUNCATE
    assert (direct.acknowledgement, direct.atomic) == (Acknowledgement.EXIT_0, False)
    assert direct.title == "4 files into admin, blog through direct"
    assert (api.index, api.writers) == (1, 4)
    assert api.requests == {OperationKind.CREATE: RequestTemplate("POST", "/files/{directory}", "file")}
    assert (api.acknowledgement, api.atomic) == (Acknowledgement.HTTP_2XX, True)


def test_operations_and_their_requests(tmp_path: Path) -> None:
    requests = (
        "{ create: 'POST /files/{directory}', overwrite: 'PUT /files/{name}', append: 'POST /more/{name}', "
        "rename: { send: 'MOVE /files/{name}', headers: { Destination: '/files/{to}' } }, "
        "delete: 'DELETE /files/{name}' }"
    )
    every = "operations: [delete, create, overwrite, append, rename]"
    content = SOUND.replace('"POST /files/{directory}"', requests)
    content = content.replace("into: [uploads]", f"into: [uploads], {every}, writers: 7")
    content = content.replace("files: 4", f"files: 5, {every}, overwrite: in-place, writers: 3")
    direct, api = loaded(tmp_path, content).rules
    kinds = tuple(map(OperationKind, ("create", "overwrite", "append", "rename", "delete")))
    assert direct.operations == api.operations == kinds
    assert (direct.overwriting, direct.writers, api.writers) == (Overwriting.IN_PLACE, 3, 7)
    assert api.requests == {
        OperationKind.CREATE: RequestTemplate("POST", "/files/{directory}", "file"),
        OperationKind.OVERWRITE: RequestTemplate("PUT", "/files/{name}"),
        OperationKind.APPEND: RequestTemplate("POST", "/more/{name}", "file"),
        OperationKind.RENAME: RequestTemplate("MOVE", "/files/{name}", None, {"Destination": "/files/{to}"}),
        OperationKind.DELETE: RequestTemplate("DELETE", "/files/{name}"),
    }


def test_steps_carry_their_line(tmp_path: Path) -> None:
    steps = loaded(tmp_path, SOUND).steps
    assert [step.planned for step in steps] == [
        StepPlanned("restart", "restart", "restart", 13, 5, "  - restart", 0),
        StepPlanned(
            "kill", "kill", "kill app while writing", 14, 5, "  - kill: { service: app, while: writing }", 1
        ),
    ]
    assert [type(step.event).name for step in steps] == ["restart", "kill"]
    assert steps[1].event.services() == ("app",)


def test_repeated_events_and_up_are_numbered(tmp_path: Path) -> None:
    content = SOUND.replace("- restart", "- up\n  - restart\n  - restart\n  - kill\n  - restart:")
    assert [step.step for step in loaded(tmp_path, content).steps] == [
        "up-2", "restart", "restart-2", "kill", "restart-3", "kill-2",
    ]  # fmt: skip


def test_promise_is_filled_in_for_every_path_that_writes(tmp_path: Path) -> None:
    content = SOUND.replace(
        "expect:", "promise: { acknowledged: { direct: fsync }, atomic: { api: false } }\nexpect:"
    )
    scenario = loaded(tmp_path, content)
    assert scenario.promise.acknowledged == {"direct": Acknowledgement.FSYNC, "api": Acknowledgement.HTTP_2XX}
    assert scenario.promise.atomic == {"direct": False, "api": False}
    assert scenario.promise.classes == tuple(PromiseClass)
    assert [rule.acknowledgement for rule in scenario.rules] == [
        Acknowledgement.FSYNC,
        Acknowledgement.HTTP_2XX,
    ]
    assert [rule.atomic for rule in scenario.rules] == [False, False]


def test_atomic_of_the_path_holds_where_the_promise_is_silent(tmp_path: Path) -> None:
    content = SOUND.replace("root: /data", "root: /data, atomic: true")
    assert loaded(tmp_path, content).promise.atomic == {"direct": True, "api": True}


def test_stack(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("services: {}\n")
    content = SOUND.replace(
        "compose: compose.yaml",
        "compose: [compose.yaml, ./more.yaml]\n  profiles: [backup]\n  env: { TAG: \"1.10\" }\n"
        "  setup: [./seed.sh]\n  commands: follow-project\n  binds: { /srv/media: media }\n"
        "  copy: [fixtures]",
    )  # fmt: skip
    stack = loaded(tmp_path, content).stack
    assert stack.compose == (tmp_path / "compose.yaml", tmp_path / "more.yaml")
    assert (stack.profiles, stack.env, stack.setup) == (("backup",), {"TAG": "1.10"}, ("./seed.sh",))
    assert (stack.follow_project, stack.binds, stack.copy) == (True, {"/srv/media": "media"}, ("fixtures",))


def test_a_stack_may_need_more_time_and_have_no_url(tmp_path: Path) -> None:
    text = SOUND.replace("ready: { path: api, url: /health }", "ready: { within: 180s }")
    assert loaded(tmp_path, text).ready == Ready(None, None, 180.0)


def test_a_stack_without_a_url_needs_no_ready(tmp_path: Path) -> None:
    assert loaded(tmp_path, SOUND.replace("  ready: { path: api, url: /health }\n", "")).ready is None


def test_hostile_names_without_what_the_stack_refuses(tmp_path: Path) -> None:
    direct, api = loaded(tmp_path, SOUND.replace("files: 4", "files: 4, without: [nested, long]")).rules
    assert set(direct.traits) == set(NameTrait) - {NameTrait.NESTED, NameTrait.LONG}
    assert api.traits == tuple(NameTrait)


def test_hostile_names_without_everything_are_refused(tmp_path: Path) -> None:
    everything = ", ".join(NameTrait)
    with pytest.raises(ScenarioError, match="hostile names without anything hostile are plain"):
        loaded(tmp_path, SOUND.replace("files: 4", f"without: [{everything}]"))


def test_the_root_itself_is_a_place_to_write(tmp_path: Path) -> None:
    rule = loaded(tmp_path, SOUND.replace("into: [admin, blog]", "into: [., admin/logos/]")).rules[0]
    assert rule.into == ("", "admin/logos")
    assert rule.title == "4 files into the root, admin/logos through direct"


@pytest.mark.parametrize("encode", ["utf-8-sig", "utf-8"])
def test_byte_order_mark_and_line_ends_do_not_move_positions(encode: str, tmp_path: Path) -> None:
    content = SOUND.replace("\n", "\r\n").encode(encode)
    assert [step.planned.line for step in loaded(tmp_path, content).steps] == [13, 14]
    assert loaded(tmp_path, content).steps[0].planned.text == "  - restart"


def test_aliases_are_read(tmp_path: Path) -> None:
    content = SOUND.replace("into: [admin, blog]", "into: &places [admin, blog]")
    content = content.replace("into: [uploads]", "into: *places")
    assert [rule.into for rule in loaded(tmp_path, content).rules] == [("admin", "blog")] * 2


def test_relative_source_and_absolute_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    written(tmp_path / "below", SOUND.replace("compose.yaml", "../compose.yaml"))
    monkeypatch.chdir(tmp_path)
    scenario = load("below/sound.persistence.yaml", VOCABULARY)
    assert str(scenario.source) == "below/sound.persistence.yaml"
    assert scenario.stack.compose == (tmp_path / "compose.yaml",)


def test_files_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.persistence.yaml", "a.persistence.yaml", "deep/c.persistence.yaml", "other.yaml",
                 ".hidden/d.persistence.yaml"):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find([tmp_path / "b.persistence.yaml", tmp_path])
    assert [file.name for file in found] == ["b.persistence.yaml", "a.persistence.yaml", "c.persistence.yaml"]


@pytest.mark.parametrize("name", ["nowhere.persistence.yaml", "other.yaml"])
def test_what_is_no_scenario_is_a_usage_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").touch()
    with pytest.raises(UsageError) as raised:
        find([tmp_path / name])
    assert raised.value.where == str(tmp_path / name)
    assert raised.value.remedy


@given(st.lists(st.sampled_from(["up", "restart", "kill"]), max_size=30))
def test_step_names_are_unique_and_say_their_event(events: list[str]) -> None:
    names = step_names(events)
    assert len({"up", *names}) == len(events) + 1
    assert all(
        name == event or name.startswith(f"{event}-") for name, event in zip(names, events, strict=True)
    )


@given(st.integers(0, 64 * 1024))
def test_sizes_with_a_unit(count: int) -> None:
    assert byte_count(f"{count}KiB") == byte_count(f"{count} KiB") == byte_count(count * 1024) == count * 1024


@given(st.integers(0, 0o7777))
def test_modes(bits: int) -> None:
    digits = f"{bits:04o}"
    assert mode(digits) == digits
    assert mode(digits[1:]) == f"0{digits[1:]}"


@pytest.mark.parametrize(("given", "read"), [("a", "a"), ("a/b", "a/b"), ("a/", "a"), ("ä b", "ä b")])
def test_directories(given: str, read: str) -> None:
    assert directory(given) == read


def test_an_upload_that_is_never_so_large_is_no_gate(tmp_path: Path) -> None:
    def said(sent: int) -> str:
        gated = f"while: writing, after: {{ sent: {sent} }} }}"
        content = SOUND.replace("files: 4 }", "sizes: [10, 4KiB], kinds: [bytes] }")
        content = content.replace("multipart: file,", "multipart: file, sizes: [100],")
        return complaints(written(tmp_path, content.replace("while: writing }", gated)))

    with pytest.raises(AssertionError, match="the file was accepted"):
        said(4095)
    message = said(4096)
    assert "no upload has more than 4096 bytes: the largest file that is written has 4096" in message
    assert "write a smaller number here, or a larger size in `writes`" in message
    assert ":14:58" in message


def test_one_entry_may_be_several_steps(tmp_path: Path) -> None:
    steps = {"command": "./deploy.sh", "interrupt": ["Building", "Starting"]}
    events = f"events:\n  - restart\n  - deploy: {json.dumps(steps)}\n  - restart\n"
    content = SOUND.replace("events:\n  - restart\n", events)
    content = content.replace("compose: compose.yaml", "compose: compose.yaml\n  commands: follow-project")
    content = content.replace("Force kill container: kill", "Deploy: deploy-2")
    scenario = load(written(tmp_path, content))
    assert [(s.step, s.entry, s.planned.line - scenario.steps[0].planned.line) for s in scenario.steps] == [
        ("restart", 0, 0),
        ("deploy", 1, 1),
        ("deploy-2", 1, 1),
        ("restart-2", 2, 2),
        ("kill", 3, 3),
    ]
    assert [step.event.title for step in scenario.steps[1:3]] == [
        'deploy, interrupted at "Building"',
        'deploy, interrupted at "Starting"',
    ]


def test_an_error_in_one_of_several_steps_is_said_at_its_entry(tmp_path: Path) -> None:
    entry = '- deploy: { command: ./deploy.sh, interrupt: ["a", "("], titel: x }'
    content = SOUND.replace("- restart", f"{entry}\n  - restart: {{ titel: y }}")
    with pytest.raises(ScenarioError) as error:
        load(written(tmp_path, content))
    said = [(problem.line, problem.what) for problem in error.value.problems]
    line = next(i for i, text in enumerate(content.splitlines(), 1) if "deploy" in text)
    assert sorted({at for at, _ in said}) == [line, line + 1]
    assert sum("titel" in what for at, what in said if at == line) == 1
    assert any("regular expression" in what for _, what in said)
    assert any("own commands may not run" in what for _, what in said)
