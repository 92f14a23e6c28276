"""Long: what becomes of the HR stack's media when it gets its volume without `migrate-media.sh`.

`scenarios/horilla-migration.persistence.yaml` has the same with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from persistence_tests.model.finding import Symptom, Verdict
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.stack.engine import Engine

pytestmark = [pytest.mark.engine, pytest.mark.soak]

SCENARIO = Path(__file__).parents[2] / "scenarios" / "horilla-migration.persistence.yaml"
WITHOUT = (
    "sh -ec 'echo \"services: {}\" > docker-compose.old-setup.yaml; docker-compose up -d --build --wait'"
)


def test_media_that_are_not_brought_over_are_gone_and_their_rows_dangle(tmp_path: Path) -> None:
    document = YAML(typ="safe").load(SCENARIO.read_text())
    stack = document["stack"]
    stack["compose"] = [str(SCENARIO.parent / file) for file in stack["compose"]]
    document |= {"events": [{"deploy": {"command": WITHOUT}}], "claims": {}}
    file = tmp_path / SCENARIO.name
    file.write_text(json.dumps(document))
    engine = Engine.connect()
    with (
        Run(Settings(report_dir=tmp_path / "reports", seed=7), engine) as run,
        run.scenario(load(file)) as running,
    ):
        up, deploy = list(running.judgements())
    engine.close()
    assert up.verdict is Verdict.KEPT, up.reasons
    assert deploy.verdict is Verdict.LOST, deploy.reasons
    assert {finding.symptom for finding in deploy.findings} == {Symptom.MISSING, Symptom.DANGLING}
