"""Anonymous volumes that images declare: labelled, so that they are known as the run's."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.isolation.plan import Config, as_list, escaped
from persistence_tests.stack.override import Override


def with_anonymous_volumes(
    override: dict[str, Any], config: Config, image_volumes: Mapping[str, Iterable[str]], identity: Identity
) -> tuple[dict[str, Any], list[str]]:
    """The override, with a labelled anonymous volume where an image declares a volume that nothing is mounted on.

    The engine would make the same volume, but without a label that says whose it is. `config` is the isolated
    configuration, `image_volumes` what the image of each service declares.
    """
    services = dict(override["services"])
    changes = []
    for name, declared in image_volumes.items():
        service = config["services"][name]
        mounted = {posixpath.normpath(str(mount["target"])) for mount in service.get("volumes") or ()}
        mounted |= {posixpath.normpath(str(entry).split(":")[0]) for entry in as_list(service.get("tmpfs"))}
        missing = sorted(target for target in declared if posixpath.normpath(target) not in mounted)
        if missing and not service.get("volumes_from"):
            mine = [anonymous(identity, target) for target in missing]
            theirs = service.get("volumes") or []
            before = services[name].get("volumes")
            kept = before.value if isinstance(before, Override) else theirs
            services[name] = {**services[name], "volumes": Override([*kept, *mine])}
            changes += [
                f"{name}: the anonymous volume that its image declares at {t} is labelled" for t in missing
            ]
    return {**override, "services": services}, changes


def anonymous(identity: Identity, target: str) -> Config:
    return {"type": "volume", "target": escaped(target), "volume": {"labels": identity.labels}}
