"""A stack under test: a Compose project, isolated from everything else on the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.model.records import StackPrepared
from persistence_tests.model.secrets import Secrets
from persistence_tests.stack import control, images, isolation, preparation, readiness, workspace
from persistence_tests.stack.arrangement import Arrangement, write_override
from persistence_tests.stack.beginning import begin
from persistence_tests.stack.commands import COMMAND_TIMEOUT
from persistence_tests.stack.compose import UP_TIMEOUT
from persistence_tests.stack.control import ControlService
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.disks.laying import Laid
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.feed import EventFeed
from persistence_tests.stack.helper import Source, helper
from persistence_tests.stack.host import Host
from persistence_tests.stack.identity import CONTROL_SERVICE, Identity
from persistence_tests.stack.inspection import (
    SERVICE,
    engine_state,
    mounted_volumes,
    mounts_by_service,
    number_of,
    service_of,
)
from persistence_tests.stack.interruption import Interruption
from persistence_tests.stack.logs import logs
from persistence_tests.stack.machine.container import Machine
from persistence_tests.stack.machine.host import MachineHost
from persistence_tests.stack.process import CommandResult
from persistence_tests.stack.redaction import redacted
from persistence_tests.stack.references import outside_references
from persistence_tests.stack.signalling import signal_main_process
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.state import EngineState
from persistence_tests.stack.watch import EventWatch

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.mounted import Mounted

SETTLE = 2.0
RENAMED = "renamed"


class Stack:
    """Made by `Stack.prepare`; close it whatever happens. Not thread-safe, save for looking things up."""

    def __init__(self, host: Host, arrangement: Arrangement, secrets: Secrets) -> None:
        self._host = host
        self.control = ControlService(self)
        self.secrets = secrets
        self._recorded: set[str] = set()
        self._built = False
        self._image_volumes: dict[str, list[str]] = {}
        self._feed: EventFeed | None = None
        self._first: Arrangement | None = None
        self._editions = 0
        self.laid: Laid | None = None
        self._off_disks: Arrangement | None = None
        self.compose = arrangement.compose
        self._adopt(arrangement)

    @classmethod
    def prepare(
        cls, spec: StackSpec, engine: Engine, run: str, scenario: str, secrets: Secrets | None = None
    ) -> Stack:
        """Resolve, isolate, copy and check; no container is made. `secrets` learns those of the stack.

        Raises StackRefused with everything that cannot be isolated, StackError where Compose cannot read the files.
        """
        secrets = Secrets() if secrets is None else secrets
        host, arrangement = begin(spec, engine, run, scenario, secrets)
        return cls(host, arrangement, secrets)

    def _adopt(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement
        self.spec = arrangement.spec
        self.identity = arrangement.identity
        self.project = arrangement.project
        self.workspace = Path(arrangement.identity.project_directory)
        arrangement.compose.interrupted |= self.compose.interrupted
        self.compose = arrangement.compose
        self.compose.before = self.record_volumes
        self.config = arrangement.config
        self.prepared = StackPrepared(
            project=self.project,
            isolation=self._host.isolation,
            engine=self._host.describe(),
            original=redacted(self._arrangement.original),
            isolated=redacted(self._arrangement.isolated),
            changes=self._arrangement.changes,
        )

    # How it stands

    @property
    def engine(self) -> Engine:
        """The engine that it runs on. Raises StackError where that is in a machine which is not there yet."""
        return self._host.engine

    @property
    def machine(self) -> Machine:
        """The machine that it runs in. Raises StackError where it has none of its own."""
        if isinstance(self._host, MachineHost):
            return self._host.machine
        raise StackError("the stack has no machine of its own", remedy="add `isolation: machine` to `stack`")

    def restock(self) -> None:
        """Have on the engine, as from a registry, what the stack needs and does not make: images, external volumes."""
        if isinstance(self._host, MachineHost):
            self._host.supply(self._arrangement)
        self._make_external()

    @property
    def is_edited(self) -> bool:
        """Whether the Compose files, or their directory, are others than at first."""
        return self._first is not None

    def edit(self, changes: Mapping[str, Any] | None = None, file: str | None = None) -> None:
        """From now on, until `reset`, the Compose files are others; nothing on the engine changes by that.

        `changes` and `file` (relative to the project directory) are merged over the files, as with Compose's `-f`.
        Each call makes the control service another one to Compose, with other image labels. Raises StackRefused where
        what comes of it cannot be isolated, StackError where Compose cannot read it; then all is as it was.
        """
        self._editions += 1
        files: list[Path] = []
        if changes:
            files.append(Path(self.identity.workspace) / f"edit-{self._editions}.yaml")
            files[-1].write_text(json.dumps(changes))  # which YAML contains
        if file is not None:
            files.append(self.spec.project_directory / file)
            if not files[-1].is_file():
                raise StackError(f"there is no file {file}", where=str(self.spec.project_directory))
        self._rearrange(replace(self.spec, compose=(*self.spec.compose, *files)), self.identity, self.project)

    def rename_directory(self) -> None:
        """Rename the project directory, until `reset`; `project` is then another one if Compose's name follows it.

        Raises StackError where a bind mount of the project directory is absolute: it would not follow.
        """
        before = preparation.unaided(self.spec, self.identity, self._host.outer)
        if staying := preparation.absolute_binds(before, self.spec.project_directory):
            raise StackError(
                f"what becomes of {', '.join(staying)} cannot be said: an absolute path into the project directory "
                "does not follow when that is renamed",
                remedy="write the path relative to the project directory",
            )
        renamed = self.workspace.rename(self.workspace.with_name(f"{self.workspace.name}-{RENAMED}"))
        try:
            identity = replace(self.identity, project_directory=str(renamed))
            after = preparation.unaided(self.spec, identity, self._host.outer)
            follows = after["name"] != before["name"]
            self._editions += 1
            own = f"{self.identity.project}-{RENAMED}" if follows else self.project
            project = self._host.project(own, after["name"])
            self._rearrange(self.spec, identity, project)
        except BaseException:
            renamed.rename(self.workspace)
            raise

    def _rearrange(self, spec: StackSpec, identity: Identity, project: str) -> None:
        known = outside_references(self.spec.compose, spec.project_directory)
        if beyond := set(outside_references(spec.compose, spec.project_directory)) - set(known):
            raise StackRefused(
                f"the edit names files outside the project directory: {', '.join(sorted(map(str, beyond)))}",
                remedy="name files below the project directory",
            )
        resolved = preparation.resolve(spec, self._host.outer, project, self.secrets)
        plan = self._host.planned(spec, identity, resolved)
        preparation.copy_files(plan, identity)
        made = self._host.arranged(
            spec,
            identity,
            project,
            resolved.original,
            plan,
            edition=self._editions,
            image_volumes=self._image_volumes,
            laid_on=self._arrangement.disks,
        )
        stood = self._arrangement.plan
        if self._feed is not None and (
            plan.external_volumes != stood.external_volumes
            or plan.external_networks != stood.external_networks
        ):
            self._make_external(plan)
        self._first = self._first or self._arrangement
        self._adopt(made)

    # Life

    def build(self) -> None:
        """Build the images, and fetch those that are not built; once."""
        if self._built:
            return
        self._make_host()
        self.compose.run("build", timeout=UP_TIMEOUT)
        self._image_volumes = images.declared_volumes(self.engine, self.compose, self.config)
        settled = self._host.with_volumes_of_images(self._arrangement, self._image_volumes)
        if settled is not self._arrangement:
            self._adopt(settled)
        self._host.built(self)
        self._built = True

    def start(self) -> None:
        """Bring the stack up for the first time; returns when it is started, not when it is ready."""
        self._make_host()
        self.build()
        _ = self.feed
        self._make_external()
        self.compose.start()
        self.record_volumes()

    def lay_on(self, media: Media | None) -> None:
        """Before `start`: from then on, until `reset`, the stack's stores lie on fresh crash disks; see `disks.lay`."""
        if media is None:
            return
        self._off_disks = self._arrangement
        self.laid, arrangement = self._host.lay_on(self._arrangement, media)
        self._adopt(arrangement)

    def up(self, *arguments: str) -> None:
        """`docker compose up -d ARGUMENTS`."""
        self.compose.run("up", "-d", *arguments, timeout=UP_TIMEOUT)
        self.record_volumes()

    def down(self, *arguments: str) -> None:
        """`docker compose down ARGUMENTS`; without arguments it keeps the volumes."""
        self.compose.run("down", *arguments)

    def close(self) -> None:
        """Remove everything that the stack made. Idempotent; raises StackError with all that would not go."""
        if self._feed is not None:
            self._feed.close()
            self._feed = None
        settle = SETTLE if self.compose.interrupted else 0.0
        failures = self._host.close(self.identity, self._recorded, settle)
        try:
            workspace.remove(Path(self.identity.workspace), self._host.outer, self.identity.labels)
        except StackError as error:
            failures.append(error.what)
        if failures:
            raise StackError(
                "not everything of the stack could be removed:\n" + "\n".join(f"  | {f}" for f in failures),
                where=self.project,
                remedy="run `persistence clean`",
            )

    def reset(self) -> None:
        """Back to before the first `start`: containers, volumes and networks go, images stay, binds begin anew.

        Raises StackError with all that would not go.
        """
        failures = self._host.reset(self)
        if failures:
            raise StackError(
                "the stack could not be taken down between two steps:\n"
                + "\n".join(f"  | {failure}" for failure in failures),
                where=self.project,
                remedy="run `persistence clean`",
            )
        self._recorded.clear()
        workspace.empty(self.workspace, self._host.outer, self.identity.labels)
        if self._first is not None:
            # Its images bear what was edited, its tags another project's name.
            self._adopt(self._first)
            self._first, self._built = None, False
        if self._off_disks is not None:
            write_override(self._off_disks)
            self._adopt(self._off_disks)
            self._off_disks = self.laid = None
        preparation.copy(self.spec, self.identity, self._arrangement.plan, self._arrangement.original)

    # What there is

    def services(self) -> tuple[str, ...]:
        """The user's services that run, sorted."""
        return tuple(sorted(name for name in self.config["services"] if name != CONTROL_SERVICE))

    def containers(self, service: str | None = None) -> list[Container]:
        """Containers as they are now, running or not, sorted by service and number; the control's too."""
        filters: dict[str, str | list[str] | bool] = {"label": [*self._lasting, *_label_of(service)]}
        with engine_answers("looking up containers"):
            found = self.engine.client.containers.list(all=True, filters=filters, ignore_removed=True)
        self._recorded |= set().union(*(mounted_volumes(c) for c in found))
        return sorted(found, key=lambda c: (service_of(c), number_of(c)))

    def outlines(self) -> list[dict[str, Any]]:
        """The same containers as the engine lists them: one call, where `containers` inspects each."""
        with engine_answers("looking up containers"):
            listed: list[dict[str, Any]] = self.engine.client.api.containers(
                all=True, filters={"label": self._lasting}
            )
        self._recorded |= {
            mount["Name"]
            for each in listed
            for mount in each.get("Mounts") or ()
            if mount["Type"] == "volume" and mount.get("Name")
        }
        return listed

    def address(self, service: str, port: int) -> tuple[str, int]:
        """Host and published port of a service's port, as they are now; StackError where there is none."""
        mode = str((self.config["services"].get(service) or {}).get("network_mode") or "")
        owner = mode.removeprefix("service:") if mode.startswith("service:") else service
        for container in self.containers(owner):
            published = (container.attrs["NetworkSettings"].get("Ports") or {}).get(f"{port}/tcp")
            if published:
                return self._host.address(published[0])
        declared = {p["target"] for p in (self.config["services"].get(owner) or {}).get("ports") or ()}
        raise StackError(
            f"port {port} of {service} is not published"
            + (" at the moment: the service does not run" if port in declared else ""),
            remedy=None if port in declared else f'publish it in the Compose file: `ports: ["{port}"]`',
        )

    @contextmanager
    def reached(self, service: str, port: int) -> Iterator[tuple[str, int]]:
        """Where a port of a service that `spec.reached` names is reached, for as long as the context lasts.

        StackError where it is not, as of a service that does not run.
        """
        with self._host.reached(self, service, port) as address:
            yield address

    def volume(self, key: str) -> str:
        """The name on the engine of a volume of the Compose file, be it that an edit has put it out of use."""
        entry = (self.config.get("volumes") or {}).get(key)
        if entry is None and self._first is not None:
            entry = (self._first.config.get("volumes") or {}).get(key)
        if entry is None:
            known = ", ".join(self.volume_keys())
            raise StackError(f"the stack has no volume {key!r} in use", remedy=f"it has: {known or 'none'}")
        return isolation.unescaped(str(entry["name"]))

    def volume_keys(self) -> tuple[str, ...]:
        """The volumes of the Compose file that are in use, sorted."""
        own = {control.NAMED_VOLUME, control.EXTERNAL_VOLUME}
        return tuple(sorted(set(self.config.get("volumes") or {}) - own))

    def bind(self, source: str) -> Path:
        """The workspace's directory of a bind mount, named as in the Compose file."""
        return self._host.bind(self._arrangement, source)

    def holds(self, path: Path) -> bool:
        """Whether a directory that `bind` named is there."""
        return self._host.holds(path)

    def bind_source(self, source: str) -> Source:
        """The same; where it lies on a crash disk, the volume that stands for it."""
        directory = self.bind(source)
        moved = {stored.directory: stored.volume for stored, _ in self._arrangement.disks}
        return self.volume(moved[str(directory)]) if str(directory) in moved else directory

    def mounts(self) -> dict[str, list[dict[str, str]]]:
        """Of each of the user's services: kind, source and target of its mounts, and the volume's key if it has one."""
        users = [c for c in self.containers() if service_of(c) != CONTROL_SERVICE]
        return mounts_by_service(users, self._volume_keys())

    def images(self) -> dict[str, str]:
        """The image id of each of the user's services."""
        return {
            service_of(c): c.attrs["Image"] for c in self.containers() if service_of(c) != CONTROL_SERVICE
        }

    def state(self) -> EngineState:
        """Containers, the control's too, and volumes as the engine has them now."""
        containers = self.containers()
        with engine_answers("reading the stack's state"):
            state = engine_state(
                self.engine, containers, self._own, self._volume_keys(), self.feed.volumes_created()
            )
        self._recorded |= set(state.volumes)
        return state

    def recorded_volumes(self) -> set[str]:
        """Every volume that a container of this stack was ever seen to have, or that bears the stack's label."""
        self.record_volumes()
        return set(self._recorded)

    def record_volumes(self) -> None:
        self.outlines()
        with engine_answers("looking up volumes"):
            listed = self.engine.client.api.volumes(filters={"label": self._own})
        self._recorded |= {entry["Name"] for entry in listed["Volumes"] or ()}

    def starting(self) -> bool:
        """Whether a container of the stack still starts, by a list alone; what `unready` says is what counts."""
        return any(map(readiness.starts, self.outlines()))

    def unready(self) -> list[str]:
        """Why the stack is not ready; see `readiness.obstacles`."""
        return readiness.obstacles(self.config["services"], self.containers())

    def is_over(self) -> bool:
        """Whether it will not become ready by waiting; see `readiness.is_over`."""
        return readiness.is_over(self.containers())

    def last_words(self) -> list[str]:
        """What the containers that do not run have logged last; see `readiness.last_words`."""
        return readiness.last_words(self.containers())

    def logs(self, since: float | None = None) -> dict[str, str]:
        """The services' logs, without secrets, the control's left out; `since` in Unix seconds."""
        found = logs([c for c in self.containers() if service_of(c) != CONTROL_SERVICE], since)
        return {service: self.secrets.redact(text) for service, text in found.items()}

    @contextmanager
    def watch(self) -> Iterator[EventWatch]:
        """Watch the engine's events; `finish()` returns those of this stack."""
        yield EventWatch(self.feed, self._host, self.recorded_volumes)

    @property
    def feed(self) -> EventFeed:
        """The engine's events since the stack was first started or asked for them."""
        if self._feed is None:
            self._feed = EventFeed(self.engine, self._host.owns)
        return self._feed

    # What is done to it

    @property
    def original(self) -> dict[str, Any]:
        """The user's configuration, resolved, of all profiles."""
        return self._arrangement.original

    @property
    def mounted_as_is(self) -> tuple[str, ...]:
        """Paths outside the workspace that the scenario lets the stack mount read-only."""
        return self._arrangement.mounted_as_is

    def command(
        self,
        line: str,
        timeout: float = COMMAND_TIMEOUT,
        env: Mapping[str, str] | None = None,
        interruption: Interruption | None = None,
    ) -> CommandResult:
        """Run a command of the stack's own, by bash, in the workspace; its exit code is the caller's to judge.

        With an `interruption` see `interruption.run_interrupted`.

        Raises StackRefused unless the scenario says that its commands follow the project, and where one does not.
        """
        return self._host.command(self, line, timeout, env, interruption)

    def signal_main_process(self, container: Container, signal: str) -> None:
        """Send a signal ("SIGKILL") to a container's main process from the host, so that its restart policy acts.

        The engine's own kill would suppress the policy. Raises StackError where the container does not run.
        """
        signal_main_process(self.helper, container, signal)

    def helper(self, mounts: Mapping[str, Source], **options: Any) -> AbstractContextManager[Container]:
        """A created, not started helper container with the stack's labels; see `helper.helper`."""
        return helper(self.engine, mounts, labels=self._helper_labels(), **options)

    def mounted(self, volume: str) -> Mounted | None:
        """A running container that has a volume, by its name on the engine, and the place; None where none has."""
        return self._host.mounted(self, volume)

    def opened(self, source: Source) -> AbstractContextManager[tuple[Container, str]]:
        """A container whose archive has a volume or a mounted directory, and the place where it has it."""
        return self._host.opened(self, source)

    @property
    def _own(self) -> list[str]:
        return self._host.volume_labels()

    @property
    def _lasting(self) -> list[str]:
        return self._host.container_labels(self.project)

    def _make_host(self) -> None:
        """The facts of its engine are known once it is there."""
        self._host.make(self._arrangement)
        if self.prepared.engine != (engine := self._host.describe()):
            self.prepared = replace(self.prepared, engine=engine)

    def _helper_labels(self) -> dict[str, str]:
        return self.identity.labels

    def _volume_keys(self) -> dict[str, str]:
        volumes = self.config.get("volumes") or {}
        return {isolation.unescaped(str(entry["name"])): key for key, entry in volumes.items()}

    def _make_external(self, plan: isolation.Isolation | None = None) -> None:
        options = {
            self.volume(stored.volume): disk.driver_options for stored, disk in self._arrangement.disks
        }
        preparation.make_external(self.engine, plan or self._arrangement.plan, self.identity, options)


def _label_of(service: str | None) -> tuple[str, ...]:
    return () if service is None else (f"{SERVICE}={service}",)
