"""What this machine can do, and for each lack what would mend it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from persistence_tests.errors import PersistenceError
from persistence_tests.stack.cleanup import leftovers
from persistence_tests.stack.compose import compose_binary, compose_version
from persistence_tests.stack.disks import trial as disks
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.machine import trial as machine


@dataclass(frozen=True, slots=True)
class Examined:
    """`works` is false for a lack that keeps scenarios from running; `remedy` may stand beside a mere hint too."""

    what: str
    works: bool
    detail: str
    remedy: str | None = None


def examine(url: str | None = None) -> list[Examined]:
    """Look at everything that scenarios need. Pulls a missing helper image; what it makes for trial it removes."""
    found = [_attempt("compose", lambda: f"{compose_version()} ({' '.join(compose_binary())})")]
    try:
        engine = Engine.connect(url)
    except PersistenceError as error:
        return [*found, Examined("engine", False, error.what, error.remedy)]
    return [*found, *_on_engine(engine), _docker_cli()]


def _on_engine(engine: Engine) -> Iterator[Examined]:
    facts = engine.describe()
    yield Examined(
        "engine",
        True,
        f"{facts['engine']} at {engine.url} ({facts['storage_driver']}, cgroup {facts['cgroup']})",
    )
    helper_image = _attempt("helper image", lambda: engine.helper_image)
    yield helper_image
    if helper_image.works:
        # Only some events need these, and say so where they are skipped.
        for what, try_out in (("crash disks", disks.try_out), ("machines", machine.try_out)):
            tried = _attempt(what, partial(try_out, engine))
            yield replace(tried, works=True, detail=tried.detail if tried.works else f"none: {tried.detail}")
    left = leftovers(engine).abandoned
    yield Examined(
        "leftovers",
        True,
        f"{len(left.found)} objects of earlier runs" if left else "none",
        "`persistence clean` removes them" if left else None,
    )


def _docker_cli() -> Examined:
    """A stack's own scripts usually call `docker`; the harness itself does not."""
    found = shutil.which("docker")
    if found:
        return Examined("docker command", True, found)
    return Examined(
        "docker command",
        True,
        "not found",
        "install it if your stack's own commands (backup, deploy) call it",
    )


def _attempt(what: str, look: Callable[[], str]) -> Examined:
    try:
        return Examined(what, True, look())
    except PersistenceError as error:
        return Examined(what, False, error.what, error.remedy)
