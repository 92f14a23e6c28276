"""Verifying 1,000 files through four paths against two scripts.

The one that a user would write: `docker exec … sha256sum` and two `curl` a file, one after the other; it is timed
on every fifth file only, for it takes as long for each. The competent one: one `tar` out of the container unpacked
beside the digests that are known, `sha256sum -c`, and one `curl -Z` for all that the two servers have, checked
likewise. Neither looks at the volume itself, which we do.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.figure import Figure, in_turn, seconds
from benchmarks.served import ROOT, Served, served

FILES, SIZE, EVERY = 1000, 16 << 10, 5
ROUNDS = 3
NAIVE_GOAL, COMPETENT_GOAL = 30.0, 2.0

NAIVE = r"""
set -euo pipefail
while IFS= read -r name; do
  docker exec "$CONTAINER" sha256sum "$ROOT/$name" | cut -d' ' -f1
  curl -fsS "$API/files/$name" | sha256sum | cut -d' ' -f1
  curl -fsS "$PROXY/files/$name" | sha256sum | cut -d' ' -f1
done <some >/dev/null
"""
COMPETENT = r"""
set -euo pipefail
rm -rf direct api proxy && mkdir direct
docker exec "$CONTAINER" tar -C "$ROOT" -c . | tar -C direct -x
(cd direct && sha256sum --quiet -c ../digests)
for server in api proxy; do
  url=$API; [ "$server" = api ] || url=$PROXY
  sed "s|.*|url = \"$url/files/&\"\noutput = \"$server/&\"|" all
done >wanted
curl -fsS --no-progress-meter -Z --parallel-max 16 --create-dirs -K wanted
(cd api && sha256sum --quiet -c ../digests)
(cd proxy && sha256sum --quiet -c ../digests)
"""


def figures() -> Iterator[Figure]:
    with served(FILES, SIZE) as stack, tempfile.TemporaryDirectory() as scratch:
        digests = stack.paths["volume"].observe(stack.names).observations
        directory = Path(scratch)
        (directory / "all").write_text("".join(f"{name}\n" for name in stack.names))
        (directory / "some").write_text("".join(f"{name}\n" for name in stack.names[::EVERY]))
        (directory / "digests").write_text(
            "".join(f"{digests[name].sha256}  {name}\n" for name in stack.names)
        )
        ours, naive, competent = in_turn(
            partial(seconds, partial(stack.verify, "volume", "direct", "api", "proxy")),
            lambda: seconds(partial(_script, NAIVE, stack, directory)) * EVERY,
            partial(seconds, partial(_script, COMPETENT, stack, directory)),
            rounds=ROUNDS,
        )
    for name, goal, theirs in (
        ("paths-naive-script", NAIVE_GOAL, naive),
        ("paths-competent-script", COMPETENT_GOAL, competent),
    ):
        yield Figure(
            name, theirs / ours, f"≥ {goal:g} times as fast", theirs / ours >= goal, ours, theirs, "s"
        )


def _script(script: str, stack: Served, directory: Path) -> None:
    environment = {
        "CONTAINER": stack.container("api"),
        "ROOT": ROOT,
        "API": stack.url("api"),
        "PROXY": stack.url("proxy"),
        "DOCKER_HOST": stack.stack.engine.url,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    subprocess.run(["bash", "-c", script], cwd=directory, env=environment, check=True)
