"""No verdict on an event that did not happen, on a control that failed, or by an oracle that failed.

An event is disarmed where it meets the engine, never in itself: whatever it calls answers success and does
nothing. Each event there is goes through all of it; a new one does without a word here.
"""

from __future__ import annotations

import importlib
import io
import signal
import tarfile
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

import pytest

from persistence_tests.cli import main
from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event
from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.payload import Payload
from persistence_tests.model.records import Checkpointed, EventEnded, Invoked
from persistence_tests.run import epoch
from persistence_tests.run.interruption import INTERRUPTS
from persistence_tests.stack import control
from persistence_tests.stack.control import PLACES
from persistence_tests.stack.identity import CONTROL_SERVICE
from persistence_tests.stack.stack import Stack
from persistence_tests.stack.state import Store
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import IN_MACHINES, ON_DISKS, RESTORED, every_entry, write_scenario
from tests.stacks.seam import Call, Seam

pytestmark = pytest.mark.engine

MOST_CALLS = 8
CASES = every_entry()
ORDINARY = {name: kind for name, kind in EVENTS.items() if name not in ON_DISKS | IN_MACHINES}
WITH_SCRIPTS = ("backup-restore", RESTORED)
RARELY = ("deploy interrupted",)  # long, and its parts are tried in test_changed_stack.py
each_event = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] if name in RARELY else []) for name in CASES]
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("sabotage"), CASES, times=6 + MOST_CALLS) as opened:
        assert opened.running.open().verdict is Verdict.KEPT
        yield opened


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not brought back is not waited for as long as a user's stack would be."""
    monkeypatch.setattr(epoch, "READY_WITHIN", 5.0)
    monkeypatch.setattr(control, "WAIT", 3.0)


def judged(
    box: Bench,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    lost: Callable[[int, Call], bool],
    *,
    from_preparation: bool = False,
) -> tuple[StepJudgement, list[Call]]:
    """The judgement of a step whose event loses these calls, and all the calls that it made."""
    planned = box.take(name)
    with monkeypatch.context() as patched:
        seam = Seam(patched, lost)
        for method in ("prepare", "apply") if from_preparation else ("apply",):
            real = getattr(planned.event, method)

            @wraps(real)
            def watched(*arguments: object, real: Callable[..., None] = real) -> None:
                with seam.watching():
                    real(*arguments)

            patched.setattr(planned.event, method, watched)
        return box.step(planned), seam.calls


@pytest.mark.soak  # test_events.py and test_changed_stack.py have each of them undisturbed too
@each_event
def test_an_undisturbed_event_is_kept(box: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judgement, calls = judged(box, name, monkeypatch, lambda *_: False)
    assert judgement.reasons == ()
    assert judgement.verdict is Verdict.KEPT
    assert 0 < len(calls) <= MOST_CALLS


@each_event
def test_an_event_that_reaches_nothing_is_inconclusive(
    box: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement, calls = judged(box, name, monkeypatch, lambda *_: True)
    assert calls
    assert_inconclusive(judgement)
    assert any("the event did not land" in reason for reason in judgement.reasons), judgement.reasons


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in WITH_SCRIPTS else pytest.mark.soak) for n in CASES]
)
def test_an_event_of_which_one_call_is_lost_is_inconclusive(
    box: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = 0
    while True:
        judgement, calls = judged(box, name, monkeypatch, only(position))
        if position >= len(calls):
            break
        if says_restored_and_is_empty(name, calls[position]):
            assert judgement.verdict is Verdict.LOST
            assert {finding.symptom for finding in judgement.findings} == {Symptom.MISSING}
        else:
            assert_inconclusive(judgement)
        position += 1
    assert len(calls) == position > 0, judgement
    assert judgement.verdict is Verdict.KEPT, judgement


def only(position: int) -> Callable[[int, Call], bool]:
    return lambda at, _: at == position


def says_restored_and_is_empty(name: str, call: Call) -> bool:
    """The stack's own restore script answers success over volumes made anew: that is a loss, whoever is to blame."""
    return name == RESTORED and call[0] == "command" and call[1].startswith("./restore.sh")


@pytest.mark.parametrize("name", [name for name in ORDINARY if EVENTS[name].prepare is not Event.prepare])
def test_an_event_that_is_not_even_prepared_is_inconclusive(
    box: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement, _ = judged(box, name, monkeypatch, lambda *_: True, from_preparation=True)
    assert_inconclusive(judgement)


# Controls


MUST_KEEP = [(name, store) for name, kind in ORDINARY.items() if (store := kind.controls.must_keep)]
MUST_LOSE = [(name, store) for name, kind in ORDINARY.items() if (store := kind.controls.must_lose)]


@pytest.mark.parametrize(("name", "store"), MUST_KEEP)
def test_a_control_that_must_be_kept_and_is_gone_makes_it_inconclusive(
    box: Bench, name: str, store: Store
) -> None:
    def empty(_: EventEnded) -> None:
        if store is Store.BEFORE_BACKUP:
            done_in(box.stack, "box", "rm -rf /files/*")
        else:
            done_in(box.stack, CONTROL_SERVICE, f"rm {PLACES[store]}/token")

    judgement = step_with(box, name, empty)
    assert_only_the_control_failed(judgement, f"the must-keep control in the {store} did not behave")


@pytest.mark.parametrize(("name", "store"), MUST_LOSE)
def test_a_control_that_must_be_lost_and_is_there_makes_it_inconclusive(
    box: Bench, name: str, store: Store
) -> None:
    kept = EVENTS[name].controls.must_keep
    assert kept is not None

    def put_back(ended: EventEnded) -> None:
        if store is Store.AFTER_BACKUP:
            put_file_back(box, ended.step)
        else:
            source, target = PLACES[kept], PLACES[store]
            done_in(box.stack, CONTROL_SERVICE, f"mkdir -p {target} && cp {source}/token {target}/token")

    judgement = step_with(box, name, put_back)
    assert_only_the_control_failed(judgement, f"the must-lose control in the {store} did not behave")


def step_with(box: Bench, name: str, reaction: Callable[[EventEnded], None]) -> StepJudgement:
    """The judgement of a step in which this is done between the event and the check of its controls."""
    planned = box.take(name)
    box.reactions[EventEnded] = reaction
    try:
        return box.step(planned)
    finally:
        del box.reactions[EventEnded]


def done_in(stack: Stack, service: str, line: str) -> None:
    [container] = stack.containers(service)
    result = container.exec_run(["sh", "-c", line], user="0:0")
    assert result.exit_code == 0, result.output


def put_file_back(box: Bench, step: str) -> None:
    """Write once more the file that was written after the backup of this step."""
    records = [entry.record for entry in box.run.entries]
    since = next(at for at, r in enumerate(records) if isinstance(r, Checkpointed) and r.step == step)
    operation = next(record.operation for record in records[since:] if isinstance(record, Invoked))
    assert operation.payload is not None
    content = Payload.of(operation.payload).bytes()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo(operation.name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    [container] = box.stack.containers("box")
    assert container.put_archive("/files", tar.getvalue())


def assert_only_the_control_failed(judgement: StepJudgement, reason: str) -> None:
    assert_inconclusive(judgement)
    assert judgement.reasons[0].startswith(reason)
    assert not [other for other in judgement.reasons if "did not land" in other]


# The oracle


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """`persistence` in this process: its exit code, and all that it said."""
    before = {each: signal.getsignal(each) for each in INTERRUPTS}

    def run(*arguments: str | Path) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return exited.value.code, said.out + said.err

    yield run
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of a run in which all was kept."""
    directory = tmp_path_factory.mktemp("recorded")
    with bench(directory, {"restart": "restart"}, times=1) as box:
        assert [judgement.verdict for judgement in box.running.judgements()] == [Verdict.KEPT] * 2
    return box.run.directory / "history.jsonl"


PARTS = [
    "judging.judge_step",
    "judging.Scenario",
    "account.judge_batch",
    "passes._unexpected",
    "verdict.merged",
]
Run = Callable[..., tuple[int, str]]


def test_the_recorded_run_is_kept(command: Run, recorded: Path) -> None:
    assert command("check", recorded)[0] == 0


@pytest.mark.parametrize("part", PARTS)
def test_an_oracle_that_raises_is_inconclusive(
    command: Run, recorded: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable(monkeypatch, f"model.oracle.{part}")
    code, said = command("check", recorded)
    assert code == 2
    assert "the oracle could not judge: RuntimeError: sabotaged" in said
    assert "Traceback" not in said
    assert "inconclusive" in said


def test_a_run_whose_oracle_raises_is_inconclusive(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable(monkeypatch, "model.oracle.judging.judge_step")
    code, said = command("run", write_scenario(tmp_path, ["restart"]), "--report-dir", tmp_path / "reports")
    assert code == 2
    assert "the oracle could not judge: RuntimeError: sabotaged" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("whole", ["report.build.judge", "report.build.worst"])
def test_a_failure_around_the_oracle_is_a_fault_of_the_harness(
    command: Run, recorded: Path, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disable(monkeypatch, whole)
    code, said = command("check", recorded)
    assert code == 2
    assert "error: the harness itself failed: RuntimeError: sabotaged" in said
    assert "Traceback" not in said


def disable(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    module, _, name = f"persistence_tests.{part}".rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, raising)


def raising(*_: object, **__: object) -> None:
    raise RuntimeError("sabotaged")


def assert_inconclusive(judgement: StepJudgement) -> None:
    assert judgement.verdict is Verdict.INCONCLUSIVE, judgement
    assert judgement.reasons
