"""A stack whose servers are fast, with a volume full of files."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import insist
from persistence_tests.paths import kind
from persistence_tests.run.aside import Aside

if TYPE_CHECKING:
    from persistence_tests.paths.base import ReadingPath
    from persistence_tests.stack.stack import Stack

COMPOSE = Path(__file__).parent / "stack" / "compose.yaml"
ROOT = "/srv/files"
DIRECTORIES = 20
_FILL = r"""
set -e; cd "$1"
for directory in $(seq 0 "$(( $2 - 1 ))"); do
  mkdir "d$directory"; head -c "$(( $3 * $4 ))" "$5" | split -d -a 5 -b "$4" - "d$directory/file-"
done
"""


@dataclass(frozen=True, slots=True)
class Served:
    """`names` are the files, all of them; `paths` the four ways to them: volume, direct, api and proxy."""

    stack: Stack
    names: list[str]
    paths: dict[str, ReadingPath]

    def verify(self, *paths: str) -> None:
        """Look at every name through these paths at once, as a step does; each must be there."""
        looks = [Aside(partial(self.paths[path].observe, self.names)) for path in paths]
        for look in looks:
            view = look.result()
            insist(view.problem is None, str(view.problem))
            seen = [view.observations[name] for name in self.names]
            insist(all(found.sha256 for found in seen), "a file was not read")

    def url(self, path: str) -> str:
        service, port = {"api": ("api", 8080), "proxy": ("proxy", 80)}[path]
        host, published = self.stack.address(service, port)
        return f"http://{host}:{published}"

    def container(self, service: str) -> str:
        return str(self.stack.containers(service)[0].name)


@contextmanager
def served(files: int, size: int, source: str = "/dev/urandom") -> Iterator[Served]:
    """`files` of `size` bytes each out of `source`, on a stack of their own; all of it is removed in the end."""
    from persistence_tests.run.readiness import wait_ready
    from persistence_tests.stack.engine import Engine
    from persistence_tests.stack.spec import StackSpec
    from persistence_tests.stack.stack import Stack

    engine = Engine.connect()
    stack = Stack.prepare(StackSpec((COMPOSE,)), engine, f"bench-{secrets.token_hex(4)}", "files")
    try:
        stack.start()
        insist(wait_ready(stack, None, 60.0)[0], "the stack did not come up")
        api = stack.containers("api")[0]
        directories = min(DIRECTORIES, files)
        each = files // directories
        code, said = api.exec_run(
            ["sh", "-c", _FILL, "sh", ROOT, *map(str, (directories, each, size, source))]
        )
        insist(code == 0, f"the files could not be made: {said!r}")
        names = [f"d{at}/file-{number:05d}" for at in range(directories) for number in range(each)]
        settings: dict[str, dict[str, object]] = {
            "volume": {"volume": "files"},
            "direct": {"service": "api", "root": ROOT},
            "api": {"service": "api", "port": 8080, "url": "/files/{name}"},
            "proxy": {"service": "proxy", "port": 80, "url": "/files/{name}"},
        }
        paths = {name: kind(name).open(name, kind(name).config(**settings[name]), stack) for name in settings}
        yield Served(stack, names, paths)
    finally:
        stack.close()
        engine.close()
