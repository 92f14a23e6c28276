"""What a killed run leaves is found by its labels and removed; what lives, or is not a run's, stays."""

from __future__ import annotations

import io
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from persistence_tests.stack.cleanup import Leftovers, leftovers, remove
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.stack import Stack
from tests.engine.conftest import DOCKERFILE, TINY

pytestmark = pytest.mark.engine

ABANDONED = """
import sys
from pathlib import Path
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack

stack = Stack.prepare(StackSpec((Path(sys.argv[1]),)), Engine.connect(), sys.argv[2], "abandoned")
stack.start()
stack.down()
stack.up()
print("up", flush=True)
sys.stdin.read()
"""


def of_run(found: Leftovers, run: str) -> Leftovers:
    return Leftovers(tuple(leftover for leftover in found.found if leftover.run == run))


def test_what_a_killed_run_leaves_is_found_and_removed(
    engine: Engine, tmp_path: Path, tiny_stack: Stack
) -> None:
    (tmp_path / "compose.yaml").write_text(TINY)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    foreign = engine.client.volumes.create(f"foreign-{secrets.token_hex(4)}")
    run = f"t{secrets.token_hex(3)}"
    process = subprocess.Popen(
        [sys.executable, "-c", ABANDONED, str(tmp_path / "compose.yaml"), run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        alive = of_run(leftovers(engine), run)
        assert alive
        assert not alive.abandoned
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    left = of_run(leftovers(engine).abandoned, run)
    assert {leftover.kind for leftover in left.found} == {
        "container",
        "volume",
        "network",
        "image",
        "workspace",
    }
    # Named, external and control volumes; the anonymous ones of app and control, from before `down` and after it.
    assert len(left.of_kind("volume")) == 3 + 2 * 3
    assert all(leftover.age is not None and leftover.age < 600 for leftover in left.found)
    assert len(left.lines()) == len(left.found)
    assert remove(engine, left) == []
    assert not of_run(leftovers(engine), run)
    assert remove(engine, left) == []
    assert not any(Path(workspace.name).exists() for workspace in left.of_kind("workspace"))

    foreign.reload()
    foreign.remove()
    assert tiny_stack.unready() == []
    assert not of_run(leftovers(engine).abandoned, tiny_stack.identity.run)


def test_a_layer_of_a_build_that_ended_early_is_found_and_removed(engine: Engine) -> None:
    run = f"t{secrets.token_hex(3)}"
    dockerfile = f"FROM {engine.helper_image}\nLABEL canary={run}\n".encode()
    layer, _ = engine.client.images.build(
        fileobj=io.BytesIO(dockerfile), labels={"persistence-tests.run": run}
    )
    left = of_run(leftovers(engine), run)
    # The builder leaves its container too, which has the label by then.
    assert {leftover.kind for leftover in left.found} == {"container", "image"}
    assert remove(engine, left) == []
    assert not of_run(leftovers(engine), run)
    assert not engine.client.images.list(filters={"label": f"canary={run}"}, all=True)
    # That of the first layer never had the run's label: it is the test's own to remove.
    for container in engine.client.containers.list(all=True, filters={"label": f"canary={run}"}):
        container.remove()
    assert layer.id


INTERRUPTED = """
import signal, sys
from pathlib import Path
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.stack import Stack

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have had it ignored
stack = Stack.prepare(StackSpec((Path(sys.argv[1]),)), Engine.connect(), sys.argv[2], "interrupted")
try:
    stack.start()
    sys.stdin.read()
except KeyboardInterrupt:
    print("interrupted", flush=True)
finally:
    stack.close()
"""


def test_an_interrupt_in_the_middle_of_up_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    (tmp_path / "compose.yaml").write_text(TINY)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    run = f"t{secrets.token_hex(3)}"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "compose.yaml"), run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        filters: dict[str, str | list[str] | bool] = {"label": f"persistence-tests.run={run}"}
        Retrying(
            retry=retry_if_result(lambda found: not found), stop=stop_after_delay(60), wait=wait_fixed(0.02)
        )(lambda: engine.client.containers.list(all=True, filters=filters, sparse=True))
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=60)
        assert stdout == "interrupted\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    assert not of_run(leftovers(engine), run)
