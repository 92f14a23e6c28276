"""What volume and direct paths see, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import Acknowledgement, OperationKind, Outcome
from persistence_tests.paths.base import PendingWrite, View
from persistence_tests.paths.volume import VolumeConfig, VolumePath
from persistence_tests.stack.engine import Engine
from tests.stacks.tiny import (
    HOSTILE,
    ROOT,
    TinyStack,
    direct,
    file_of,
    hostile_batch,
    pending,
    prepared,
    tiny,
    volume,
    with_volume,
    write,
    written,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[TinyStack]:
    with tiny(engine, tmp_path) as stack:
        yield stack


def looks(stack: TinyStack, names: list[str]) -> tuple[View, View, View]:
    """By a program in the container, at the volume where that has it mounted, and by an archive of the volume."""
    elsewhere = replace(stack, looks_into_containers=False)
    return direct(stack).observe(names), volume(stack).observe(names), volume(elsewhere).observe(names)


def test_hostile_names_are_written_and_seen_alike_by_volume_and_direct(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    batch, contents = hostile_batch()

    journal = write(direct(stack), *batch)

    assert {outcome for outcome, _ in journal.outcomes.values()} == {Outcome.OK}
    by_exec, mounted, by_archive = looks(stack, HOSTILE)
    assert by_exec.problem is None and mounted.problem is None and by_archive.problem is None
    assert {name: written(seen) for name, seen in by_exec.observations.items()} == {
        name: file_of(content) for name, content in contents.items()
    }
    assert by_archive.observations == mounted.observations == by_exec.observations
    assert by_archive.directories == mounted.directories == by_exec.directories
    assert "exec" in by_exec.method and "mounted" in mounted.method and "archive" in by_archive.method
    for name, content in contents.items():
        assert direct(stack).read(name, 5) == content[:5]
        assert volume(stack).read(name, 10**6) == content


ODD_NODES = r"""
mkdir -p empty/inner 'odd dir' closed; mkfifo pipe; mknod null c 1 3
echo shared > first; ln first second; ln first 'odd dir/third'
ln -s first link; ln -s nowhere dangling; ln -s empty linked-directory
truncate -s 3M sparse; printf x > sticky; chmod 4751 sticky; chmod 000 closed; : > nothing; chmod 0 nothing
chown 1234:567 sparse; chmod 1777 empty
python=0; for n in 1 2 3 4 5 6 7 8 9; do head -c "$((n * 100003))" /dev/urandom > "noise $n"; done
"""


NO_PRINTF = r"""
mv "$(command -v find)" /find; cat > /usr/bin/find <<'END'
#!/bin/sh
case $* in *-printf*) exit 1 ;; esac
exec /find "$@"
END
chmod 755 /usr/bin/find
"""


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_odd_nodes_are_seen_alike_by_exec_and_archive(stack: TinyStack, tools: str) -> None:
    prepared(stack, tools + ODD_NODES)

    by_exec, mounted, by_archive = looks(stack, [])

    assert by_archive.observations == mounted.observations == by_exec.observations
    assert by_archive.directories == mounted.directories == by_exec.directories
    seen = by_archive.observations
    assert {seen["first"], seen["second"], seen["odd dir/third"]} == {seen["first"]}
    assert written(seen["second"]) == file_of(b"shared\n")
    assert (seen["sticky"].mode, seen["nothing"].mode, seen["nothing"].size) == ("4751", "0000", 0)
    assert (seen["sparse"].size, seen["sparse"].owner) == (3 << 20, "1234:567")
    assert [seen[name].kind for name in ("link", "dangling", "linked-directory")] == [NodeKind.SYMLINK] * 3
    assert [seen[name].kind for name in ("pipe", "null")] == [NodeKind.OTHER] * 2
    assert by_archive.directories["empty"] == Observation(NodeKind.DIRECTORY, mode="1777", owner="0:0")
    assert set(by_archive.directories) == {"empty", "empty/inner", "odd dir", "closed"}


def linked(identity: int, name: str, link: str, kind: OperationKind) -> PendingWrite:
    made = pending(identity, name, kind=kind, acknowledgement=Acknowledgement.FSYNC)
    return replace(made, operation=replace(made.operation, link=link))


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_links_and_modes_are_written_and_seen_alike_by_volume_and_direct(
    stack: TinyStack, tools: str
) -> None:
    prepared(stack, tools or "true")
    marked = pending(2, "a/marked", b"marked")
    journal = write(
        direct(stack),
        pending(1, "a", kind=OperationKind.MKDIR),
        replace(marked, operation=replace(marked.operation, mode="0604")),
        linked(3, "a/-hard\n", "a/marked", OperationKind.LINK),
        linked(4, "hard", "a/marked", OperationKind.LINK),
        linked(5, "a/soft", "-rf $HOME\n \\é", OperationKind.SYMLINK),
        linked(6, "soft", "a/marked", OperationKind.SYMLINK),
        linked(7, "soft", "hard", OperationKind.SYMLINK),
        linked(8, "other", "none", OperationKind.LINK),
    )
    assert [journal.outcome(n) for n in range(1, 9)] == [Outcome.OK] * 6 + [Outcome.FAIL] * 2, (
        journal.outcomes
    )
    views = looks(stack, [])
    for view in views:
        seen = view.observations
        assert seen["a/marked"].mode == "0604"
        assert {seen[name].shared for name in ("a/marked", "a/-hard\n", "hard")} == {"a/-hard\n"}
        assert {name: seen[name].target for name in ("a/soft", "soft")} == {
            "a/soft": "-rf $HOME\n \\é",
            "soft": "a/marked",
        }
    assert views[0].observations == views[1].observations == views[2].observations


def test_attributes_are_neither_written_nor_seen_without_the_programs(stack: TinyStack) -> None:
    stack.run("api", **with_volume(stack))
    marked = pending(1, "marked", b"x")
    journal = write(direct(stack), replace(marked, operation=replace(marked.operation, xattr="beef")))
    assert journal.outcome(1) is Outcome.FAIL and "setfattr" in journal.outcomes[1][1]
    write(direct(stack), pending(2, "plain", b"x"))
    path = direct(stack)
    path.shows_attributes = True
    view = path.observe(["marked"])
    assert view.problem is None and view.observations["marked"] == ABSENT
    assert view.observations["plain"].xattrs is None


@pytest.mark.parametrize("tools", ["", NO_PRINTF], ids=["GNU", "portable"])
def test_what_the_user_cannot_read_is_an_error_with_its_reason(stack: TinyStack, tools: str) -> None:
    script = tools + "mkdir shut open; echo a > shut/inside; echo b > open/secret; echo c > open/plain\n"
    prepared(stack, script + "chmod 700 shut; chmod 600 open/secret", user="1000:1000")

    view = direct(stack).observe(["shut/inside", "open/secret", "open/plain", "open/none"])

    assert view.observations["shut/inside"].kind is NodeKind.ERROR
    assert "'shut'" in (view.observations["shut/inside"].error or "")
    assert view.observations["open/secret"].kind is NodeKind.ERROR
    assert "user" in (view.observations["open/secret"].error or "")
    assert written(view.observations["open/plain"]) == file_of(b"c\n")
    assert view.observations["open/none"] == ABSENT
    assert view.method == "exec as 1000:1000"


def test_a_root_that_is_gone_holds_no_names_and_one_that_is_closed_is_a_problem(stack: TinyStack) -> None:
    container = stack.run("api", user="1000:1000")
    assert direct(stack).observe(["a"]).observations == {"a": ABSENT}

    container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; chmod 700 {ROOT}"], user="0")
    view = direct(stack).observe(["a"])

    assert view.observations == {} and "Permission denied" in (view.problem or "")


def test_without_tools_the_archive_api_is_used_and_said(stack: TinyStack) -> None:
    container = prepared(stack, "echo kept > file; rm $(command -v find)")

    view = direct(stack).observe(["file", "none"])

    assert written(view.observations["file"]) == file_of(b"kept\n")
    assert view.observations["none"] == ABSENT
    assert "cannot see tmpfs, knows no user" in view.method and "find" in view.method
    container.stop(timeout=0)
    stopped = direct(stack).observe(["file"])
    assert written(stopped.observations["file"]) == file_of(b"kept\n")
    assert "is exited" in stopped.method


def test_a_stopped_container_does_not_pass_for_an_empty_tmpfs(stack: TinyStack) -> None:
    container = stack.run("api", tmpfs={"/data": ""})
    container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; echo a > {ROOT}/a"])
    assert written(direct(stack).observe(["a"]).observations["a"]) == file_of(b"a\n")

    container.stop(timeout=0)
    view = direct(stack).observe(["a"])

    assert view.observations == {} and "tmpfs" in (view.problem or "")


def test_a_service_without_a_container_is_a_problem(stack: TinyStack) -> None:
    assert "no container" in (direct(stack).observe(["a"]).problem or "")
    journal = write(direct(stack), pending(1, "a", b"x"))
    assert journal.outcome(1) is Outcome.FAIL and journal.lines == [("invoked", 1), ("fail", 1)]


def test_replicas_that_differ_disagree(stack: TinyStack) -> None:
    first, second = (stack.run("api", number=number) for number in (1, 2))
    for number, container in enumerate((first, second), 1):
        container.exec_run(["sh", "-c", f"mkdir -p {ROOT}; cd {ROOT}; echo same > same; echo {number} > own"])
    second.exec_run(["sh", "-c", f"echo > {ROOT}/second"])

    view = direct(stack).observe(["same", "own"])

    assert written(view.observations["same"]) == file_of(b"same\n")
    for name in ("own", "second"):
        assert view.observations[name].kind is NodeKind.ERROR
        assert (view.observations[name].error or "").startswith(f"replicas disagree: {stack.prefix}-api-1 ")


def test_volume_under_a_directory_and_without_one(stack: TinyStack) -> None:
    prepared(stack, "mkdir -p 'one dir/two'; echo x > 'one dir/two/f'; echo y > top; ln -s 'one dir' link")

    assert set(volume(stack, under="one dir").observe([]).observations) == {"two/f"}
    assert set(volume(stack, under="link/two/").observe([]).observations) == {"f"}
    assert volume(stack, under="none").observe(["f"]).observations == {"f": ABSENT}
    assert "ot a directory" in (volume(stack, under="top").observe(["f"]).problem or "")
    asked = volume(stack).observe(["one dir", "link", "nothing"])
    assert asked.observations["one dir"] == asked.directories["one dir"]
    assert asked.observations["nothing"] == ABSENT


def test_a_volume_that_is_gone_holds_no_names_and_is_not_made_by_looking(stack: TinyStack) -> None:
    path = volume(stack, volume="other")
    view = path.observe(["a"])

    assert view.observations == {"a": ABSENT} and "not there" in view.method
    assert path.read("a", 10) == b""
    names = [found.name for found in stack.engine.client.volumes.list()]
    assert stack.volume("other") not in names


def test_volume_of_a_bind_mount(stack: TinyStack) -> None:
    (stack.workspace / "media").mkdir()
    (stack.workspace / "media" / "f").write_bytes(b"bound")
    path = VolumePath("volume", VolumeConfig(bind="media"), stack)  # type: ignore[arg-type]

    assert written(path.observe(["f"]).observations["f"]) == file_of(b"bound")
    assert path.read("f", 3) == b"bou"
    gone = VolumePath("volume", VolumeConfig(bind="none"), stack)  # type: ignore[arg-type]
    assert gone.observe(["f"]).observations == {"f": ABSENT}


def test_no_helper_stays_behind(stack: TinyStack) -> None:
    volume(stack).observe(["a"])
    volume(stack).read("a", 1)

    left = stack.engine.client.containers.list(
        all=True, filters={"label": f"persistence-tests.run={stack.prefix}"}
    )
    assert left == []
