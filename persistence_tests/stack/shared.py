"""The user's own engine, shared with everything that is on it: an override keeps the stack apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.stack import arrangement as standing
from persistence_tests.stack import buildcache, images, preparation
from persistence_tests.stack.commands import run_command
from persistence_tests.stack.disks.laying import Laid, lay
from persistence_tests.stack.engine import Engine
from persistence_tests.stack.host import OPENED, Host, ImageVolumes
from persistence_tests.stack.identity import CONTROL_SERVICE, RUN_LABEL, STACK_LABEL, Identity
from persistence_tests.stack.inspection import ONEOFF
from persistence_tests.stack.mounted import found_mounted
from persistence_tests.stack.teardown import remove_labelled

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.arrangement import Arrangement
    from persistence_tests.stack.disks.disk import Media
    from persistence_tests.stack.disks.placement import Placed
    from persistence_tests.stack.helper import Source
    from persistence_tests.stack.interruption import Interruption
    from persistence_tests.stack.isolation import Isolation
    from persistence_tests.stack.mounted import Mounted
    from persistence_tests.stack.preparation import Resolved
    from persistence_tests.stack.process import CommandResult
    from persistence_tests.stack.spec import StackSpec
    from persistence_tests.stack.stack import Stack


class SharedHost(Host):
    isolation = "override"

    def __init__(self, outer: Engine, run: str, own: str) -> None:
        super().__init__(outer)
        self._run, self._own = run, own
        self._layers: dict[str, str] = {}
        self._directory = ""

    @property
    def engine(self) -> Engine:
        return self.outer

    def describe(self) -> dict[str, str]:
        return self.outer.describe()

    def project(self, own: str, unaided: str | None = None) -> str:
        return own

    @cached_property
    def _taken_subnets(self) -> list[str]:
        return preparation.subnets(self.outer)

    def planned(self, spec: StackSpec, identity: Identity, resolved: Resolved) -> Isolation:
        return standing.planned(spec, identity, resolved, self._taken_subnets, self.outer)

    def arranged(
        self,
        spec: StackSpec,
        identity: Identity,
        project: str,
        original: dict[str, Any],
        plan: Isolation,
        *,
        edition: int = 0,
        image_volumes: ImageVolumes | None = None,
        laid_on: Sequence[Placed] = (),
    ) -> Arrangement:
        return standing.arranged(
            spec,
            identity,
            project,
            original,
            plan,
            self.outer,
            edition=edition,
            image_volumes=image_volumes,
            laid_on=laid_on,
        )

    def lay_on(self, arrangement: Arrangement, media: Media) -> tuple[Laid, Arrangement]:
        workspace = Path(arrangement.identity.project_directory)
        laid = lay(self.outer, arrangement.identity, arrangement.config, workspace, media)
        return laid, standing.on_disks(arrangement, laid.pairs)

    def with_volumes_of_images(self, arrangement: Arrangement, declared: ImageVolumes) -> Arrangement:
        # The engine would make the anonymous volumes that images declare without a label.
        return standing.labelled(arrangement, declared)

    def volume_labels(self) -> list[str]:
        return [f"{RUN_LABEL}={self._run}", f"{STACK_LABEL}={self._own}"]

    def container_labels(self, project: str) -> list[str]:
        return [*self.volume_labels(), f"{ONEOFF}=False"]

    def owns(self, labels: Mapping[str, str]) -> bool:
        return labels.get(STACK_LABEL) == self._own

    def owns_name(self, name: str) -> bool:
        return name.startswith((f"{self._own}_", f"{self._own}-", f"{self._own}/"))

    def make(self, arrangement: Arrangement) -> None:
        """It is there."""

    def built(self, stack: Stack) -> None:
        built = images.built(stack.config, stack.project)
        built.pop(CONTROL_SERVICE)
        self._layers = buildcache.layers_below_labels(self.outer, built)
        self._directory = str(stack.spec.project_directory)

    def reset(self, stack: Stack) -> list[str]:
        volumes = stack.recorded_volumes()
        return remove_labelled(self.outer, self._run, self._own, volumes, images=False)

    def close(self, identity: Identity, volumes: Iterable[str], settle: float) -> list[str]:
        buildcache.keep(self.outer, self._directory, self._layers)
        return remove_labelled(self.outer, self._run, self._own, volumes, settle=settle)

    def address(self, published: Mapping[str, str]) -> tuple[str, int]:
        return self.outer.host, int(published["HostPort"])

    @contextmanager
    def reached(self, stack: Stack, service: str, port: int) -> Iterator[tuple[str, int]]:
        yield stack.address(service, port)  # the override publishes it

    def bind(self, arrangement: Arrangement, source: str) -> Path:
        return preparation.bound(arrangement.plan.binds, arrangement.spec, arrangement.identity, source)

    def holds(self, path: Path) -> bool:
        return path.exists()

    def mounted(self, stack: Stack, volume: str) -> Mounted | None:
        return found_mounted(stack.containers(), volume)

    @contextmanager
    def opened(self, stack: Stack, source: Source) -> Iterator[tuple[Container, str]]:
        with stack.helper({OPENED: source}) as container:
            yield container, OPENED

    def command(
        self,
        stack: Stack,
        line: str,
        timeout: float,
        env: Mapping[str, str] | None,
        interruption: Interruption | None,
    ) -> CommandResult:
        return run_command(stack, line, timeout, env, interruption)
