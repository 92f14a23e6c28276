"""`ctrf.json`: the result as the Common Test Report Format (https://ctrf.io), version 1.0.0; a test is a step.

An export for dashboards that read that format; everything is in `result.json`.

    kept → passed    lost, unavailable → failed    inconclusive → other    skipped → skipped

`rawStatus` keeps the verdict. Times are whole milliseconds, as the format wants them.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from persistence_tests.model.finding import Verdict
from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.failure import because, known_lines, step_block
from persistence_tests.report.printable import printable
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult
from persistence_tests.report.wording import known_losses, known_said

SPEC_VERSION = "1.0.0"
STATUSES = {
    Verdict.KEPT: "passed",
    Verdict.LOST: "failed",
    Verdict.UNAVAILABLE: "failed",
    Verdict.INCONCLUSIVE: "other",
    Verdict.SKIPPED: "skipped",
}
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://ctrf.io/persistence-tests")


def ctrf(result: RunResult) -> dict[str, Any]:
    """The document, ready for `json.dumps`; the same for the same result."""
    tests = [_test(scenario, step) for scenario in result.scenarios for step in scenario.steps]
    start = _time(result.started)
    stop = start + timedelta(seconds=result.seconds)
    counts = Counter(test["status"] for test in tests)
    return {
        "reportFormat": "CTRF",
        "specVersion": SPEC_VERSION,
        "reportId": str(uuid.uuid5(NAMESPACE, result.run_id)),
        "timestamp": stop.isoformat(timespec="milliseconds"),
        "generatedBy": f"persistence {result.version}",
        "results": {
            "tool": {"name": "persistence", "version": result.version},
            "summary": {
                "tests": len(tests),
                **{status: counts[status] for status in ("passed", "failed", "skipped", "pending", "other")},
                "suites": len(result.scenarios),
                "start": _milliseconds(start.timestamp()),
                "stop": _milliseconds(stop.timestamp()),
                "duration": _milliseconds(result.seconds),
                "extra": {
                    "verdict": str(result.verdict),
                    "knownLosses": known_losses(result.findings),
                    "exitCode": result.exit_code,
                    "complete": result.complete,
                    "stopped": _shown(result.stopped) if result.stopped else None,
                },
            },
            "tests": tests,
            "environment": _environment(result),
        },
        "extra": {"runId": result.run_id, "seed": result.seed},
    }


def _test(scenario: ScenarioResult, step: StepResult) -> dict[str, Any]:
    location = next((finding.location for finding in step.findings if finding.location.line), None)
    test: dict[str, Any] = {
        "name": _shown(step.title) or step.step,
        "id": str(uuid.uuid5(NAMESPACE, f"{scenario.source}::{step.step}")),
        "status": STATUSES[step.verdict],
        "rawStatus": str(step.verdict),
        "duration": _milliseconds(step.seconds),
        "suite": [_shown(scenario.name), *([_shown(step.variant.of)] if step.variant else [])],
        "filePath": _shown(scenario.source),
        "type": "persistence",
        "tags": list(dict.fromkeys(["persistence", step.event, *(f.code for f in step.findings)])),
        "labels": {"event": step.event, "step": step.step},
        "steps": list(_steps(step)),
        "extra": _extra(step),
    }
    if location:
        test["line"] = location.line
        test["snippet"] = _shown(location.text)
    if step.verdict is Verdict.KEPT and step.findings:
        test["tags"].append("known-loss")
        test["message"] = _shown("; ".join(known_lines(step)), printed=True)
    if step.verdict is not Verdict.KEPT:
        test["message"] = _shown("; ".join(because(step)) or str(step.verdict), printed=True)
        test["trace"] = without_secrets(step_block(step, scenario.source))
    return test


def _steps(step: StepResult) -> Iterator[dict[str, Any]]:
    """What was shown: the proof of the event, the controls, each path."""
    if step.proof:
        yield {"name": "the engine proves the event", "status": "passed", "extra": {"facts": _facts(step)}}
    for control in step.controls:
        name = f"control: {_shown(control.detail or control.store)} ({control.duty})"
        yield {"name": name, "status": "passed" if control.behaved else "failed"}
    wrong = {path for finding in step.findings if not finding.known for path in finding.paths}
    known = {path for finding in step.findings if finding.known for path in finding.paths}
    for path, count in step.paths.items():
        status = (
            "failed"
            if path in wrong
            else "other"
            if path in known
            else "passed"
            if 0 < count.checked == count.ok
            else "other"
        )
        yield {
            "name": f"path {_shown(path)}: {count.ok} of {count.checked} names right",
            "status": status,
            "extra": {"checked": count.checked, "ok": count.ok},
        }


def _facts(step: StepResult) -> list[str]:
    return [f"{proof.source}: {_shown(proof.fact)}" for proof in step.proof]


def _extra(step: StepResult) -> dict[str, Any]:
    return {
        "written": {"ok": step.written.ok, "fail": step.written.fail, "info": step.written.info},
        "eventMilliseconds": None if step.event_seconds is None else _milliseconds(step.event_seconds),
        "readyMilliseconds": None if step.ready_seconds is None else _milliseconds(step.ready_seconds),
        "findings": [
            {
                "code": finding.code,
                "symptom": finding.symptom,
                "paths": [_shown(path) for path in finding.paths],
                "count": finding.count,
                "rule": finding.diagnosis.rule if finding.diagnosis else None,
                "known": _shown(known_said(finding)) if finding.known else None,
                "reproduce": finding.reproduce,
            }
            for finding in step.findings
        ],
    }


def _environment(result: RunResult) -> dict[str, Any]:
    said: Mapping[str, str] = {key: _shown(value) for key, value in result.environment.items()}
    named = {
        "reportName": "persistence",
        "appName": ", ".join(_shown(scenario.name) for scenario in result.scenarios),
        "osRelease": said.get("kernel", ""),
        "osVersion": said.get("os", ""),
    }
    return {
        **{key: value for key, value in named.items() if value},
        "healthy": result.verdict is Verdict.KEPT,
        "extra": dict(said),
    }


def _shown(text: str, *, printed: bool = False) -> str:
    text = without_secrets(text)
    return text if printed else printable(text)


def _milliseconds(seconds: float) -> int:
    return max(round(seconds * 1000), 0)


def _time(text: str) -> datetime:
    """Of a run that was cut off before it said when it began, the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
