"""What scenario files may say of events, and what the events read from a Compose configuration."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from persistence_tests.errors import StackError
from persistence_tests.events import EVENTS
from persistence_tests.events.archive import CommandFailed, back_up, restore
from persistence_tests.events.base import Event
from persistence_tests.events.configuration import (
    building,
    own_volumes,
    remade_with,
    restarted_with,
    running_images_of,
    volumes_unlike,
)
from persistence_tests.events.evidence import signal_number
from persistence_tests.events.gate import Gate
from persistence_tests.events.waiting import wait_until
from persistence_tests.model.records import DataFate
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.state import Store

COMMANDS = {"backup": "./b", "restore": "./r {archive}"}
REQUIRED = {**COMMANDS, "service": "api", "command": "import {name}"}
DEPLOY = {"command": "./deploy.sh"}


def required(name: str) -> dict[str, Any]:
    """What the event cannot do without."""
    fields = EVENTS[name].Options.model_fields
    return {key: REQUIRED[key] for key, field in fields.items() if field.is_required()}


def made(name: str, **options: Any) -> Event:
    kind = EVENTS[name]
    return kind(kind.Options.model_validate(options))


@pytest.mark.parametrize(
    ("name", "options", "title"),
    [
        ("up", {}, "up"),
        ("stop-start", {"title": "a power switch"}, "a power switch"),
        ("kill", {}, "kill all services (SIGKILL)"),
        ("kill", {"service": "api", "while": "writing"}, "kill api (SIGKILL) while writing"),
        ("kill", {"service": ["api", "db"], "signal": "term"}, "kill api, db (SIGTERM)"),
        ("kill", {"service": "api", "signal": 9}, "kill api (SIGKILL)"),
        ("crash", {"service": "api", "while": "writing"}, "crash api while writing"),
        ("power-loss", {**DEPLOY, "at": "m"}, 'power-loss during `./deploy.sh`, at "m"'),
        (
            "power-loss",
            {"backup": "./b", "command": "./r {archive}", "strict": True},
            "power-loss during `./r {archive}`, strict",
        ),
        ("volume-recreate", {}, "volume-recreate"),
        ("volume-recreate", {"volume": "media", **COMMANDS}, "volume-recreate of media, then restore"),
        ("backup-restore", COMMANDS, "backup-restore"),
        ("pause", {}, "pause all services"),
        ("pause", {"service": "api"}, "pause api"),
        ("scale", {"service": "api"}, "scale api to 2 and back"),
        ("scale", {"service": "api", "to": 5, "while": "writing"}, "scale api to 5 and back while writing"),
        ("run-once", {"service": "api", "command": "import {name}"}, "run-once in api"),
        ("image-upgrade", {}, "image-upgrade"),
        (
            "image-upgrade",
            {"service": "api", "build_args": {"V": "2"}, "dockerfile": "Dockerfile.next"},
            "image-upgrade api (V=2; Dockerfile.next)",
        ),
        ("up-changed", {"file": "next.yaml", "yes": True}, "up-changed next.yaml -y"),
        (
            "up-changed",
            {"edits": {"services": {"api": {}, "db": {}}, "name": "x"}},
            "up-changed services.api, services.db, name",
        ),
        ("rename-project", {}, "rename-project"),
        ("deploy", DEPLOY, "deploy"),
        ("deploy", {**DEPLOY, "interrupt": "Building"}, 'deploy, interrupted at "Building"'),
        (
            "deploy",
            {**DEPLOY, "interrupt": "Building", "signal": "SIGINT"},
            'deploy, interrupted at "Building" by SIGINT',
        ),
    ],
)
def test_titles(name: str, options: dict[str, Any], title: str) -> None:
    assert made(name, **options).title == title


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("up", {"service": "api"}),
        ("kill", {"service": []}),
        ("kill", {"service": ""}),
        ("kill", {"signal": "SIGNOTHING"}),
        ("kill", {"signal": 0}),
        ("kill", {"signal": True}),
        ("kill", {"while": "dreaming"}),
        ("restart", {"after": {"acknowledged": 5}}),
        ("restart", {"while": "reading", "after": {"acknowledged": 5}}),
        ("restart", {"while": "writing", "after": {"read": 5}}),
        ("restart", {"while": "writing", "after": {}}),
        ("restart", {"while": "writing", "after": {"acknowledged": 5, "sent": 5}}),
        ("restart", {"while": "writing", "after": {"acknowledged": 0}}),
        ("restart", {"while": "writing", "after": {"sent": True}}),
        ("restart", {"while": "writing", "after": {"seconds": 3}}),
        ("crash", {"signal": "SIGTERM"}),
        ("volume-recreate", {"backup": "./b"}),
        ("volume-recreate", {"restore": "./r"}),
        ("backup-restore", {}),
        ("renew-anon", {"service": "api"}),
        ("scale", {}),
        ("scale", {"service": "api", "to": 1}),
        ("run-once", {"service": "api"}),
        ("run-once", {"command": "import {name}"}),
        ("run-once", {"service": "api", "command": "import"}),
        ("run-once", {"service": "api", "command": "import ${name}"}),
        ("run-once", {"service": "api", "command": "import {directory}"}),
        ("run-once", {"service": "api", "command": "sh -c 'cat > {name}"}),
        ("backup-restore", {"backup": "", "restore": "./r"}),
        ("image-upgrade", {"dockerfile": "a", "append": "RUN true"}),
        ("image-upgrade", {"build_args": {"A": None}}),
        ("up-changed", {"edits": {}}),
        ("up-changed", {"edits": {"services": {}}, "file": "next.yaml"}),
        ("deploy", {}),
        ("deploy", {**DEPLOY, "interrupt": "("}),
        ("deploy", {**DEPLOY, "interrupt": []}),
        ("deploy", {**DEPLOY, "signal": "SIGKILL"}),
        ("deploy", {**DEPLOY, "interrupt": "a", "signal": "SIGHUP"}),
        ("power-loss", {"at": "a"}),
        ("power-loss", {**DEPLOY, "during": "up"}),
        ("power-loss", {**DEPLOY, "backup": "./b"}),
        ("power-loss", {"backup": "./b"}),
        ("power-loss", {"command": "./r {archive}"}),
        ("power-loss", {"after": "7s", "while": "writing"}),
        ("power-loss", {"after": "40s"}),
    ],
)
def test_options_that_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(name, **options)


@pytest.mark.parametrize("name", EVENTS)
def test_every_option_is_described_and_every_event_summed_up(name: str) -> None:
    kind = EVENTS[name]
    properties = kind.Options.model_json_schema()["properties"]
    assert properties
    assert all(entry.get("description") for entry in properties.values())
    assert kind.name == name
    assert kind.summary


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_can_be_applied_while_others_go_on(name: str) -> None:
    given = required(name)
    assert made(name, **given).gate is None
    assert made(name, **given, **{"while": "writing"}).gate == Gate("acknowledged", 5)
    later = made(name, **given, **{"while": "writing"}, after={"acknowledged": 7})
    assert later.gate == Gate("acknowledged", 7)
    assert later.title == f"{made(name, **given).title} while writing, after 7 acknowledgements"
    amid = made(name, **given, **{"while": "writing"}, after={"sent": 65536})
    assert amid.gate == Gate("sent", 65536)
    assert amid.title.endswith(" while writing, after 65536 bytes of an upload")
    assert made(name, **given, **{"while": "reading"}).gate == Gate("read", 20)
    assert made(name, **given, **{"while": "reading"}).title == f"{made(name, **given).title} while reading"
    received = made(name, **given, **{"while": "reading"}, after={"received": 9})
    assert received.gate == Gate("received", 9)
    assert received.title.endswith(" while reading, after 9 bytes received")


def test_services_and_volumes_to_validate() -> None:
    assert made("kill", service=["api", "db", "api"]).services() == ("api", "db")
    assert made("crash", service="api").services() == ("api",)
    assert made("kill").services() == ()
    assert made("scale", service="api").services() == ("api",)
    assert made("run-once", service="api", command="import {name}").services() == ("api",)
    assert made("restart").services() == ()
    assert made("volume-recreate", volume="media").volumes() == ("media",)
    assert made("volume-recreate").volumes() == ()


def test_fates_and_resets() -> None:
    destroying = {"down-volumes", "volume-recreate", "prune"}  # the last as before Engine 23
    for name in EVENTS:
        event = made(name, **required(name))
        assert event.resets is (name in {*destroying, "rename-project"})
        expected = DataFate.RESTORED if name == "backup-restore" else DataFate.KEPT
        assert event.fate() is (DataFate.DESTROYED if name in destroying else expected)
    assert made("volume-recreate", **COMMANDS).fate() is DataFate.RESTORED


@pytest.mark.parametrize(
    ("names", "lose", "keep"),
    [
        (("restart", "stop-start", "kill", "crash"), Store.TMPFS, Store.LAYER),
        (("engine-restart", "engine-kill", "reboot", "host-crash"), Store.TMPFS, Store.LAYER),
        (("host-power-loss",), Store.NEVER_SYNCED, Store.SYNCED),
        (("recreate", "down-up", "rebuild", "image-upgrade", "up-changed"), Store.LAYER, Store.NAMED),
        (("deploy",), Store.LAYER, Store.NAMED),
        (("rename-project",), Store.NAMED, Store.EXTERNAL),
        (("down-volumes", "volume-recreate"), Store.NAMED, Store.EXTERNAL),
        (("backup-restore",), Store.AFTER_BACKUP, Store.BEFORE_BACKUP),
        (("up",), None, Store.NAMED),
    ],
)
def test_controls(names: tuple[str, ...], lose: Store | None, keep: Store) -> None:
    for name in names:
        assert (EVENTS[name].controls.must_lose, EVENTS[name].controls.must_keep) == (lose, keep)


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("", None), ("nothing", None)],
)
def test_signals_are_known_by_name_and_number(text: str, number: int | None) -> None:
    assert signal_number(text) == number


CONFIG: dict[str, Any] = {
    "services": {
        "api": {"build": {"context": "."}},
        "worker": {"image": "p-api"},
        "named": {"build": {"context": "."}, "image": "own:1"},
        "twin": {"image": "own:1"},
        "shares": {"image": "x", "network_mode": "service:api"},
        "deeper": {"image": "x", "pid": "service:shares"},
        "volumes": {"image": "x", "volumes_from": ["named:ro", "container:other"]},
        "follower": {"image": "x", "depends_on": {"shares": {"restart": True}, "twin": {}}},
        "second": {"image": "x", "depends_on": {"follower": {"restart": True}, "api": {"restart": False}}},
    },
    "volumes": {"a": {"name": "p_a"}, "b": {"name": "b", "external": True}, "c": None},
}


def test_what_a_rebuild_reaches() -> None:
    assert building(CONFIG) == ("api", "named")
    built = running_images_of(CONFIG, "p", building(CONFIG))
    assert built == {"api", "worker", "named", "twin"}
    assert running_images_of(CONFIG, "p", ["named", "worker"]) == {"named", "twin"}
    remade = remade_with(CONFIG, built)
    assert remade == {"api", "worker", "named", "twin", "shares", "deeper", "volumes"}
    assert restarted_with(CONFIG, remade) == {"follower"}
    assert remade_with(CONFIG, {"deeper"}) == {"deeper"}
    assert running_images_of({}, "p", ()) == frozenset()


def test_external_volumes_are_not_the_projects_own() -> None:
    assert own_volumes(CONFIG) == ("a", "c")
    assert own_volumes({}) == ()


def test_volumes_that_compose_would_make_anew() -> None:
    def config(**volumes: Any) -> dict[str, Any]:
        return {"volumes": {key: {"name": f"p_{key}", **volume} for key, volume in volumes.items()}}

    before = config(a={}, b={"labels": {"x": "1"}}, c={"driver": "local"}, d={}, e={})
    after = config(
        a={"driver_opts": {"type": "tmpfs"}},
        b={"labels": {"x": "1"}},
        c={"driver": "local", "labels": {"x": "1"}},
        d={"name": "other", "labels": {"x": "1"}},
        e={"external": True, "labels": {"x": "1"}},
        f={"labels": {"x": "1"}},
    )
    assert volumes_unlike(before, after) == ("a", "c")
    assert volumes_unlike({}, after) == ()


@settings(deadline=None)
@given(st.sets(st.sampled_from(sorted(CONFIG["services"]))))
def test_a_service_is_remade_or_restarted_or_neither(remade: set[str]) -> None:
    everything = remade_with(CONFIG, remade)
    assert remade <= everything
    assert remade_with(CONFIG, everything) == everything
    assert not everything & restarted_with(CONFIG, everything)


class PaperStack:
    """Answers the commands of a stack from a function, in a real directory."""

    def __init__(self, workspace: Path, play: Any, config: dict[str, Any] | None = None) -> None:
        self.workspace = workspace
        self.config = config or {}
        self.lines: list[str] = []
        self._play = play

    def command(self, line: str, timeout: float = 1) -> CommandResult:
        self.lines.append(line)
        stdout = self._play(self.workspace)
        return CommandResult(stdout or "", "", 0)


def backed_up(stack: PaperStack) -> str:
    return back_up(cast("Any", stack), "./b").path


@pytest.mark.parametrize("last", ["./out/a b.tar", "out/a b.tar", "ok\n./out/a b.tar\n\n"])
def test_the_archive_is_what_the_last_line_says(tmp_path: Path, last: str) -> None:
    def play(workspace: Path) -> str:
        (workspace / "out").mkdir()
        (workspace / "out" / "a b.tar").write_text("archive")
        (workspace / "newer.log").write_text("log")
        return last

    assert backed_up(PaperStack(tmp_path, play)) == "./out/a b.tar"


def test_an_archive_outside_the_workspace_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "outside.tar").write_text("other")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with pytest.raises(CommandFailed, match="no file appeared"):
        backed_up(PaperStack(workspace, lambda _: "../outside.tar"))


def test_files_that_the_stack_itself_writes_are_no_archive(tmp_path: Path) -> None:
    config = {
        "services": {
            "api": {"volumes": [{"type": "bind", "source": str(tmp_path / "data"), "target": "/data"}]}
        }
    }
    (tmp_path / "data").mkdir()

    def play(workspace: Path) -> str:
        (workspace / "a.tar").write_text("archive")
        (workspace / "data" / "upload").write_text("an upload")
        return "done"

    assert backed_up(PaperStack(tmp_path, play, config)) == "./a.tar"

    def into_the_bind(workspace: Path) -> str:
        (workspace / "data" / "b.tar").write_text("archive")
        return "done"

    assert backed_up(PaperStack(tmp_path, into_the_bind, config)) == "./data/b.tar"


def test_an_archive_that_is_written_again_under_its_name_counts(tmp_path: Path) -> None:
    (tmp_path / "latest.tar").write_text("old")

    def play(workspace: Path) -> str:
        (workspace / "latest.tar").write_text("newer")
        return "latest.tar"

    assert backed_up(PaperStack(tmp_path, play)) == "./latest.tar"


def test_the_archive_is_quoted_for_the_shell(tmp_path: Path) -> None:
    stack = PaperStack(tmp_path, lambda workspace: str((workspace / "it's $HOME.tar").write_text("x")))
    archive = back_up(cast("Any", stack), "./b")
    restore(cast("Any", stack), "./r {archive} --to ${TARGET}", archive)
    assert stack.lines[-1] == """./r './it'"'"'s $HOME.tar' --to ${TARGET}"""


def test_waiting_ends_with_the_condition_or_with_the_time() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 5)
    assert not wait_until(lambda: False, 0)
    assert wait_until(lambda: True, 0)


def test_options_that_were_given_reach_the_event() -> None:
    event = made("volume-recreate", volume="media")
    stack = SimpleNamespace(config=CONFIG, volume=lambda key: f"p_{key}", control=SimpleNamespace())
    event.prepare(cast("Any", stack))
    assert getattr(event, "_own") == {}  # noqa: B009  neither media nor the control's volume is in this configuration


def test_one_entry_for_each_step_of_a_deploy() -> None:
    spread = EVENTS["deploy"].spread
    assert spread({**DEPLOY, "interrupt": ["a", "b"], "title": "t"}) == [
        {**DEPLOY, "interrupt": "a", "title": "t"},
        {**DEPLOY, "interrupt": "b", "title": "t"},
    ]
    for single in (DEPLOY, {**DEPLOY, "interrupt": "a"}, {**DEPLOY, "interrupt": []}, {"interrupt": 3}):
        assert spread(single) == [single]
    assert EVENTS["kill"].spread({"service": ["a", "b"]}) == [{"service": ["a", "b"]}]


class EditedStack:
    """A stack that keeps what its Compose file is edited to."""

    def __init__(self, workspace: Path, build: dict[str, Any]) -> None:
        self.config: dict[str, Any] = {"services": {"api": {"build": build}, "db": {"image": "db"}}}
        self.project = "p"
        self.control = SimpleNamespace(service="control")
        self.identity = SimpleNamespace(workspace=str(workspace))
        self.build: dict[str, Any] = {}
        self.chosen: list[str] = []

    def edit(self, changes: dict[str, Any]) -> None:
        self.chosen = list(changes["services"])
        for service in changes["services"].values():
            self.build = service["build"]


def upgraded(stack: EditedStack, **options: Any) -> dict[str, Any]:
    made("image-upgrade", **options).prepare(cast("Any", stack))
    return stack.build


def test_an_upgrade_without_options_is_another_label_each_time(tmp_path: Path) -> None:
    stack = EditedStack(tmp_path, {"context": str(tmp_path)})
    first, second = upgraded(stack), upgraded(stack)
    assert set(first) == set(second) == {"labels"}
    assert first != second
    assert stack.chosen == ["api"]


def test_an_upgrade_says_what_its_options_say(tmp_path: Path) -> None:
    stack = EditedStack(tmp_path, {"context": str(tmp_path)})
    build = upgraded(stack, build_args={"V": "2"}, dockerfile="Dockerfile.next", service="api")
    assert build == {"args": {"V": "2"}, "dockerfile": "Dockerfile.next"}


def test_an_instruction_is_appended_to_a_copy_of_the_dockerfile(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.api").write_text("FROM a\nRUN b")
    stack = EditedStack(tmp_path, {"context": str(tmp_path), "dockerfile": "Dockerfile.api"})
    build = upgraded(stack, append="RUN c")
    assert Path(build["dockerfile"]).read_text() == "FROM a\nRUN b\nRUN c\n"
    assert (tmp_path / "Dockerfile.api").read_text() == "FROM a\nRUN b"
    inline = EditedStack(tmp_path, {"context": str(tmp_path), "dockerfile_inline": "FROM $$BASE"})
    assert upgraded(inline, append="RUN echo $HOME") == {
        "dockerfile_inline": "FROM $$BASE\nRUN echo $$HOME\n"
    }


def test_a_dockerfile_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    stack = EditedStack(tmp_path, {"context": "https://example.org/a.git"})
    with pytest.raises(StackError, match="the Dockerfile of api cannot be read"):
        upgraded(stack, append="RUN c")
