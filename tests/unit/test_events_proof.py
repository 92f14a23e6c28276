"""Every event against a small engine of paper: what it must leave in the stream, and what each gap means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.state import EngineEvent, EngineState
from tests.unit.paper_engine import LEAVING_ALL, PLAYS, PaperEngine, made, necessary, played, required


@pytest.mark.parametrize("name", PLAYS)
def test_complete_stream_proves_the_event(name: str) -> None:
    event, before, after, seen = played(name)
    proof = event.prove(before, after, seen)
    assert proof.problems == ()
    assert any(fact.source == "stream" for fact in proof.evidence)


@pytest.mark.parametrize("name", PLAYS)
def test_every_missing_entry_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    checked = 0
    for index, entry in enumerate(seen):
        if necessary(name, entry, before):
            proof = event.prove(before, after, seen[:index] + seen[index + 1 :])
            assert proof.problems, f"{entry} is missing and nothing says so"
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", PLAYS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_stream_with_gaps_is_never_a_proof(name: str, data: st.DataObject) -> None:
    event, before, after, seen = played(name)
    needed = [i for i, entry in enumerate(seen) if necessary(name, entry, before)]
    missing = data.draw(st.sets(st.sampled_from(needed), min_size=1))
    assert event.prove(before, after, [e for i, e in enumerate(seen) if i not in missing]).problems


@pytest.mark.parametrize("name", PLAYS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_order_of_arrival_and_foreign_entries_do_not_matter(name: str, data: st.DataObject) -> None:
    event, before, after, seen = played(name)
    foreign = [
        EngineEvent(3, "network", "disconnect", "n" * 64, {}),
        EngineEvent(4, "container", "exec_start: true", before.containers["api-1"].identity, {}),
        EngineEvent(5, "volume", "mount", "paper_media", {}),
        EngineEvent(6, "container", "die", "f" * 64, {"exitCode": "1"}),
    ]
    mixed = data.draw(st.permutations(seen + foreign))
    assert event.prove(before, after, mixed).problems == ()


@pytest.mark.parametrize("name", EVENTS)
def test_an_engine_that_did_nothing_proves_nothing(name: str) -> None:
    commands = {"backup": "true", "restore": "true {archive}", "command": "true"}
    needed = {key: commands[key] for key in commands if key in required(name)}
    event = made(name, PLAYS[name][0] if name in PLAYS else needed)
    state = PaperEngine().state()
    assert event.prove(state, state, ()).problems


@pytest.mark.parametrize("name", PLAYS)
def test_the_states_alone_prove_nothing(name: str) -> None:
    event, before, after, _ = played(name)
    assert event.prove(before, after, ()).problems


@pytest.mark.parametrize("name", [name for name in PLAYS if name not in LEAVING_ALL])
def test_the_stream_alone_proves_nothing(name: str) -> None:
    event, before, _, seen = played(name)
    assert event.prove(before, before, seen).problems


@pytest.mark.parametrize("name", [name for name in PLAYS if name != "run-once"])
def test_entries_of_other_containers_prove_nothing(name: str) -> None:
    event, before, after, seen = played(name)
    others = [replace(entry, identity=f"f{entry.identity[1:]}") for entry in seen]
    assert event.prove(before, after, others).problems


@pytest.mark.parametrize("name", PLAYS)
def test_memory_that_ran_out_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    identity = before.containers["proxy-1"].identity
    proof = event.prove(before, after, [*seen, EngineEvent(0, "container", "oom", identity, {})])
    assert any("lack of memory" in problem for problem in proof.problems)


@pytest.mark.parametrize("name", PLAYS)
def test_a_death_of_its_own_before_the_event_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    identity = before.containers["proxy-1"].identity
    early = [
        EngineEvent(0, "container", "die", identity, {"exitCode": "3"}),
        EngineEvent(0, "container", "start", identity, {}),
    ]
    assert any("proxy" in problem for problem in event.prove(before, after, [*early, *seen]).problems)


@pytest.mark.parametrize("name", ["restart", "down-up", "rebuild", "kill"])
def test_a_container_that_was_started_again_and_died_was_reached_all_the_same(name: str) -> None:
    event, before, after, seen = played(name)
    dead = replace(after.containers["api-1"], running=False, exit_code=1)
    proof = event.prove(before, replace(after, containers={**after.containers, "api-1": dead}), seen)
    assert proof.problems == ()


@pytest.mark.parametrize("name", ["restart", "down-up", "rebuild", "kill"])
def test_a_service_that_ended_well_is_not_taken_for_one_that_is_ready(name: str) -> None:
    event, before, after, seen = played(name)
    done = replace(after.containers["api-1"], running=False, exit_code=0)
    proof = event.prove(before, replace(after, containers={**after.containers, "api-1": done}), seen)
    assert "api ran before the event and ended by itself after it (exit code 0)" in proof.problems


def not_all_started(name: str) -> tuple[Event, EngineState, EngineState, list[EngineEvent]]:
    """The event was carried out, but Compose started none of the user's services again."""
    event, before, after, seen = played(name)
    users = {
        key: state
        for key, state in after.containers.items()
        if state.service != CONTROL_SERVICE and state.started_at != before.containers[key].started_at
    }
    identities = {state.identity for state in users.values()}
    left = {
        key: replace(state, running=False, started_at=before.containers[key].started_at)
        if before.containers[key].identity == state.identity
        else replace(state, running=False)
        for key, state in users.items()
    }
    ended = [e for e in seen if e.identity not in identities or e.action != "start"]
    return event, before, replace(after, containers={**after.containers, **left}), ended


NOT_STARTED = [
    "stop-start", "kill", "recreate", "down-up", "rebuild", "down-volumes", "volume-recreate", "image-upgrade",
    "rename-project",
]  # fmt: skip


@pytest.mark.parametrize("name", NOT_STARTED)
def test_what_a_dependency_kept_from_starting_was_ended_all_the_same(name: str) -> None:
    event, before, after, seen = not_all_started(name)
    assert event.prove(before, after, seen, came_up=False).problems == ()
    assert event.prove(before, after, seen).problems


@pytest.mark.parametrize("name", NOT_STARTED)
def test_what_was_not_ended_is_a_problem_whatever_came_up(name: str) -> None:
    event, before, after, seen = not_all_started(name)
    identity = before.containers["api-1"].identity
    alive = {**after.containers, "api-1": before.containers["api-1"]}
    unharmed = [entry for entry in seen if entry.identity != identity]
    assert event.prove(before, replace(after, containers=alive), unharmed, came_up=False).problems


@pytest.mark.parametrize("name", ["restart", "down-up", "kill", "rebuild"])
def test_a_volume_that_changed_is_a_problem(name: str) -> None:
    event, before, after, seen = played(name)
    other = replace(after.volumes["paper_media"], created_at="2026-01-03T00:00:00Z")
    proof = event.prove(before, replace(after, volumes={**after.volumes, "paper_media": other}), seen)
    assert "volume paper_media: expected unchanged, but it is made anew" in proof.problems


def test_a_volume_made_anew_within_the_second_is_seen_in_the_stream() -> None:
    event, before, after, seen = played("down-volumes")
    assert event.prove(before, replace(after, volumes=before.volumes), seen).problems == ()
    event, before, after, seen = played("down-up")
    again = [
        EngineEvent(900 + i, "volume", a, "paper_media", {}) for i, a in enumerate(("destroy", "create"))
    ]
    problems = event.prove(before, after, [*seen, *again]).problems
    assert "volume paper_media was destroyed, which this event must not do" in problems


def test_an_external_volume_that_was_destroyed_is_a_problem() -> None:
    event, before, after, seen = played("down-volumes")
    gone = {name: volume for name, volume in after.volumes.items() if name != "outside"}
    entry = EngineEvent(999, "volume", "destroy", "outside", {})
    problems = event.prove(before, replace(after, volumes=gone), [*seen, entry]).problems
    assert "volume outside: expected unchanged, but it is gone" in problems
    assert "volume outside was destroyed, which this event must not do" in problems
