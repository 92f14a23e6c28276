"""Scenarios of this repository, with something else in them, run from a directory of the test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from persistence_tests.model.finding import StepJudgement
from persistence_tests.run.run import Run
from persistence_tests.run.settings import Settings
from persistence_tests.scenario import load
from persistence_tests.stack.engine import Engine

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def shipped(name: str) -> dict[str, Any]:
    """What `name`.persistence.yaml says, with the places of its Compose files for wherever it is written to."""
    document: dict[str, Any] = YAML(typ="safe").load((SCENARIOS / f"{name}.persistence.yaml").read_text())
    files = document["stack"]["compose"]
    files = [files] if isinstance(files, str) else files
    document["stack"]["compose"] = [str(SCENARIOS / file) for file in files]
    return document


def judgements_of(document: dict[str, Any], directory: Path) -> tuple[str, list[StepJudgement]]:
    """The run's identity, and what was judged of every step."""
    file = directory / "shipped.persistence.yaml"
    file.write_text(json.dumps(document))
    engine = Engine.connect()
    settings = Settings(report_dir=directory / "reports", seed=7)
    with Run(settings, engine) as run, run.scenario(load(file)) as running:
        judgements = list(running.judgements())
    engine.close()
    return run.identity, judgements
