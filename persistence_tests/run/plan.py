"""What a run of a scenario would make, how long it takes and how big it gets. Touches nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from persistence_tests.model.operation import Also, OperationKind, PayloadKind
from persistence_tests.model.payload import Payload
from persistence_tests.run.changes import CHANGED, LARGEST_APPEND

if TYPE_CHECKING:
    from persistence_tests.scenario.scenario import Scenario, WriteRule

SECONDS_TO_PREPARE = 15
SECONDS_A_STEP = 5
SECONDS_A_REBUILD = 20
MEBIBYTE = 1024 * 1024


def plan_lines(scenario: Scenario, steps: Collection[str], resolved: dict[str, Any]) -> Iterator[str]:
    """Lines for the terminal. `resolved` is the stack's configuration as Compose resolves it."""
    events = [planned for planned in scenario.steps if planned.step in steps]
    services = [
        f"{name} ({'built' if service.get('build') else service.get('image', '?')})"
        for name, service in sorted((resolved.get("services") or {}).items())
    ]
    written = sum(step_bytes(rule) for rule in scenario.rules)
    files = sum(rule.files for rule in scenario.rules)
    rebuilds = sum(planned.event.name == "rebuild" for planned in events)
    seconds = SECONDS_TO_PREPARE + SECONDS_A_STEP * (len(events) + 1) + SECONDS_A_REBUILD * rebuilds
    rows = {
        "stack": ", ".join(str(file) for file in scenario.stack.compose),
        "services": ", ".join(services),
        "volumes": ", ".join(sorted(resolved.get("volumes") or {})) or "none",
        "paths": ", ".join(scenario.paths),
        "writes": f"{files} files a step, {written / MEBIBYTE:.1f} MiB",
        "steps": f"{len(events) + 1}: {', '.join(['up', *(planned.step for planned in events)])}",
        "takes": f"about {max(round(seconds / 60), 1)} min",
        "disk": f"at most {written * (len(events) + 1) / MEBIBYTE:.0f} MiB on volumes, and the stack's images",
        "removes": "all of it at the end, found by the label of the run; nothing else is touched",
    }
    yield f"{scenario.source}"
    for key, value in rows.items():
        yield f"  {key:<9} {value}"


def step_bytes(rule: WriteRule) -> int:
    """Bytes that one step writes for a rule, at most."""
    sizes = [rule.sizes[(place // len(rule.kinds)) % len(rule.sizes)] for place in range(rule.files)]
    changed = max(1, rule.files // CHANGED)
    overwritten = changed * max(rule.sizes) if OperationKind.OVERWRITE in rule.operations else 0
    appended = changed * LARGEST_APPEND if OperationKind.APPEND in rule.operations else 0
    sparse = Payload.minimum(PayloadKind.SPARSE) + max(rule.sizes) if Also.SPARSE in rule.also else 0
    return sum(sizes) + overwritten + appended + changed * sparse
