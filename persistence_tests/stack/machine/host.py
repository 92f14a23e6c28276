"""A machine of the stack's own: there it runs as its files stand, with nothing added but the control service."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import CapabilityLacking, StackError
from persistence_tests.stack import override, preparation
from persistence_tests.stack.arrangement import Arrangement
from persistence_tests.stack.disks.disk import MEBIBYTE, Disk, Media
from persistence_tests.stack.disks.laying import Laid
from persistence_tests.stack.disks.placement import Placed, Stored
from persistence_tests.stack.disks.station import Station
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.host import OPENED, Host, ImageVolumes
from persistence_tests.stack.identity import STACK_LABEL, Identity
from persistence_tests.stack.inspection import ONEOFF, PROJECT
from persistence_tests.stack.isolation import Isolation
from persistence_tests.stack.machine.commands import in_machine, run_in
from persistence_tests.stack.machine.container import Machine
from persistence_tests.stack.machine.image import machine_image
from persistence_tests.stack.machine.plan import HostPath, content, host_paths, plan, ports, trees
from persistence_tests.stack.machine.snapshot import DISK, PATHS, Snapshots
from persistence_tests.stack.machine.supplies import supply, wanted
from persistence_tests.stack.machine.tunnel import tunnel
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.refusal import Refusal, refuse
from persistence_tests.stack.teardown import remove_labelled

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.helper import Source
    from persistence_tests.stack.interruption import Interruption
    from persistence_tests.stack.mounted import Mounted
    from persistence_tests.stack.preparation import Resolved
    from persistence_tests.stack.spec import StackSpec
    from persistence_tests.stack.stack import Stack

WHOLE = "the machine"
LONGEST_SOCKET = 107  # bytes: sun_path of unix(7), with a zero at its end
LEAST_DISK = 4 * 1024 * MEBIBYTE  # sparse: what is not used takes no room

# A path that the machine has itself stays; a directory of its own that is empty gives way to the disk's.
LAY = (
    'path=$1 kept=$2; mkdir -p "$kept" "$(dirname "$path")"; [ ! -d "$path" ] || [ -L "$path" ] || rmdir "$path" '
    '2>/dev/null || :; [ -e "$path" ] || ln -s "$kept" "$path"'
)
FILL = 'mkdir -p "$(dirname "$2")"; if [ -d "$1" ]; then mkdir -p "$2"; cp -a "$1/." "$2/"; else cp -a "$1" "$2"; fi'


class MachineHost(Host):
    isolation = "machine"

    def __init__(self, outer: Engine, run: str, own: str) -> None:
        super().__init__(outer)
        self._run, self._own = run, own
        self._machine: Machine | None = None
        self._snapshots: Snapshots | None = None
        self._snapshot: str | None = None
        self._images: frozenset[str] = frozenset()
        self._laid: Laid | None = None
        self._disk: Disk | None = None

    @property
    def machine(self) -> Machine:
        if self._machine is None:
            raise StackError("the machine is not there")
        return self._machine

    @property
    def engine(self) -> Engine:
        return self.machine.engine

    def describe(self) -> dict[str, str]:
        return (self.engine if self._is_there else self.outer).describe()

    @property
    def _is_there(self) -> bool:
        return self._machine is not None and self._machine.exists

    # From the user's files to Compose's

    def project(self, own: str, unaided: str | None = None) -> str:
        return unaided or ""

    def trees(self, spec: StackSpec, resolved: Resolved) -> tuple[Path, ...]:
        # The stack's own commands build too, and they find what is beside the project where it is in the workspace.
        found = map(Path, trees(resolved.original, str(spec.project_directory)))
        return tuple(path for path in found if path.is_dir())

    def planned(self, spec: StackSpec, identity: Identity, resolved: Resolved) -> Isolation:
        made = plan(resolved.original, spec)
        if made.refusals:
            raise refuse(list(made.refusals), str(spec.compose[-1]))
        return made

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
        project = project or str(original["name"])
        file = Path(identity.workspace) / (f"override-{edition}.yaml" if edition else "override.yaml")
        compose = preparation.in_workspace(spec, identity, f"unix://{socket_of(identity)}", project, file)
        document = preparation.with_control(plan.override, identity, {}, edition)
        file.write_text(override.render(document))
        isolated, config = compose.configs()
        paths = host_paths(original, isolated, identity.workspace)
        changes = (*plan.changes, *_said_of_ports(config), *_given(paths, spec))
        made = Arrangement(
            spec, identity, project, original, plan, document, compose, changes, isolated, config
        )
        if self._is_there:
            self._lay(made)
        return made

    def lay_on(self, arrangement: Arrangement, media: Media) -> tuple[Laid, Arrangement]:
        """The disk of its engine's data, with all that is on it; the machine is made anew for that."""
        failures = self.reset_machine()
        if failures:
            raise StackError(f"the machine could not be removed: {'; '.join(failures)}")
        made = replace(media, size=max(media.size, LEAST_DISK))
        station = Station(self.outer, arrangement.identity)
        try:
            (device,) = station.make(made, 1)
        except BaseException:
            station.close()
            raise
        self._disk = Disk(WHOLE, WHOLE, 0, device, made)
        self._laid = Laid(media, station, ((Stored(WHOLE, WHOLE), self._disk),), whole=True)
        return self._laid, arrangement

    def with_volumes_of_images(self, arrangement: Arrangement, declared: ImageVolumes) -> Arrangement:
        return arrangement

    # What on the engine is the stack's: all of it

    def volume_labels(self) -> list[str]:
        return []

    def container_labels(self, project: str) -> list[str]:
        return [f"{PROJECT}={project}", f"{ONEOFF}=False"]

    def owns(self, labels: Mapping[str, str]) -> bool:
        return PROJECT in labels or STACK_LABEL in labels

    def owns_name(self, name: str) -> bool:
        return True

    # Life

    def make(self, arrangement: Arrangement) -> None:
        if self._is_there:
            return
        identity, spec = arrangement.identity, arrangement.spec
        if (length := len(os.fsencode(socket_of(identity)))) > LONGEST_SOCKET:
            raise CapabilityLacking(
                f"the path of the machine's socket would have {length} bytes, and {LONGEST_SOCKET} is the most: "
                f"{socket_of(identity)}",
                remedy="set TMPDIR to a directory with a shorter name",
            )
        image = machine_image(self.outer)
        self._snapshots = Snapshots(self.outer, image, str(spec.project_directory), identity.labels)
        self._machine = self._machine or Machine(self.outer, identity, image, socket_of(identity))
        published = ports(arrangement.config)
        self._snapshot = self._snapshot or self._snapshots.newest()
        self._machine.make(
            snapshot=self._snapshot,
            ports=published.fixed,
            loopback=published.loopback,
            disk_options=self._disk.driver_options if self._disk else None,
        )
        self._images = self._images_there()
        self.supply(arrangement)
        self._lay(arrangement)

    def supply(self, arrangement: Arrangement) -> list[str]:
        """Bring over the images that the stack needs and the machine has not; which these were."""
        helper = [self.outer.helper_image]
        brought = supply(self.outer, self.engine, helper)
        if brought and not self._images:
            self._save(general=True)
            self._images = self._images_there()
        return brought + supply(self.outer, self.engine, wanted(arrangement.isolated))

    def built(self, stack: Stack) -> None:
        if self._images_there() != self._images:
            self._snapshot = self._save()
            self._images = self._images_there()

    def reset(self, stack: Stack) -> list[str]:
        return self.reset_machine()

    def reset_machine(self) -> list[str]:
        """Remove the machine; what could not be removed, in words. The next one begins with an ordinary disk."""
        failures = self._machine.remove() if self._machine else []
        laid, self._laid, self._disk = self._laid, None, None
        return failures + (laid.station.close() if laid else [])

    def close(self, identity: Identity, volumes: Iterable[str], settle: float) -> list[str]:
        return self.reset_machine() + remove_labelled(
            self.outer, self._run, self._own, images=False, settle=settle
        )

    # Ways in

    def address(self, published: Mapping[str, str]) -> tuple[str, int]:
        port = int(published["HostPort"])
        ours = self.machine.port(port)
        return ("127.0.0.1", ours) if ours is not None else (self.machine.address, port)

    @contextmanager
    def reached(self, stack: Stack, service: str, port: int) -> Iterator[tuple[str, int]]:
        for container in stack.containers(service):
            if address := _address_inside(container):
                with tunnel(self.machine.container, address, port) as ours:
                    yield ours
                return
        raise StackError(f"{service} has no address in the machine: it does not run")

    def bind(self, arrangement: Arrangement, source: str) -> Path:
        for path in host_paths(arrangement.original, arrangement.isolated, arrangement.identity.workspace):
            if posixpath.normpath(source) in (path.path, posixpath.normpath(path.users)):
                return Path(path.path)
        return preparation.bound(arrangement.plan.binds, arrangement.spec, arrangement.identity, source)

    def holds(self, path: Path) -> bool:
        return self.machine.run(["sh", "-c", '[ -e "$1" ] && echo there || :', "sh", str(path)]) != ""

    def mounted(self, stack: Stack, volume: str) -> Mounted | None:
        # The machine itself has them all: a container of the inner engine is none of this machine's processes.
        with engine_answers(f"looking at the volume {volume}"):
            found = self.engine.client.api.inspect_volume(volume)
        # Others are there only as long as somebody has them mounted.
        is_plain = found["Driver"] == "local" and not found.get("Options")
        return (self.machine.container, str(found["Mountpoint"])) if is_plain else None

    @contextmanager
    def opened(self, stack: Stack, source: Source) -> Iterator[tuple[Container, str]]:
        # Through the machine itself: a container of the inner engine that goes writes its whole disk out.
        if isinstance(source, Path):
            yield self.machine.container, str(source)
        elif (mounted := self.mounted(stack, source)) is not None:
            yield mounted
        else:
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
        compose = stack.compose
        environment = in_machine({**compose.environment(env), **stack.spec.env, **(env or {})})
        if stack.spec.follow_project or stack.is_edited:
            environment |= {
                "COMPOSE_PROJECT_NAME": compose.project,
                "COMPOSE_FILE": "\n".join(map(str, compose.files)),
                "COMPOSE_PATH_SEPARATOR": "\n",
                "COMPOSE_PROFILES": ",".join(stack.spec.profiles),
            }
        return run_in(
            self.machine,
            line,
            directory=str(stack.workspace),
            environment=environment,
            timeout=timeout,
            interruption=interruption,
        )

    # The disk

    def _save(self, *, general: bool = False) -> str:
        assert self._snapshots is not None
        self.machine.stop()
        try:
            return self._snapshots.save(self.machine.disk, general=general)
        finally:
            self.machine.start()

    def _images_there(self) -> frozenset[str]:
        return frozenset(entry["Id"] for entry in self.engine.client.api.images(all=True))

    def _lay(self, arrangement: Arrangement) -> None:
        """Make the paths that the stack mounts from its host, on the machine's disk, with their first content."""
        identity, spec = arrangement.identity, arrangement.spec
        for path in host_paths(arrangement.original, arrangement.isolated, identity.workspace):
            source, _ = content(path, spec)
            given = None
            if source is not None:
                given = Path(identity.workspace) / "paths" / path.path.lstrip("/")
                _copy(Path(source), given)
            if not path.is_system and (given is None or given.is_dir()):
                self.machine.run(["sh", "-ec", LAY, "sh", path.path, f"{DISK}/{PATHS}{path.path}"])
            if given is not None:
                self.machine.run(["sh", "-ec", FILL, "sh", str(given), path.path])


def _address_inside(container: Container) -> str | None:
    if container.attrs["HostConfig"].get("NetworkMode") == "host":
        return "127.0.0.1"
    networks = container.attrs["NetworkSettings"]["Networks"].values()
    return next((str(each["IPAddress"]) for each in networks if each.get("IPAddress")), None)


def socket_of(identity: Identity) -> Path:
    return Path(identity.workspace) / "machine" / "docker.sock"


def _given(paths: Iterable[HostPath], spec: StackSpec) -> list[str]:
    """What becomes of the paths of the host, in words. Raises StackRefused where one needs content and has none."""
    said, refusals = [], []
    for path in paths:
        source, allowed = content(path, spec)
        if not allowed:
            refusals.append(
                Refusal(
                    path.where,
                    f"the replacement of {path.users} lies outside the project directory",
                    "name a directory below the project directory, or the path itself",
                )
            )
        elif source is not None:
            said.append(f"{path.path}: the machine's own, with the content of {source}")
        elif path.is_engine or path.is_system:
            said.append(f"{path.path}: the machine's own")
        elif Path(path.users).is_file():
            refusals.append(
                Refusal(
                    path.where,
                    f"{path.users} is a file of yours, which the machine does not have",
                    f"to copy it there: `stack: {{ binds: {{ {path.users}: {path.users} }} }}`, or name a file of the "
                    "project in its place",
                )
            )
        else:
            said.append(f"{path.path}: the machine's own, begins empty")
    if refusals:
        raise refuse(refusals, str(spec.compose[-1]))
    return said


def _said_of_ports(config: Mapping[str, Any]) -> list[str]:
    fixed = ports(config).fixed
    many = "ports" if len(fixed) > 1 else "port"
    listed = ", ".join(map(str, fixed))
    return [f"{many} {listed} of the machine: reached at free ports of 127.0.0.1"] if fixed else []


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, target)
    except (OSError, shutil.Error) as error:
        raise StackError(
            f"{source} cannot be copied to the machine: {error}", remedy="make it readable"
        ) from error
