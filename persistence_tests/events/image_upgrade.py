"""`image-upgrade`: a changed Dockerfile or build argument, then `up -d --build`, as for a new version."""

from __future__ import annotations

import posixpath
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from persistence_tests.errors import StackError
from persistence_tests.events.base import During, Proof
from persistence_tests.events.configuration import building, services
from persistence_tests.events.new_images import NewImages
from persistence_tests.events.target import TargetedEvent, TargetOptions
from persistence_tests.stack.isolation import escaped, unescaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from persistence_tests.stack.stack import Stack
    from persistence_tests.stack.state import EngineEvent, EngineState

VERSION_LABEL = "persistence-tests.version"


class ImageUpgradeOptions(TargetOptions):
    build_args: dict[str, str] = Field(
        {}, description="Build arguments of the new version.", examples=[{"VERSION": "2"}]
    )
    dockerfile: str | None = Field(
        None,
        min_length=1,
        description="The Dockerfile of the new version, relative to the build context.",
        examples=["Dockerfile.next"],
    )
    append: str | None = Field(
        None,
        min_length=1,
        description="An instruction that the new version's Dockerfile has at its end.",
        examples=["RUN echo 2 > /version"],
    )

    @model_validator(mode="after")
    def _one_dockerfile(self) -> ImageUpgradeOptions:
        if self.dockerfile and self.append:
            raise ValueError("dockerfile and append both say what the Dockerfile is: write one of them")
        return self


class ImageUpgrade(NewImages, TargetedEvent):
    """Nothing is edited but the copy of the project directory; the new version stays until the stack is torn down.

    With options they alone make the difference: an image that they leave as it is was not upgraded.
    """

    name = "image-upgrade"
    summary = (
        "another version of the images that the stack builds, then `docker compose up -d --build`; without options "
        "the new version has one more label"
    )

    Options: ClassVar[type[ImageUpgradeOptions]] = ImageUpgradeOptions
    options: ImageUpgradeOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._unbuilt: tuple[str, ...] = ()

    def describe(self) -> str:
        chosen = ", ".join(self.services())
        arguments = ", ".join(f"{key}={value}" for key, value in self.options.build_args.items())
        changed = (arguments, self.options.dockerfile, self.options.append)
        how = "; ".join(filter(None, changed))
        return f"image-upgrade{f' {chosen}' if chosen else ''}{f' ({how})' if how else ''}"

    def prepare(self, stack: Stack) -> None:
        built = building(stack.config)
        self._unbuilt = tuple(name for name in self.services() if name not in built)
        chosen = [
            name for name in self.services() or built if name in built and name != stack.control.service
        ]
        self._builds(stack, chosen)
        stack.edit({"services": {name: {"build": self._next(stack, name)} for name in chosen}})

    def apply(self, stack: Stack, during: During) -> None:
        stack.up("--build")

    def prove(
        self, before: EngineState, after: EngineState, seen: Sequence[EngineEvent], *, came_up: bool = True
    ) -> Proof:
        proof = super().prove(before, after, seen, came_up=came_up)
        unbuilt = [
            f"the stack does not build {name}, so that it cannot be upgraded" for name in self._unbuilt
        ]
        return Proof(proof.evidence, (*unbuilt, *proof.problems))

    def _next(self, stack: Stack, service: str) -> dict[str, Any]:
        """What the edited Compose file says of a service's build."""
        options = self.options
        build: dict[str, Any] = {}
        if options.build_args:
            build["args"] = dict(options.build_args)
        if options.dockerfile:
            build["dockerfile"] = options.dockerfile
        if options.append:
            build |= _appended(stack, service, options.append)
        return build or another_version()


def another_version() -> dict[str, Any]:
    """Of a service's `build`: what gives its image another id, and changes nothing else."""
    return {"labels": {VERSION_LABEL: secrets.token_hex(4)}}


def _appended(stack: Stack, service: str, instruction: str) -> dict[str, str]:
    build = services(stack.config)[service]["build"]
    if inline := build.get("dockerfile_inline"):
        return {"dockerfile_inline": f"{inline}\n{escaped(instruction)}\n"}
    context = unescaped(str(build.get("context", "")))
    file = Path(posixpath.join(context, unescaped(str(build.get("dockerfile") or "Dockerfile"))))
    if not file.is_file():
        raise StackError(
            f"the Dockerfile of {service} cannot be read: {file}",
            remedy="`append` needs a Dockerfile in the project; use `build_args` or `dockerfile`",
        )
    target = Path(stack.identity.workspace) / f"{service}.{secrets.token_hex(4)}.Dockerfile"
    target.write_text(f"{file.read_text()}\n{instruction}\n")
    return {"dockerfile": str(target)}
