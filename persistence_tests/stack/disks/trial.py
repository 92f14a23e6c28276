"""Whether this machine has crash disks: one is made, cut, looked at and removed."""

from __future__ import annotations

import secrets
import tempfile
from typing import TYPE_CHECKING

from persistence_tests.errors import CapabilityLacking
from persistence_tests.stack.disks.disk import SMALLEST, Media
from persistence_tests.stack.disks.station import ENABLE, Station
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.teardown import remove_labelled

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine


def try_out(engine: Engine) -> str:
    """What works, in words. Raises CapabilityLacking, or StackError for a step that failed later on."""
    run = f"doctor-{secrets.token_hex(3)}"
    media = Media(SMALLEST["ext4"])
    with tempfile.TemporaryDirectory(prefix="persistence-tests-") as directory:
        identity = Identity(run, f"persistence-{run}", directory, directory)
        station = Station(engine, identity)
        try:
            station.make(media, 1)
            station.write_controls(run)
            station.cut()
            _, [(synced, never_synced)] = station.look_anew(run)
        finally:
            station.close()
            remove_labelled(engine, run, identity.project)
    if (synced, never_synced) != ("intact", "absent"):
        raise CapabilityLacking(
            f"a disk that was cut has its synced file {synced}, the one never synced {never_synced}",
            remedy=ENABLE,
        )
    return f"{media.filesystem} on a loop device, cut and mounted again: what was not synced was lost"
