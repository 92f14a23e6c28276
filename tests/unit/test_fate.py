"""What an event that removes volumes must leave, by where the files are kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from persistence_tests.errors import StackError
from persistence_tests.events import EVENTS
from persistence_tests.events.base import Event
from persistence_tests.model.records import DataFate
from persistence_tests.run.fate import fate
from persistence_tests.stack.control import NAMED_VOLUME
from persistence_tests.stack.identity import CONTROL_SERVICE

VOLUMES = {"own": {}, "other": {}, "outside": {"external": True}, NAMED_VOLUME: {}}
COMMANDS = {"backup": "./backup.sh", "restore": "./restore.sh {archive}"}
HTTP = {"service": "app", "port": 80, "url": "/{name}"}
DESTROYING = ["down-volumes", "volume-recreate"]
DEPENDS = {"prune"}  # on the engine, which is asked before


def made(name: str, **options: Any) -> Event:
    kind = EVENTS[name]
    return kind(kind.Options.model_validate(options))


def volume(source: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": source, "target": target}


def config(*mounts: dict[str, Any]) -> dict[str, Any]:
    control = {
        "volumes": [volume(NAMED_VOLUME, "/control"), {"type": "bind", "source": "/x", "target": "/y"}]
    }
    return {"services": {"app": {"volumes": list(mounts)}, CONTROL_SERVICE: control}, "volumes": VOLUMES}


def of(event: Event, paths: dict[str, dict[str, Any]], *mounts: dict[str, Any]) -> DataFate:
    opened: Any = {name: (name, SimpleNamespace(**path)) for name, path in paths.items()}
    return fate(event, opened, config(*mounts))


BIND = {"type": "bind", "source": "/home/x/media", "target": "/files"}
ANONYMOUS = {"type": "volume", "target": "/files/cache"}
DIRECT = {"direct": {"service": "app", "root": "/files/images"}}


@pytest.mark.parametrize("name", DESTROYING)
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ({"volume": "own"}, DataFate.DESTROYED),
        ({"volume": "outside"}, DataFate.KEPT),
        ({"volume": None, "bind": "./media"}, DataFate.KEPT),
    ],
)
def test_what_the_volume_path_shows(name: str, path: dict[str, Any], expected: DataFate) -> None:
    assert of(made(name), {"volume": path, "api": HTTP}) is expected


@pytest.mark.parametrize("name", DESTROYING)
@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ([volume("own", "/files")], DataFate.DESTROYED),
        ([volume("outside", "/files")], DataFate.KEPT),
        ([BIND], DataFate.KEPT),
        ([], DataFate.DESTROYED),
        ([BIND, {**ANONYMOUS, "target": "/files/images"}], DataFate.DESTROYED),
        ([{**BIND, "target": "/filesystem"}], DataFate.DESTROYED),
        ([{**BIND, "target": "/"}, volume("own", "/files")], DataFate.DESTROYED),
        ([volume("own", "/"), BIND], DataFate.KEPT),
    ],
)
def test_what_is_mounted_nearest_to_the_root_of_a_direct_path(
    name: str, mounts: list[dict[str, Any]], expected: DataFate
) -> None:
    assert of(made(name), DIRECT, *mounts) is expected


def test_a_volume_that_is_not_the_one_removed_is_kept() -> None:
    event = made("volume-recreate", volume="other")
    assert of(event, {"volume": {"volume": "own"}}) is DataFate.KEPT
    assert of(event, {"volume": {"volume": "other"}}) is DataFate.DESTROYED


def test_paths_that_lead_to_both_leave_it_open() -> None:
    paths = {"volume": {"volume": "own"}, **DIRECT}
    assert of(made("down-volumes"), paths, volume("own", "/files")) is DataFate.DESTROYED
    with pytest.raises(StackError, match="but not what direct shows"):
        of(made("down-volumes"), paths, BIND)


def test_a_server_alone_does_not_say_where_it_keeps_them() -> None:
    event = made("down-volumes")
    assert (
        of(event, {"api": HTTP}, volume("own", "/files"), {**BIND, "read_only": True}) is DataFate.DESTROYED
    )
    with pytest.raises(StackError, match="cannot be said"):
        of(event, {"api": HTTP}, volume("own", "/files"), {**BIND, "target": "/log"})


@pytest.mark.parametrize("name", sorted(set(EVENTS) - set(DESTROYING) - DEPENDS))
def test_other_events_have_the_fate_that_they_say(name: str) -> None:
    values = {**COMMANDS, "service": "app", "command": "cp {name} /files"}
    fields = EVENTS[name].Options.model_fields
    event = made(name, **{key: values[key] for key, field in fields.items() if field.is_required()})
    assert of(event, DIRECT, volume("own", "/files")) is event.fate()
    assert event.fate() is not DataFate.DESTROYED


def test_what_a_script_restores_is_restored_wherever_it_is() -> None:
    event = made("volume-recreate", **COMMANDS)
    assert of(event, {"volume": {"volume": "outside"}}) is DataFate.RESTORED
