"""Verdicts that must not depend on how far Compose came, nor on where a stack keeps its files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Verdict
from persistence_tests.run import epoch
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import WRITES, write_scenario

pytestmark = pytest.mark.engine

IDLE = {"image": "debian:bookworm-slim", "init": True, "command": ["sleep", "infinity"]}
DIRECT = {"service": "app", "root": "/files"}
VOLUME = {"volume": "files"}
ONCE = "if [ -e /state/done ]; then echo 'done before' >&2; exit 1; fi; touch /state/done"

Judge = Callable[..., dict[str, StepJudgement]]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    """The judgements of a scenario over services of an image that is there, by step."""
    monkeypatch.setattr(epoch, "READY_WITHIN", 2.0)
    engine = Engine.connect()

    def run(services: dict[str, Any], volumes: list[str], events: list[Any], **paths: Any) -> Any:
        compose = {"services": services, "volumes": {key: {} for key in volumes}}
        (tmp_path / "compose.yaml").write_text(json.dumps(compose))
        scenario = load(
            write_scenario(
                tmp_path,
                events,
                stack={"compose": "compose.yaml"},
                paths={**paths, "direct": DIRECT},
                writes=[WRITES],
            )
        )
        settings = Settings(report_dir=tmp_path / "reports", seed=7)
        with Run(settings, engine) as recording, recording.scenario(scenario) as running:
            return {judgement.step: judgement for judgement in running.judgements()}

    yield run
    engine.close()


def test_a_stack_that_a_dependency_keeps_from_coming_up_is_unavailable(judged: Judge) -> None:
    services = {
        "init": {**IDLE, "command": ["sh", "-c", ONCE], "volumes": ["state:/state"]},
        "app": {
            **IDLE,
            "volumes": ["files:/files"],
            "depends_on": {"init": {"condition": "service_completed_successfully"}},
        },
    }
    steps = judged(services, ["state", "files"], ["recreate", "stop-start"], volume=VOLUME)
    assert {step: judgement.verdict for step, judgement in steps.items()} == {
        "up": Verdict.KEPT,
        "recreate": Verdict.UNAVAILABLE,
        "stop-start": Verdict.UNAVAILABLE,
    }
    for step in ("recreate", "stop-start"):
        [reason] = steps[step].reasons
        why, last_words = reason.splitlines()
        assert 'service "init" didn\'t complete successfully: exit 1' in why
        assert last_words.strip() == "| init: done before"
        assert steps[step].paths["volume"].checked == steps[step].paths["volume"].ok > 0


def test_what_is_lost_while_the_stack_stays_down_is_lost(judged: Judge) -> None:
    wiped = "if [ -e /state/done ]; then rm -f /files/*; exit 1; fi; touch /state/done"
    services = {
        "init": {
            **IDLE,
            "command": ["sh", "-c", wiped],
            "volumes": ["state:/state", "files:/files"],
        },
        "app": {
            **IDLE,
            "volumes": ["files:/files"],
            "depends_on": {"init": {"condition": "service_completed_successfully"}},
        },
    }
    steps = judged(services, ["state", "files"], ["down-up"], volume=VOLUME)
    assert steps["down-up"].verdict is Verdict.LOST
    assert {finding.symptom.value for finding in steps["down-up"].findings} == {"missing"}


def test_a_command_that_fails_half_way_leads_with_its_reason(judged: Judge, tmp_path: Path) -> None:
    """Its second start finds that the first has taken away what another service mounts."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "needed").write_text("needed")
    mount = {"type": "bind", "source": "./conf/needed", "target": "/needed", "read_only": True}
    services = {
        "app": {
            **IDLE,
            "command": ["sh", "-c", "rm -f /conf/needed; exec sleep infinity"],
            "volumes": ["files:/files", "./conf:/conf"],
            "depends_on": ["other"],
        },
        "other": {**IDLE, "volumes": [{**mount, "bind": {"create_host_path": False}}]},
    }
    steps = judged(services, ["files"], ["recreate"], volume=VOLUME)
    assert steps["up"].verdict is Verdict.KEPT
    assert steps["recreate"].verdict is Verdict.INCONCLUSIVE
    reason = steps["recreate"].reasons[0]
    start = "the event did not land: `docker compose up -d --force-recreate` failed with exit code 1: "
    assert reason.startswith(start)
    assert "bind source path does not exist" in reason
    assert not {"\n", "Recreate", "expected"} & set(reason.replace(start, "").split(" "))


def test_what_lies_on_a_bind_must_outlive_the_volumes(judged: Judge) -> None:
    services = {"app": {**IDLE, "volumes": ["./media:/files", "cache:/cache"]}}
    steps = judged(services, ["cache"], ["down-volumes"], volume={"bind": "./media"})
    assert {judgement.verdict for judgement in steps.values()} == {Verdict.KEPT}
