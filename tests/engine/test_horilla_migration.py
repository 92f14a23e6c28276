"""Long: what becomes of the HR stack's media when it gets its volume without `migrate-media.sh`.

`scenarios/horilla-migration.persistence.yaml` has the same with it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from persistence_tests.model.finding import Symptom, Verdict
from tests.stacks.shipped import judgements_of, shipped

pytestmark = [pytest.mark.engine, pytest.mark.soak]

WITHOUT = (
    "sh -ec 'echo \"services: {}\" > docker-compose.old-setup.yaml; docker-compose up -d --build --wait'"
)


def test_media_that_are_not_brought_over_are_gone_and_their_rows_dangle(tmp_path: Path) -> None:
    document = shipped("horilla-migration") | {"events": [{"deploy": {"command": WITHOUT}}], "claims": {}}
    _, [up, deploy] = judgements_of(document, tmp_path)
    assert up.verdict is Verdict.KEPT, up.reasons
    assert deploy.verdict is Verdict.LOST, deploy.reasons
    assert {finding.symptom for finding in deploy.findings} == {Symptom.MISSING, Symptom.DANGLING}
