"""What docs/uploads.md and docs/rows.md show is what a scenario takes."""

from __future__ import annotations

import re
from pathlib import Path

from persistence_tests.scenario import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "uploads.md"


def test_the_examples_are_scenarios(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    paths = next(block for block in blocks if block.startswith("paths:"))
    rules = "".join(block.removeprefix("writes:\n") for block in blocks if block.startswith("writes:"))
    assert len(blocks) == 4
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    file = tmp_path / "uploads.persistence.yaml"
    file.write_text(
        f"stack: {{ compose: compose.yaml }}\n{paths}  volume: {{ volume: files }}\n"
        f"writes:\n{rules}events: [restart]\n"
    )
    scenario = load(file)
    assert [rule.uploading.stored_as is not None for rule in scenario.rules] == [False, True, False, True]


def test_the_example_of_rows_is_a_path(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "rows.md").read_text(), re.DOTALL)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    file = tmp_path / "rows.persistence.yaml"
    file.write_text(
        "stack: { compose: compose.yaml }\n"
        f"{block}  api: {{ service: app, port: 80, url: '/{{name}}' }}\n"
        "writes: [{ through: api, request: 'PUT /{name}', into: [.] }]\nevents: [restart]\n"
    )
    assert load(file).stack.reached == (("db", 5432),)
