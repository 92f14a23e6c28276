"""Images that a machine's engine is given, as a registry would give them: those of the outer engine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.isolation import unescaped

if TYPE_CHECKING:
    from persistence_tests.stack.engine import Engine

_ARGUMENT = re.compile(r"ARG\s+(\w+)=[\"']?([^\"'\s]*)", re.IGNORECASE)
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_COPIED = re.compile(r"COPY\s+(?:--\S+\s+)*--from=(\S+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?(\w+)(?::-([^}]*))?\}?")


def bases(dockerfile: str, arguments: Mapping[str, str]) -> set[str]:
    """The images that a Dockerfile begins with or copies from; `arguments` are those of the build."""
    given: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    found: set[str] = set()
    for line in dockerfile.splitlines():
        text = line.strip()
        if match := _ARGUMENT.match(text):
            given.setdefault(match[1], arguments.get(match[1], match[2]))
        for match in filter(None, (_FROM.match(text), _COPIED.match(text))):
            named = _VARIABLE.sub(
                lambda found: {**given, **arguments}.get(found[1], found[2] or ""), match[1]
            )
            if named and named.lower() not in stages and not named.isdigit():
                found.add(named)
            if match.re is _FROM and match[2]:
                stages.add(match[2].lower())
    return found


def wanted(config: Mapping[str, Any]) -> set[str]:
    """The images that the services of a resolved configuration run or are built from."""
    return {image for service in config["services"].values() for image in _of_service(service)}


def supply(outer: Engine, inner: Engine, references: Iterable[str]) -> list[str]:
    """Bring over those that the outer engine has and the inner one has not, or has otherwise; which these were."""
    brought = []
    with engine_answers("bringing images to the machine"):
        for reference in sorted(references):
            ours = _content(outer, reference)
            if ours is not None and ours != _content(inner, reference):
                inner.client.images.load(outer.client.api.get_image(reference))
                brought.append(reference)
    return brought


def _of_service(service: Mapping[str, Any]) -> Iterator[str]:
    build = service.get("build")
    if not build:
        yield str(service.get("image") or "")
        return
    arguments = {key: str(value) for key, value in (build.get("args") or {}).items() if value is not None}
    yield from bases(_dockerfile(build), arguments)


def _dockerfile(build: Mapping[str, Any]) -> str:
    if inline := build.get("dockerfile_inline"):
        return unescaped(str(inline))
    context = Path(unescaped(str(build.get("context") or "")))
    try:
        return (context / unescaped(str(build.get("dockerfile") or "Dockerfile"))).read_text(errors="replace")
    except OSError:
        return ""  # Compose says what is wrong with it


def _content(engine: Engine, reference: str) -> Any:
    """What an image is: engines that keep their images otherwise give it other ids. None where it is not there."""
    from docker.errors import ImageNotFound, NotFound

    if not reference:
        return None
    try:
        image = engine.client.images.get(reference).attrs
    except (ImageNotFound, NotFound):
        return None
    return image["RootFS"].get("Layers"), image["Created"]
