"""Gates of events that nothing in the scenario can ever open."""

from __future__ import annotations

from collections.abc import Iterator

from persistence_tests.errors import Problem
from persistence_tests.model.payload import Payload
from persistence_tests.scenario.scenario import Scenario, WriteRule


def unreachable(scenario: Scenario) -> Iterator[Problem]:
    """An event after so many bytes of an upload, where no upload is larger than that."""
    largest = max(_largest(rule) for rule in scenario.rules)
    for planned in scenario.steps:
        gate = planned.event.gate
        if gate is not None and gate.observed == "sent" and gate.count >= largest:
            what = (
                f"no upload has more than {gate.count} bytes: the largest file that is written has {largest}"
            )
            remedy = "write a smaller number here, or a larger size in `writes`"
            at = ("events", planned.entry, planned.event.name, "after", "sent")
            yield scenario.document.problem(at, what, remedy)


def _largest(rule: WriteRule) -> int:
    return max(*rule.sizes, *(Payload.minimum(kind) for kind in rule.kinds))
