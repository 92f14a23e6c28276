"""The Docker host that a stack runs on, and what on it is the stack's: the user's own engine, or a machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from persistence_tests.stack.isolation import Isolation

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.arrangement import Arrangement
    from persistence_tests.stack.disks.disk import Media
    from persistence_tests.stack.disks.laying import Laid
    from persistence_tests.stack.disks.placement import Placed
    from persistence_tests.stack.engine import Engine
    from persistence_tests.stack.helper import Source
    from persistence_tests.stack.identity import Identity
    from persistence_tests.stack.interruption import Interruption
    from persistence_tests.stack.mounted import Mounted
    from persistence_tests.stack.preparation import Resolved
    from persistence_tests.stack.process import CommandResult
    from persistence_tests.stack.spec import StackSpec
    from persistence_tests.stack.stack import Stack

ImageVolumes = Mapping[str, Iterable[str]]

OPENED = "/persistence"
"""Where a helper container has what `opened` opens."""


class Host(ABC):
    """Made without anything being made on an engine; `make` and `close` do that.

    `outer` is the engine that the user named, `engine` the one that the stack runs on: mostly the same.
    """

    isolation: ClassVar[str]

    def __init__(self, outer: Engine) -> None:
        self.outer = outer

    @property
    @abstractmethod
    def engine(self) -> Engine: ...

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Facts of the engine, for the report; see `Engine.describe`."""

    # From the user's files to Compose's

    @abstractmethod
    def project(self, own: str, unaided: str | None = None) -> str:
        """What Compose is told that the project is called, empty for nothing: `own` is the run's name for it,
        `unaided` what Compose would call it by itself, where that is known."""

    def trees(self, spec: StackSpec, resolved: Resolved) -> tuple[Path, ...]:
        """Directories outside the project that are to be in the workspace, at the same place beside it."""
        return ()

    @abstractmethod
    def planned(self, spec: StackSpec, identity: Identity, resolved: Resolved) -> Isolation:
        """What becomes of the user's configuration. Raises StackRefused with everything that cannot be run here."""

    @abstractmethod
    def arranged(
        self,
        spec: StackSpec,
        identity: Identity,
        project: str,
        original: dict[str, object],
        plan: Isolation,
        *,
        edition: int = 0,
        image_volumes: ImageVolumes | None = None,
        laid_on: Sequence[Placed] = (),
    ) -> Arrangement:
        """How the stack then stands. Of another `edition` the control service is another one to Compose."""

    @abstractmethod
    def lay_on(self, arrangement: Arrangement, media: Media) -> tuple[Laid, Arrangement]:
        """From now on, until `reset`, the stack lies on fresh crash disks; see `disks.lay`."""

    @abstractmethod
    def with_volumes_of_images(self, arrangement: Arrangement, declared: ImageVolumes) -> Arrangement:
        """The same, once it is known which volumes the image of each service declares."""

    # What on the engine is the stack's

    @abstractmethod
    def volume_labels(self) -> list[str]:
        """Label filters for its volumes."""

    @abstractmethod
    def container_labels(self, project: str) -> list[str]:
        """Label filters for its services' containers."""

    @abstractmethod
    def owns(self, labels: Mapping[str, str]) -> bool:
        """Whether a container with these labels is one of the stack's or of the run's for it."""

    @abstractmethod
    def owns_name(self, name: str) -> bool:
        """Whether a volume, an image or a network of this name is the stack's."""

    # Life

    @abstractmethod
    def make(self, arrangement: Arrangement) -> None:
        """Be there, before anything is built. Idempotent. Raises CapabilityLacking where it cannot be had."""

    @abstractmethod
    def built(self, stack: Stack) -> None:
        """The stack's images have just been built."""

    @abstractmethod
    def reset(self, stack: Stack) -> list[str]:
        """Everything but the images goes; what would not, in words."""

    @abstractmethod
    def close(self, identity: Identity, volumes: Iterable[str], settle: float) -> list[str]:
        """Everything goes; what would not, in words. `settle` as for `teardown.remove_labelled`."""

    # Ways in

    @abstractmethod
    def address(self, published: Mapping[str, str]) -> tuple[str, int]:
        """Where the harness reaches a port that the engine has published as {"HostIp", "HostPort"}."""

    @abstractmethod
    def reached(self, stack: Stack, service: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """See `Stack.reached`."""

    @abstractmethod
    def bind(self, arrangement: Arrangement, source: str) -> Path:
        """The directory of a bind mount, named as in the Compose file; StackError where there is none."""

    @abstractmethod
    def holds(self, path: Path) -> bool:
        """Whether a path that the stack mounts is there."""

    @abstractmethod
    def mounted(self, stack: Stack, volume: str) -> Mounted | None:
        """See `Stack.mounted`."""

    @abstractmethod
    def opened(self, stack: Stack, source: Source) -> AbstractContextManager[tuple[Container, str]]:
        """See `Stack.opened`."""

    @abstractmethod
    def command(
        self,
        stack: Stack,
        line: str,
        timeout: float,
        env: Mapping[str, str] | None,
        interruption: Interruption | None,
    ) -> CommandResult:
        """See `Stack.command`."""
