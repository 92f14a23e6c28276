"""`junit.xml`: the result as CI systems read it; a test suite is a scenario, a test case a step.

kept → passed    lost, unavailable → failure    inconclusive → error    skipped → skipped

pytest writes its own with `--junitxml`; this one is for runs without pytest, with the same properties.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree as ET

from persistence_tests.model.finding import Verdict
from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.failure import because, known_lines, step_block
from persistence_tests.report.printable import printable
from persistence_tests.report.result import RunResult, ScenarioResult, StepResult

ELEMENTS = {
    Verdict.LOST: "failure",
    Verdict.UNAVAILABLE: "failure",
    Verdict.INCONCLUSIVE: "error",
    Verdict.SKIPPED: "skipped",
}


def junit(result: RunResult, report: str) -> str:
    """The document; `report` is where its reports are, a property of every case."""
    root = ET.Element("testsuites", {"name": "persistence", **_counts(result.steps)})
    for scenario in result.scenarios:
        suite = ET.SubElement(
            root,
            "testsuite",
            {
                "name": _shown(scenario.name),
                "timestamp": _shown(result.started),
                **_counts(scenario.steps),
            },
        )
        for step in scenario.steps:
            _case(suite, result, scenario, step, report)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def properties(step: StepResult, run: str, seed: int, report: str) -> Iterator[tuple[str, str]]:
    """What is told of a step beside its verdict, here and in pytest's own JUnit report; text that does not act."""
    yield "verdict", step.verdict.value
    yield "event", step.event
    yield "step", step.step
    if step.variant:
        yield "variant", printable(step.variant.name)
        yield "variant-of", printable(step.variant.of)
    yield "seed", str(seed)
    yield "run", printable(run)
    yield "report", printable(report)
    for name, known in (("findings", False), ("known", True)):
        codes = dict.fromkeys(finding.code for finding in step.findings if bool(finding.known) is known)
        if codes:
            yield name, " ".join(codes)
    for path, count in step.paths.items():
        yield printable(f"path.{path}"), f"{count.ok}/{count.checked}"


def _case(
    suite: ET.Element, result: RunResult, scenario: ScenarioResult, step: StepResult, report: str
) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _shown(scenario.source),
            "name": _shown(step.step),
            "file": _shown(scenario.source),
            "time": f"{step.seconds:.3f}",
        },
    )
    listed = ET.SubElement(case, "properties")
    for name, value in properties(step, result.run_id, result.seed, report):
        ET.SubElement(listed, "property", {"name": name, "value": without_secrets(value)})
    if element := ELEMENTS.get(step.verdict):
        message = without_secrets("; ".join(because(step)) or str(step.verdict))
        told = ET.SubElement(case, element, {"type": str(step.verdict), "message": message})
        told.text = without_secrets(step_block(step, scenario.source))
    if known := known_lines(step):
        ET.SubElement(case, "system-out").text = without_secrets("\n".join(known))


def _counts(steps: list[StepResult]) -> dict[str, str]:
    elements = [ELEMENTS.get(step.verdict) for step in steps]
    return {
        "tests": str(len(steps)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "skipped": str(elements.count("skipped")),
        "time": f"{sum(step.seconds for step in steps):.3f}",
    }


def _shown(text: str) -> str:
    return without_secrets(printable(text))
