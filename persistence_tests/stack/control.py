"""The control service: writes of the harness's own that go through every event with the stack.

It keeps one token in five stores, each of which is known to survive some events and not others. An event through
which a store did not behave as the engine is known to behave proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.exec_stream import ExecFailed, run_any
from persistence_tests.stack.identity import CONTROL_SERVICE, EDITION_LABEL, Identity
from persistence_tests.stack.state import Store

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

NAMED_VOLUME = "persistence-control-named"
EXTERNAL_VOLUME = "persistence-control-external"
WAIT = 10.0
ANSWER = 30.0
POLL = 0.05

PLACES: dict[Store, str] = {
    Store.TMPFS: "/control/tmpfs",
    Store.LAYER: "/control/layer",
    Store.ANONYMOUS: "/control/anonymous",
    Store.NAMED: "/control/named",
    Store.EXTERNAL: "/control/external",
}
CHECK = 'for place; do cat "$place/token" 2>/dev/null || printf -; echo; done'
WRITE = (
    # Never `sync`: it would bring to the disk what a stack under test has not.
    'token=$1; shift; for place; do mkdir -p "$place" && printf %s "$token" >"$place/token" || exit 1; done; '
    + CHECK
)


def external_volume(identity: Identity) -> str:
    return identity.prefixed("control")


def override(
    identity: Identity, context: Path, own: Mapping[str, str], edition: int = 0
) -> dict[str, dict[str, Any]]:
    """What the override file says of the control service: its part of `services` and of `volumes`.

    `own` are the labels by which it is known. Of another `edition` its image and its container are others, so that
    `up` makes it anew.
    """
    labels = {**own, EDITION_LABEL: str(edition)}
    service = {
        "build": {"context": str(context), "labels": labels},
        "command": ["sleep", "infinity"],
        "init": True,  # else the main process would ignore every signal but SIGKILL
        "network_mode": "none",
        "restart": "always",
        "stop_signal": "SIGKILL",
        "labels": labels,
        "volumes": [
            {"type": "tmpfs", "target": PLACES[Store.TMPFS]},
            {"type": "volume", "target": PLACES[Store.ANONYMOUS], "volume": {"labels": dict(own)}},
            {"type": "volume", "source": NAMED_VOLUME, "target": PLACES[Store.NAMED]},
            {"type": "volume", "source": EXTERNAL_VOLUME, "target": PLACES[Store.EXTERNAL]},
        ],
    }
    volumes = {
        NAMED_VOLUME: {"labels": dict(own)},
        EXTERNAL_VOLUME: {"name": external_volume(identity), "external": True},
    }
    return {"services": {CONTROL_SERVICE: service}, "volumes": volumes}


def write_context(directory: Path, image: str) -> None:
    """The build context: a service of its own image, so that a rebuild acts on it too."""
    directory.mkdir()
    (directory / "Dockerfile").write_text(f'FROM {image}\nLABEL persistence-tests.control="true"\n')


class ControlService:
    """Writes and checks tokens; one command in the container each. Raises StackError where it does not run."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.service = CONTROL_SERVICE

    def start(self) -> None:
        """Start it where Compose did not come to that."""
        with engine_answers("starting the control container"):
            for container in self._stack.containers(self.service):
                container.start()

    def write(self, token: str) -> None:
        """Write `token` to all five stores, and read it back from each."""
        kept = _kept(token, self._run(["sh", "-c", WRITE, "sh", token, *PLACES.values()]))
        if wrong := [store for store in PLACES if not kept[store]]:
            raise StackError(f"the control service could not write to: {', '.join(wrong)}")

    def check(self, token: str) -> dict[Store, bool]:
        """For each of the five stores, whether it holds `token`."""
        return _kept(token, self._run(["sh", "-c", CHECK, "sh", *PLACES.values()]))

    def _run(self, command: list[str]) -> str:
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

        def attempt() -> str:
            running = [c for c in self._stack.containers(self.service) if c.status == "running"]
            if not running:
                raise StackError(f"the control service {self.service} does not run")
            try:
                output, complaints, exit_code = run_any(running[0], command, ANSWER, user="0:0")
            except (ExecFailed, TimeoutError) as error:
                raise StackError(f"the control service took no command: {error}") from error
            if exit_code != 0:
                said = complaints.decode(errors="replace").strip()[:300]
                raise StackError(f"the control service's command failed with exit code {exit_code}: {said}")
            return output.decode(errors="replace")

        # A policy may be about to restart it: the container can go away between look-up and command.
        patience = Retrying(
            stop=stop_after_delay(WAIT),
            wait=wait_fixed(POLL),
            retry=retry_if_exception_type(StackError),
            reraise=True,
        )
        return patience(attempt)


def _kept(token: str, said: str) -> dict[Store, bool]:
    return {store: line == token for store, line in zip(PLACES, said.splitlines(), strict=True)}
