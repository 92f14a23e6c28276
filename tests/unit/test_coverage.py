"""Which paths lie on the crash disks that an event is one on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.model.records import PathDeclared
from persistence_tests.run.coverage import off_disks

VOLUME = PathDeclared("volume", "volume", True, True, True, "media", {"volume": "media"})
ROWS = PathDeclared("database", "database", False, False, False, "t.c", {"service": "db"}, refers=True)
API = PathDeclared("api", "http", False, False, False, "/", {"service": "app"})


def stack(*on_disks: str, whole: bool = False, mounts: dict[str, list[dict[str, str]]] | None = None) -> Any:
    pairs = tuple((SimpleNamespace(volume=key), None) for key in on_disks)
    return SimpleNamespace(
        laid=SimpleNamespace(whole=whole, pairs=pairs),
        mounts=lambda: mounts or {},
        volume=lambda key: f"run_{key}",
        identity=SimpleNamespace(workspace="/ws"),
    )


def mount(source: str) -> dict[str, list[dict[str, str]]]:
    return {"db": [{"kind": "volume", "source": source, "target": "/data"}]}


def test_what_lies_on_a_disk_is_reached() -> None:
    assert off_disks([VOLUME, ROWS, API], stack("media", "rows", mounts=mount("run_rows"))) == []


@pytest.mark.parametrize("mounts", [mount("run_other"), {}])
def test_a_database_that_keeps_nothing_on_one_is_not(mounts: dict[str, list[dict[str, str]]]) -> None:
    (said,) = off_disks([VOLUME, ROWS, API], stack("media", "rows", mounts=mounts))
    assert said == "database reads what db keeps on no crash disk: the event does not reach it"


@pytest.mark.parametrize(("source", "count"), [("/var/lib/docker/volumes/rows", 0), ("/ws/stack/rows", 1)])
def test_of_a_machine_everything_is_reached_but_what_it_has_from_outside(source: str, count: int) -> None:
    assert len(off_disks([ROWS], stack(whole=True, mounts=mount(source)))) == count


def test_the_writable_layer_of_a_machine_is_on_its_disk() -> None:
    assert off_disks([ROWS], stack(whole=True)) == []
