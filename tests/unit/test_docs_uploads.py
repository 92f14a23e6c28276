"""What docs/uploads.md shows is what a scenario takes."""

from __future__ import annotations

import re
from pathlib import Path

from persistence_tests.scenario import load

PAGE = Path(__file__).parents[2] / "docs/uploads.md"


def test_the_examples_are_scenarios(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    paths = next(block for block in blocks if block.startswith("paths:"))
    rules = "".join(block.removeprefix("writes:\n") for block in blocks if block.startswith("writes:"))
    assert len(blocks) == 3
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    file = tmp_path / "uploads.persistence.yaml"
    file.write_text(
        f"stack: {{ compose: compose.yaml }}\n{paths}  volume: {{ volume: files }}\n"
        f"writes:\n{rules}events: [restart]\n"
    )
    scenario = load(file)
    assert [rule.uploading.stored_as is not None for rule in scenario.rules] == [True, False, True]
