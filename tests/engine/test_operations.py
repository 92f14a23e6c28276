"""Files that are overwritten, appended to, renamed, deleted and linked to, through a container and a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.history import History, read_history
from persistence_tests.model.operation import OperationKind, PayloadKind
from persistence_tests.model.payload import DEFAULT_SIZES
from persistence_tests.model.records import Completed, EventBegan, EventEnded, Invoked, Record
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import Scenario, load
from persistence_tests.stack.engine import Engine
from tests.stacks.box_scenario import BOX, COMMANDS, DIRECT, VOLUME, WRITES, Entry, write_scenario

pytestmark = pytest.mark.engine

EVERY = ["create", "overwrite", "append", "rename", "delete"]
SERVED = {"service": "web", "port": 8000, "url": "/files/{name}"}
RULES = [
    {**WRITES, "files": 8, "operations": EVERY, "overwrite": "in-place", "writers": 3},
    {
        **WRITES,
        "through": "api",
        "files": 8,
        "operations": EVERY,
        "request": {
            "create": "POST /files/{name}",
            "overwrite": "PUT /files/{name}",
            "append": "PATCH /files/{name}",
            "rename": {"send": "MOVE /files/{name}", "headers": {"Destination": "/files/{to}"}},
            "delete": "DELETE /files/{name}",
        },
    },
]
STACK = {
    "compose": str(BOX / "compose.yaml"),
    "profiles": ["web"],
    "commands": "follow-project",
    "ready": {"path": "api", "url": "/health", "within": "20s"},
}
FLATTENED = {
    **COMMANDS,
    "restore": "docker-compose exec -T box sh -c 'rm -rf /files/* /was; mkdir /was; tar -C /was -x; "
    "umask 022; cp -rL /was/. /files' < {archive}",
}
OLDEST = {**COMMANDS, "restore": "./restore.sh $(ls backups/*.tar | head -n 1)"}


def test_every_operation_is_kept_and_an_older_backup_is_found(tmp_path: Path) -> None:
    events: list[Entry] = [
        {"kill": {"while": "writing"}},
        {"backup-restore": COMMANDS},
        {"backup-restore": OLDEST},
    ]
    paths = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
    scenario = load(write_scenario(tmp_path, events, stack=STACK, paths=paths, writes=RULES))
    judged, history = run(scenario, tmp_path)

    assert {step: judgement.verdict for step, judgement in judged.items()} == {
        "up": Verdict.KEPT,
        "kill": Verdict.KEPT,
        "backup-restore": Verdict.KEPT,
        "backup-restore-2": Verdict.LOST,
    }, [(judgement.step, judgement.reasons, judgement.findings) for judgement in judged.values()]
    assert_that_an_older_backup_shows(judged["backup-restore-2"])

    records = [entry.record for entry in history]
    assert changed_during(records)
    assert most_at_once(records, rule=0) == 3


@pytest.mark.soak  # 100 MiB
def test_every_default_size_and_hostile_name_is_kept(tmp_path: Path) -> None:
    every: dict[str, Any] = {"files": len(DEFAULT_SIZES), "names": "hostile", "into": ["a", "b"]}
    direct = {**WRITES, **every, "writers": 2}
    served = {**direct, "through": "api", "request": "POST /files/{name}"}
    for rule in (direct, served):
        del rule["sizes"]
    paths = {"volume": VOLUME, "direct": DIRECT, "api": SERVED}
    stack = {**STACK, "setup": ["docker-compose exec -T box mkdir -p /files/a /files/b"]}
    scenario = load(write_scenario(tmp_path, ["recreate"], stack=stack, paths=paths, writes=[direct, served]))
    judged, history = run(scenario, tmp_path)
    assert {step: (judgement.verdict, judgement.reasons) for step, judgement in judged.items()} == {
        "up": (Verdict.KEPT, ()),
        "recreate": (Verdict.KEPT, ()),
    }
    written = [
        (r.operation.rule, r.operation.payload.size)
        for r in (entry.record for entry in history)
        if isinstance(r, Invoked) and r.operation.payload
    ]
    assert sorted(written) == sorted((rule, size) for rule in (0, 1) for size in DEFAULT_SIZES * 2)


def test_links_and_modes_are_kept_and_a_restore_that_drops_them_is_found(tmp_path: Path) -> None:
    events: list[Entry] = ["down-up", {"backup-restore": COMMANDS}, {"backup-restore": FLATTENED}]
    rule = {**WRITES, "files": 8, "operations": EVERY, "also": ["symlinks", "hard-links", "modes"]}
    judged = run(load(write_scenario(tmp_path, events, writes=[rule])), tmp_path)[0]

    assert {step: judgement.verdict for step, judgement in judged.items()} == {
        "up": Verdict.KEPT,
        "down-up": Verdict.KEPT,
        "backup-restore": Verdict.KEPT,
        "backup-restore-2": Verdict.LOST,
    }, [(judgement.step, judgement.reasons, judgement.findings) for judgement in judged.values()]
    [finding] = judged["backup-restore-2"].findings
    assert (finding.symptom, finding.paths) == (Symptom.METADATA, ("volume", "direct"))
    told = "\n".join(finding.evidence)
    assert "a symbolic link to" in told and "was another name of" in told and "mode was 0664, is 0644" in told


def test_sparse_files_are_kept_and_a_restore_that_spoils_bytes_or_owner_is_found(tmp_path: Path) -> None:
    spoilt = {
        "zeroed": "for f in *.img; do s=$(stat -c %s $f); : > $f; truncate -s $s $f; done",
        "truncated": "truncate -s 32768 *.img",
        "owner": "chown -hR 7:8 .",
    }
    restore = "{} && docker-compose exec -T box sh -c 'cd /files && {}'"
    events: list[Entry] = ["down-up", {"backup-restore": COMMANDS}]
    events += [
        {"backup-restore": {**COMMANDS, "restore": restore.format(COMMANDS["restore"], how)}}
        for how in spoilt.values()
    ]
    rule = {**WRITES, "also": ["sparse", "symlinks"]}
    judged, history = run(load(write_scenario(tmp_path, events, writes=[rule])), tmp_path)

    kept, lost = ["up", "down-up", "backup-restore"], [f"backup-restore-{n}" for n in (2, 3, 4)]
    assert {
        step: (judgement.verdict, judgement.reasons) for step, judgement in judged.items()
    } == dict.fromkeys(kept, (Verdict.KEPT, ())) | dict.fromkeys(lost, (Verdict.LOST, ()))
    zeroed, truncated, owner = ([*judged[step].findings] for step in lost)
    sparse = {
        r.operation.name
        for r in (entry.record for entry in history)
        if isinstance(r, Invoked) and r.operation.payload and r.operation.payload.kind is PayloadKind.SPARSE
    }
    assert len(sparse) == len(judged)
    for (finding,), symptom in ((zeroed, Symptom.ZEROED), (truncated, Symptom.TRUNCATED)):
        assert (finding.symptom, finding.paths) == (symptom, ("volume", "direct"))
        assert sparse.issuperset(finding.names), finding
    [finding] = owner
    assert (finding.symptom, finding.paths) == (Symptom.METADATA, ("volume", "direct"))
    told = "\n".join(finding.evidence)
    assert "owner was 0:0, is 7:8" in told
    assert {name.rpartition(".")[2] for name in finding.names} == {"bin", "img"}


@pytest.mark.soak  # an image with the package `attr` is built
def test_attributes_are_kept_and_a_restore_that_drops_them_is_found(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM debian:bookworm-slim\nRUN apt-get update && apt-get install -y attr && mkdir /files\n"
    )
    service = {"build": ".", "init": True, "command": ["sleep", "infinity"], "volumes": ["files:/files"]}
    (tmp_path / "compose.yaml").write_text(
        json.dumps({"services": {"box": service}, "volumes": {"files": {}}})
    )
    backup = (
        "mkdir -p b; f=b/$(date +%s%N); docker-compose exec -T box tar -C /files --xattrs -c . > $f; echo $f"
    )
    restore = "docker-compose exec -T box sh -c 'rm -rf /files/*; tar -C /files {} -x' < {{archive}}"
    events: list[Entry] = [
        {"backup-restore": {"backup": backup, "restore": restore.format("--xattrs --xattrs-include=user.*")}},
        {"backup-restore": {"backup": backup, "restore": restore.format("")}},
    ]
    stack = {"compose": "compose.yaml", "commands": "follow-project"}
    rule = {**WRITES, "files": 8, "also": ["xattrs"]}
    judged = run(load(write_scenario(tmp_path, events, stack=stack, writes=[rule])), tmp_path)[0]

    assert [judgement.verdict for judgement in judged.values()] == [Verdict.KEPT, Verdict.KEPT, Verdict.LOST]
    assert "extended attributes cannot be seen on volume" in judged["up"].reasons
    [finding] = judged["backup-restore-2"].findings
    assert (finding.symptom, finding.paths) == (Symptom.METADATA, ("direct",))
    assert "attributes were user.persistence=" in finding.evidence[0] and "are none" in finding.evidence[0]


def run(scenario: Scenario, directory: Path) -> tuple[dict[str, StepJudgement], History]:
    engine = Engine.connect()
    try:
        with Run(Settings(report_dir=directory / "reports", seed=7), engine) as recording:
            with recording.scenario(scenario) as running:
                judged = {step.step: step for step in running.judgements()}
            return judged, read_history(recording.directory / "history.jsonl")
    finally:
        engine.close()


def changed_during(records: Sequence[Record]) -> bool:
    """Whether a file that was there before was worked on while the first event was applied."""
    began = next(place for place, record in enumerate(records) if isinstance(record, EventBegan))
    ended = next(place for place, record in enumerate(records) if isinstance(record, EventEnded))
    begun = {r.operation.kind for r in records[began:ended] if isinstance(r, Invoked)}
    return bool(begun - {OperationKind.CREATE, OperationKind.MKDIR})


def most_at_once(records: Sequence[Record], rule: int) -> int:
    """How many operations of a rule were under way at one moment."""
    under_way: set[int] = set()
    most = 0
    for record in records:
        if isinstance(record, Invoked) and record.operation.rule == rule:
            under_way.add(record.operation.identity)
        elif isinstance(record, Completed):
            under_way.discard(record.operation)
        most = max(most, len(under_way))
    return most


def assert_that_an_older_backup_shows(judgement: StepJudgement) -> None:
    """What was deleted since is back, what was overwritten or appended to is old, what is new is gone."""
    found = {finding.symptom for finding in judgement.findings}
    assert found == {Symptom.MISSING, Symptom.STALE, Symptom.RESURRECTED}, judgement.findings
    assert all(finding.paths == ("volume", "direct", "api") for finding in judgement.findings)
