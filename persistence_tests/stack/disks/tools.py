"""The image of the station: the helper image, with the programs that a filesystem needs and it does not have."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from persistence_tests.errors import CapabilityLacking
from persistence_tests.stack.buildcache import REPOSITORY

if TYPE_CHECKING:
    from persistence_tests.stack.disks.disk import Filesystem
    from persistence_tests.stack.engine import Engine

INSTALL = (
    "apt-get update && apt-get install -y --no-install-recommends xfsprogs && rm -rf /var/lib/apt/lists/*"
)


def image_for(engine: Engine, filesystem: Filesystem) -> str:
    """Its reference, once it is on the engine; it is built once and kept with what other builds are kept of.

    Raises CapabilityLacking where it cannot be built.
    """
    from docker.errors import DockerException, ImageNotFound

    helper = engine.helper_image
    if filesystem == "ext4":
        return helper
    base = str(engine.client.images.get(helper).id).removeprefix("sha256:")[:12]
    tag = f"{REPOSITORY}:{filesystem}-{base}"
    try:
        engine.client.images.get(tag)
    except ImageNotFound:
        dockerfile = f"FROM {helper}\nRUN command -v mkfs.xfs || ({INSTALL})\n"
        try:
            engine.client.images.build(
                fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True, forcerm=True
            )
        except DockerException as error:
            raise CapabilityLacking(
                f"{helper} has no mkfs.xfs, and it cannot be installed there: {error}",
                remedy="name an image that has it with PERSISTENCE_HELPER_IMAGE, or write `filesystem: ext4`",
            ) from error
    return tag
