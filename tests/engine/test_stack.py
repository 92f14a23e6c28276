"""A stack's life as the engine tells it: state, differences, events, readiness, the control service."""

from __future__ import annotations

import pytest

from persistence_tests.errors import StackError
from persistence_tests.stack.difference import difference
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.stack import Stack
from persistence_tests.stack.state import Change, EngineEvent, Store
from tests.engine.conftest import MakeStack

pytestmark = pytest.mark.engine

ALL = ("app-1", "idle-1", f"{CONTROL_SERVICE}-1")
KEPT_BY_RESTART = {Store.LAYER, Store.ANONYMOUS, Store.NAMED, Store.EXTERNAL}


def actions(seen: list[EngineEvent], service: str) -> list[str]:
    return [
        event.action
        for event in seen
        if event.kind == "container" and event.attributes.get("com.docker.compose.service") == service
    ]


def kept(stack: Stack, token: str) -> set[Store]:
    return {store for store, behaved in stack.control.check(token).items() if behaved}


def test_a_started_stack_is_what_its_files_say(tiny_stack: Stack) -> None:
    state = tiny_stack.state()
    assert tuple(state.containers) == ALL
    assert tiny_stack.services() == ("app", "idle")
    assert [c.name for c in tiny_stack.containers("app")] == [f"{tiny_stack.project}-app-1"]
    targets = {mount.target: mount.kind for mount in state.containers["app-1"].mounts}
    assert targets == {"/data": "volume", "/files": "bind", "/cache": "volume", "/declared": "volume"}
    assert state.volumes[tiny_stack.volume("data")].key == "data"
    assert set(state.volumes) <= tiny_stack.recorded_volumes()
    assert [m["target"] for m in tiny_stack.mounts()["app"]] == ["/cache", "/data", "/declared", "/files"]
    with pytest.raises(StackError, match="no volume"):
        tiny_stack.volume("nothing")


def test_every_anonymous_volume_is_labelled(tiny_stack: Stack) -> None:
    labelled = tiny_stack.engine.client.volumes.list(
        filters={"label": f"persistence-tests.stack={tiny_stack.project}"}
    )
    assert set(tiny_stack.state().volumes) == {volume.name for volume in labelled}


def test_nothing_done_is_no_difference(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    with tiny_stack.watch() as watch:
        tiny_stack.control.write("still")
        tiny_stack.up()
        assert [event for event in watch.finish() if event.kind != "volume"] == []
    delta = difference(before, tiny_stack.state())
    assert set(delta.containers.values()) | set(delta.images.values()) | set(delta.volumes.values()) == {
        Change.SAME
    }


def test_a_restart_is_seen(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    tiny_stack.control.write("restart")
    with tiny_stack.watch() as watch:
        tiny_stack.compose.run("restart")
        seen = watch.finish()
    delta = difference(before, tiny_stack.state())
    assert delta.containers == dict.fromkeys(ALL, Change.RESTARTED)
    assert set(delta.volumes.values()) == {Change.SAME}
    assert actions(seen, "app") == ["kill", "die", "stop", "start", "restart"]
    assert kept(tiny_stack, "restart") == KEPT_BY_RESTART


def test_a_kill_is_seen_with_signal_and_code_and_no_policy_acts(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    with tiny_stack.watch() as watch:
        tiny_stack.compose.run("kill", "app")
        seen = watch.finish()
    assert difference(before, tiny_stack.state()).containers["app-1"] is Change.STOPPED
    assert tiny_stack.unready() == ["app: exited (exit code 137)"]
    assert tiny_stack.state().containers["app-1"].exit_code == 137
    facts = {
        (e.action, e.attributes.get("signal"), e.attributes.get("exitCode"))
        for e in seen
        if e.kind == "container"
    }
    assert {("kill", "9", None), ("die", None, "137")} <= facts
    tiny_stack.up()
    assert tiny_stack.unready() == []


def test_the_death_of_the_main_process_is_seen_and_the_policy_acts(tiny_stack: Stack) -> None:
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    before = tiny_stack.state()
    with tiny_stack.watch() as watch:
        tiny_stack.signal_main_process(tiny_stack.containers("app")[0], "SIGKILL")
        retrying = Retrying(
            retry=retry_if_result(lambda change: change is not Change.RESTARTED),
            stop=stop_after_delay(20),
            wait=wait_fixed(0.05),
        )
        retrying(lambda: difference(before, tiny_stack.state()).containers["app-1"])
        seen = watch.finish()
    assert actions(seen, "app") == ["die", "start"]
    assert not any("persistence-tests.helper" in event.attributes for event in seen)
    assert (
        tiny_stack.state().containers["app-1"].restart_count == before.containers["app-1"].restart_count + 1
    )


def test_a_process_that_is_not_there_cannot_be_signalled(tiny_stack: Stack) -> None:
    tiny_stack.compose.run("kill", "idle")
    with pytest.raises(StackError, match="does not run"):
        tiny_stack.signal_main_process(tiny_stack.containers("idle")[0], "SIGKILL")
    tiny_stack.up()


def test_recreating_is_seen_and_the_layer_is_lost(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    tiny_stack.control.write("recreate")
    tiny_stack.up("--force-recreate")
    delta = difference(before, tiny_stack.state())
    assert delta.containers == dict.fromkeys(ALL, Change.RECREATED)
    assert set(delta.images.values()) | set(delta.volumes.values()) == {Change.SAME}
    assert kept(tiny_stack, "recreate") == {Store.ANONYMOUS, Store.NAMED, Store.EXTERNAL}


def test_down_and_up_orphans_anonymous_volumes_which_stay_known(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    anonymous = {name for name, volume in before.volumes.items() if volume.key is None}
    tiny_stack.control.write("down")
    tiny_stack.down()
    assert difference(before, tiny_stack.state()).containers == dict.fromkeys(ALL, Change.GONE)
    tiny_stack.up()
    assert kept(tiny_stack, "down") == {Store.NAMED, Store.EXTERNAL}
    assert anonymous <= tiny_stack.recorded_volumes()
    existing = {volume.name for volume in tiny_stack.engine.client.volumes.list()}
    assert anonymous <= existing


def test_destroyed_volumes_are_other_ones(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    tiny_stack.control.write("volumes")
    with tiny_stack.watch() as watch:
        tiny_stack.down("--volumes")
        tiny_stack.up()
        seen = watch.finish()
    delta = difference(before, tiny_stack.state())
    assert delta.volumes[tiny_stack.volume("data")] is Change.RECREATED
    assert delta.volumes[tiny_stack.volume("persistence-control-external")] is Change.SAME
    assert kept(tiny_stack, "volumes") == {Store.EXTERNAL}
    data = [e.action for e in seen if e.kind == "volume" and e.identity == tiny_stack.volume("data")]
    made = [action for action in data if action in ("create", "destroy")]
    # The engine says "create" again whenever it is asked to create a volume that is there.
    assert made[:2] == ["destroy", "create"] and made.count("destroy") == 1


def test_a_rebuild_gives_other_images(tiny_stack: Stack) -> None:
    before = tiny_stack.state()
    tiny_stack.compose.run("build", "--no-cache")
    tiny_stack.up()
    delta = difference(before, tiny_stack.state())
    assert delta.images == {
        "app-1": Change.RECREATED,
        "idle-1": Change.SAME,
        f"{CONTROL_SERVICE}-1": Change.RECREATED,
    }
    assert delta.containers["idle-1"] is Change.SAME


def test_events_are_complete_where_they_are_more_than_the_engine_keeps(tiny_stack: Stack) -> None:
    idle = tiny_stack.containers("idle")[0]
    name = str(idle.name)
    with tiny_stack.watch() as watch:
        tiny_stack.compose.run("restart", "app")
        for _ in range(150):
            idle.rename(f"{name}-renamed")
            idle.rename(name)
        seen = watch.finish()
    assert actions(seen, "app")[:1] == ["kill"]
    assert actions(seen, "idle") == ["rename"] * 300
    assert [event.nanoseconds for event in seen] == sorted(event.nanoseconds for event in seen)


def test_the_control_service_that_does_not_run_is_an_error(
    tiny_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence_tests.stack.control.WAIT", 0.2)
    tiny_stack.compose.run("kill", CONTROL_SERVICE)
    with pytest.raises(StackError, match="does not run"):
        tiny_stack.control.check("x")
    tiny_stack.up()
    tiny_stack.control.write("again")


def test_a_failing_command_of_compose_shows_its_last_words(tiny_stack: Stack) -> None:
    with pytest.raises(StackError, match="no such service: nobody"):
        tiny_stack.compose.run("up", "-d", "nobody")
    assert tiny_stack.compose.run("up", "-d", "nobody", check=False).exit_code != 0
    with pytest.raises(StackError, match="did not end within"):
        tiny_stack.compose.run("logs", "--follow", "idle", timeout=0.3)


def test_logs_are_by_service(make_stack: MakeStack) -> None:
    stack = make_stack('services: {a: {image: "debian:bookworm-slim", command: ["echo", "hello"]}}')
    stack.start()
    stack.containers("a")[0].wait()
    assert "hello" in stack.logs()["a"]
    assert list(stack.logs()) == ["a"]
    assert stack.unready() == []
    assert not stack.state().containers["a-1"].running
