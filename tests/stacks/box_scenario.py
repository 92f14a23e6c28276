"""Scenarios over the stack `box`: small enough that a step takes a second or two."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persistence_tests.events import EVENTS

BOX = Path(__file__).parent / "box"
COMMANDS = {"backup": "./backup.sh", "restore": "./restore.sh {archive}"}
REQUIRED = {**COMMANDS, "service": "box", "command": "sh -c 'cat > /files/{name}'"}
REQUIRED_OF = {"deploy": {"command": "./deploy.sh"}}
VOLUME = {"volume": "files"}
DIRECT = {"service": "box", "root": "/files"}
WRITES = {"through": "direct", "into": ["."], "files": 3, "sizes": [100, 4096, 5000], "names": "plain"}

Options = Mapping[str, Any]
Entry = str | dict[str, Options]

RESTORED = "volume-recreate, restored"
VARIANTS: dict[str, Entry] = {
    "kill one": {"kill": {"service": "box"}},
    "kill while writing": {"kill": {"while": "writing"}},
    "crash while writing": {"crash": {"while": "writing"}},
    "restart while reading": {"restart": {"while": "reading"}},
    RESTORED: {"volume-recreate": COMMANDS},
    "deploy interrupted": {"deploy": {"command": "./deploy.sh", "interrupt": "starting"}},
}
"""Events in another shape than the plainest."""


def plain_entry(name: str) -> Entry:
    """An event as a scenario lists it, with no option but those that it cannot do without."""
    required = [key for key, field in EVENTS[name].Options.model_fields.items() if field.is_required()]
    values = REQUIRED | REQUIRED_OF.get(name, {})
    return {name: {key: values[key] for key in required}} if required else name


ON_DISKS = frozenset(name for name, kind in EVENTS.items() if kind.on_disks)
"""Events that need the stack on crash disks: test_crash_disks.py and test_disk_events.py have them."""
IN_MACHINES = frozenset(name for name, kind in EVENTS.items() if "override" not in kind.isolations)
"""Events that need a machine: test_machine.py has them."""


def every_entry() -> dict[str, Entry]:
    """Each kind of event that an ordinary stack takes, and the variants, by the name that tests give it."""
    return {name: plain_entry(name) for name in EVENTS if name not in ON_DISKS | IN_MACHINES} | VARIANTS


def write_scenario(directory: Path, events: Sequence[Entry], **parts: Any) -> Path:
    """A scenario file; `parts` replace what it says of `stack`, `paths` and `writes`, or add to it.

    Every part stands on a line of its own.
    """
    document: dict[str, Any] = {
        "stack": {"compose": str(BOX / "compose.yaml"), "commands": "follow-project"},
        "paths": {"volume": VOLUME, "direct": DIRECT},
        "writes": [WRITES],
        "events": list(events),
    }
    document |= parts
    file = directory / "box.persistence.yaml"
    file.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items()))
    return file
