"""Whether this machine lets a container be a Docker host: one does in a moment what its engine would have to."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import CapabilityLacking
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.helper import helper, run_to_end
from persistence_tests.stack.identity import Identity
from persistence_tests.stack.machine.container import ENABLE, privileges

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

SEEN = "seen"
# The socket of a machine's engine lies in a directory of this host, so that must be the container's too.
DOINGS = (
    ("the files of this host", f"touch /shared/{SEEN}"),
    ("mounts", "mount -t tmpfs none /mnt"),
    (
        "overlay filesystems",
        "cd /mnt; mkdir a b c d; mount -t overlay -o lowerdir=a,upperdir=b,workdir=c none d",
    ),
    ("device nodes", "mknod /mnt/null c 1 3; : >/mnt/null"),
    ("networks", "unshare --net true"),
    (
        "control groups",
        "if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mount -o remount,rw /sys/fs/cgroup; own=/sys/fs/cgroup; "
        "else own=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup); fi; "
        'mkdir "$own/persistence-trial"; rmdir "$own/persistence-trial"',
    ),
)


def try_out(engine: Engine) -> str:
    """What works, in words. Raises CapabilityLacking for the first thing that does not."""
    run = f"doctor-{secrets.token_hex(3)}"
    script = "\n".join(f"echo '{what}'; {how}" for what, how in DOINGS)
    with tempfile.TemporaryDirectory(prefix="persistence-tests-") as directory:
        identity = Identity(run, f"persistence-{run}", directory, directory)
        with engine_answers("looking at the engine"):
            info = engine.client.api.info()
        mounts = {"/shared": Path(directory)}
        with helper(
            engine,
            mounts,
            labels=identity.labels,
            command=["sh", "-ec", script],
            writable=True,
            **privileges(info),
        ) as container:
            code, said = run_to_end(container)
        if code != 0:
            what, _, why = said.decode(errors="replace").strip().rpartition("\n")
            raise CapabilityLacking(
                f"a container here may not have {_named(what or why)}: {' '.join(why.split())}", remedy=ENABLE
            )
        if not Path(directory, SEEN).exists():
            raise CapabilityLacking("the engine does not run on this machine", remedy=ENABLE)
    return "a container may be a Docker host of its own"


def _named(said: str) -> str:
    """The last thing that was begun."""
    names = {what for what, _ in DOINGS}
    begun = [line for line in said.splitlines() if line in names]
    return begun[-1] if begun else "what a Docker host needs"
