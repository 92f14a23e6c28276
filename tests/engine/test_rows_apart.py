"""Rows and files that part: files on no volume, a backup of the rows alone, files of an older one; and sound twins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.report.build import step_result
from tests.engine.test_database_path import GALLERY, PARTS, URL
from tests.stacks.bench import Bench, bench
from tests.stacks.box_scenario import Entry

pytestmark = pytest.mark.engine

RESTORE = "./restore.sh {archive}"
BOTH = {"backup": "./backup.sh", "restore": RESTORE}
OLDER = {"backup": "./backup.sh older", "restore": RESTORE}
ROWS = {"backup": "./backup.sh rows", "restore": RESTORE}
EVENTS: dict[str, Entry] = {
    "recreate": "recreate",
    "both": {"backup-restore": BOTH},
    "older pictures": {"backup-restore": OLDER},
    "volume, both": {"volume-recreate": BOTH},
    "volume, rows": {"volume-recreate": ROWS},
}
WRITES = {
    "through": "api",
    "request": f"PUT {URL}",
    "into": ["."],
    "files": 6,
    "sizes": [5000],
    "names": "plain",
}
SERVED = ("direct", "api")


def opened(directory: Path, events: dict[str, Entry], **parts: Any) -> Any:
    stack = {**PARTS["stack"], "commands": "follow-project", **parts.pop("stack", {})}
    return bench(directory, events, times=1, **{**PARTS, "stack": stack, "writes": [WRITES], **parts})


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with opened(tmp_path_factory.mktemp("gallery"), EVENTS) as made:
        up = made.running.open()
        assert (up.verdict, up.findings) == (Verdict.KEPT, ()), up.reasons
        yield made


def whole(gallery: Bench, event: str) -> None:
    judged = gallery.step(gallery.take(event))
    assert (judged.verdict, judged.findings) == (Verdict.KEPT, ()), judged


@pytest.mark.parametrize("event", ["recreate", "both"])
def test_what_is_kept_and_restored_together_is_whole(gallery: Bench, event: str) -> None:
    whole(gallery, event)


def test_pictures_of_an_older_backup_leave_rows_without_theirs(gallery: Bench) -> None:
    """Those that were there at the backup before are whole; the archive has the row of each that was written since."""
    planned = gallery.take("older pictures")
    judged = gallery.step(planned)
    rows = dangling(gallery, judged, "restored-apart")
    assert rows, judged
    assert all(f"{planned.step}-" in name for name in rows), "what is older is whole"
    assert {name for name in rows if name.startswith("small/")}, "its smaller picture is missed too"


@pytest.mark.soak
def test_what_is_restored_together_to_fresh_volumes_is_whole(gallery: Bench) -> None:
    whole(gallery, "volume, both")


@pytest.mark.soak
def test_a_backup_of_the_rows_alone_leaves_them_without_pictures(gallery: Bench) -> None:
    judged = gallery.step(gallery.take("volume, rows"))
    rows = dangling(gallery, judged, "restored-apart")
    missing = next(f for f in judged.findings if f.symptom is Symptom.MISSING)
    assert (missing.paths, set(missing.names)) == (
        ("volume", "direct", "api"),
        {name for name in rows if not name.startswith("small/")},
    )


def test_rows_on_a_volume_outlive_pictures_on_none(tmp_path: Path) -> None:
    home = tmp_path / "gallery"
    shutil.copytree(GALLERY, home)
    compose = home / "compose.yaml"
    compose.write_text(
        compose.read_text().replace("pictures:/pictures, ", "").replace("  pictures: {}\n", "")
    )
    paths = {name: path for name, path in PARTS["paths"].items() if name != "volume"}
    stack = {"compose": str(compose)}
    with opened(tmp_path, {"recreate": "recreate"}, stack=stack, paths=paths) as broken:
        up, judged = broken.running.judgements()
        assert (up.verdict, up.findings) == (Verdict.KEPT, ()), up.reasons
        rows = dangling(broken, judged, "no-volume")
        missing = next(f for f in judged.findings if f.symptom is Symptom.MISSING)
        assert (missing.paths, set(missing.names) | {f"small/{name}" for name in missing.names}) == (
            SERVED,
            rows,
        )


def dangling(gallery: Bench, judged: StepJudgement, rule: str) -> set[str]:
    """The names of the one such finding, whose cause is this."""
    assert judged.verdict is Verdict.LOST, judged.reasons
    told = [f for f in step_result(gallery.run.entries, "box", judged).findings if f.symptom == "dangling"]
    assert [(found.paths, found.diagnosis and found.diagnosis.rule) for found in told] == [
        (["database"], rule)
    ]
    return set(told[0].names)
