"""A stack under test: a Compose project, isolated from everything else on the engine."""

from __future__ import annotations

import posixpath
import signal as signals
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError, StackRefused
from persistence_tests.model.records import StackPrepared
from persistence_tests.model.secrets import Secrets
from persistence_tests.stack import (
    buildcache,
    control,
    isolation,
    override,
    preparation,
    readiness,
    workspace,
)
from persistence_tests.stack.commands import COMMAND_TIMEOUT, run_command
from persistence_tests.stack.compose import UP_TIMEOUT, CommandResult, Compose
from persistence_tests.stack.control import ControlService
from persistence_tests.stack.engine import Engine, engine_answers
from persistence_tests.stack.feed import EventFeed
from persistence_tests.stack.helper import Source, helper, run_to_end
from persistence_tests.stack.identity import CONTROL_SERVICE, RUN_LABEL, STACK_LABEL, Identity, project_name
from persistence_tests.stack.inspection import (
    ONEOFF,
    SERVICE,
    container_state,
    engine_state,
    mounted_volumes,
    number_of,
    service_of,
)
from persistence_tests.stack.logs import logs
from persistence_tests.stack.redaction import redacted
from persistence_tests.stack.references import common_ancestor, outside_references
from persistence_tests.stack.refusal import refuse
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.state import EngineState
from persistence_tests.stack.teardown import remove_labelled
from persistence_tests.stack.verification import violations
from persistence_tests.stack.watch import EventWatch

if TYPE_CHECKING:
    from docker.models.containers import Container

SETTLE = 2.0


class Stack:
    """Made by `Stack.prepare`; close it whatever happens. Not thread-safe, save for looking things up."""

    def __init__(
        self,
        spec: StackSpec,
        engine: Engine,
        identity: Identity,
        compose: Compose,
        plan: isolation.Isolation,
        original: dict[str, Any],
        secrets: Secrets,
    ) -> None:
        self.spec = spec
        self.engine = engine
        self.identity = identity
        self.compose = compose
        self.project = identity.project
        self.workspace = Path(identity.project_directory)
        self.control = ControlService(self)
        self.secrets = secrets
        self.config: dict[str, Any] = {}
        self.prepared: StackPrepared
        self._plan = plan
        self._original = original
        self._override = preparation.with_control(plan.override, identity)
        self._changes = list(plan.changes)
        self._recorded: set[str] = set()
        self._built = False
        self._layers: dict[str, str] = {}
        self._feed: EventFeed | None = None

    @classmethod
    def prepare(
        cls, spec: StackSpec, engine: Engine, run: str, scenario: str, secrets: Secrets | None = None
    ) -> Stack:
        """Resolve, isolate, copy and check; no container is made. `secrets` learns those of the stack.

        Raises StackRefused with everything that cannot be isolated, StackError where Compose cannot read the files.
        """
        if spec.isolation != "override":
            raise StackRefused(
                f"the isolation {spec.isolation!r} is not known", remedy="use `isolation: override`"
            )
        secrets = Secrets() if secrets is None else secrets
        project = project_name(run, scenario)
        directory = spec.project_directory
        original, shadow, active = preparation.resolve(spec, engine, project, secrets)
        references = outside_references(spec.compose, directory)
        below = directory.relative_to(common_ancestor(directory, references))
        root = workspace.create(run)
        identity = Identity(run, project, str(root), str(root / "stack" / below))
        try:
            return cls._isolated(spec, engine, identity, original, shadow, active, references, secrets)
        except BaseException:
            workspace.remove(root, None, {})
            raise

    @classmethod
    def _isolated(
        cls,
        spec: StackSpec,
        engine: Engine,
        identity: Identity,
        original: dict[str, Any],
        shadow: dict[str, Any],
        active: Sequence[str],
        references: Sequence[Path],
        secrets: Secrets,
    ) -> Stack:
        directory = spec.project_directory
        plan = isolation.isolate(
            original,
            shadow,
            active=active,
            identity=identity,
            spec=spec,
            project_directory=str(directory),
            taken_subnets=preparation.subnets(engine),
        )
        refusals = [*plan.refusals, *workspace.bind_refusals(plan.binds, directory, engine.socket)]
        if refusals:
            raise refuse(refusals, str(spec.compose[0]))
        changes = preparation.copy(spec, identity, plan, original)
        workspace.copy_references(references, directory, Path(identity.project_directory))
        control.write_context(Path(identity.workspace) / "control", engine.helper_image)
        compose = Compose(
            engine_url=engine.url,
            project=identity.project,
            directory=Path(identity.project_directory),
            files=(
                *(preparation.moved(path, spec, identity) for path in spec.compose),
                Path(identity.workspace) / "override.yaml",
            ),
            profiles=spec.profiles,
            env_files=tuple(preparation.moved(path, spec, identity) for path in spec.env_files),
            env=spec.env,
        )
        stack = cls(spec, engine, identity, compose, plan, original, secrets)
        stack._changes += changes
        try:
            stack._settle()
        except StackError as error:
            raise StackRefused(
                f"the copy of the project directory cannot be used: {error.what}",
                where=str(spec.compose[0]),
                remedy="keep every file that the Compose files name below the project directory",
            ) from error
        compose.before = stack.record_volumes
        return stack

    def _settle(self) -> None:
        """Write the override, resolve again, verify; nothing was started if the second net catches something."""
        (Path(self.identity.workspace) / "override.yaml").write_text(override.render(self._override))
        with ThreadPoolExecutor(2) as pool:
            everything = pool.submit(self.compose.config, all_profiles=True)
            running = pool.submit(self.compose.config)
            config, self.config = everything.result(), running.result()
        found = violations(config, self.identity, self.mounted_as_is)
        found += workspace.escapes(self._plan.binds, self.workspace, Path(self.identity.workspace))
        if found:
            raise refuse(found, str(self.spec.compose[0]))
        self.prepared = StackPrepared(
            project=self.project,
            isolation=self.spec.isolation,
            engine=self.engine.describe(),
            original=redacted(self._original),
            isolated=redacted(config),
            changes=tuple(self._changes),
        )

    # Life

    def build(self) -> None:
        """Build the images, and fetch those that are not built; once."""
        if self._built:
            return
        self.compose.run("build", timeout=UP_TIMEOUT)
        self._label_image_volumes()
        self._layers = buildcache.layers_below_labels(self.engine, self._built_images())
        self._built = True

    def start(self) -> None:
        """Bring the stack up for the first time; returns when it is started, not when it is ready."""
        self.build()
        _ = self.feed
        self._make_external()
        self.compose.start()
        self.record_volumes()

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
        buildcache.keep(self.engine, str(self.spec.project_directory), self._layers)
        settle = SETTLE if self.compose.interrupted else 0.0
        failures = remove_labelled(
            self.engine, self.identity.run, self.project, self._recorded, settle=settle
        )
        try:
            workspace.remove(Path(self.identity.workspace), self.engine, self.identity.labels)
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
        self.record_volumes()
        failures = remove_labelled(self.engine, self.identity.run, self.project, self._recorded, images=False)
        if failures:
            raise StackError(
                "the stack could not be taken down between two steps:\n"
                + "\n".join(f"  | {failure}" for failure in failures),
                where=self.project,
                remedy="run `persistence clean`",
            )
        self._recorded.clear()
        workspace.empty(self.workspace, self.engine, self.identity.labels)
        preparation.copy(self.spec, self.identity, self._plan, self._original)

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
                return self.engine.host, int(published[0]["HostPort"])
        declared = {p["target"] for p in (self.config["services"].get(owner) or {}).get("ports") or ()}
        raise StackError(
            f"port {port} of {service} is not published"
            + (" at the moment: the service does not run" if port in declared else ""),
            remedy=None if port in declared else f'publish it in the Compose file: `ports: ["{port}"]`',
        )

    def volume(self, key: str) -> str:
        """The name on the engine of a volume of the Compose file."""
        entry = (self.config.get("volumes") or {}).get(key)
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
        wanted = posixpath.normpath(posixpath.join(self.spec.project_directory, Path(source).expanduser()))
        for bind in self._plan.binds:
            if bind.inside is not None and wanted in (
                posixpath.normpath(bind.source),
                posixpath.normpath(posixpath.join(self.spec.project_directory, bind.inside)),
            ):
                return Path(posixpath.normpath(self.workspace / bind.inside))
        known = sorted({bind.inside for bind in self._plan.binds if bind.inside is not None})
        raise StackError(
            f"the stack has no bind mount {source!r}", remedy=f"it has: {', '.join(known) or 'none'}"
        )

    def mounts(self) -> dict[str, list[dict[str, str]]]:
        """Of each of the user's services: kind, source and target of its mounts, and the volume's key if it has one."""
        keys = self._volume_keys()
        out: dict[str, list[dict[str, str]]] = {}
        for container in self.containers():
            if service_of(container) == CONTROL_SERVICE or service_of(container) in out:
                continue
            out[service_of(container)] = [
                {"kind": m.kind, "source": m.source, "target": m.target, "writable": str(m.writable).lower()}
                | ({"volume": keys[m.source]} if m.source in keys else {})
                for m in container_state(container).mounts
            ]
        return out

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
        yield EventWatch(self.feed, self.project, self.recorded_volumes)

    @property
    def feed(self) -> EventFeed:
        """The engine's events since the stack was first started or asked for them."""
        if self._feed is None:
            self._feed = EventFeed(self.engine, self.project)
        return self._feed

    # What is done to it

    @property
    def original(self) -> dict[str, Any]:
        """The user's configuration, resolved, of all profiles."""
        return self._original

    @property
    def mounted_as_is(self) -> tuple[str, ...]:
        """Paths outside the workspace that the scenario lets the stack mount read-only."""
        return tuple(bind.source for bind in self._plan.binds if bind.inside is None)

    def command(
        self, line: str, timeout: float = COMMAND_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Run a command of the stack's own, by bash, in the workspace; its exit code is the caller's to judge.

        Raises StackRefused unless the scenario says that its commands follow the project, and where one does not.
        """
        return run_command(self, line, timeout, env)

    def signal_main_process(self, container: Container, signal: str) -> None:
        """Send a signal ("SIGKILL") to a container's main process from the host, so that its restart policy acts.

        The engine's own kill would suppress the policy. Raises StackError where the container does not run.
        """
        container.reload()
        process = int(container.attrs["State"]["Pid"])
        if process == 0:
            raise StackError(f"the container {container.name} does not run: there is no process to signal")
        number = signals.Signals[signal if signal.startswith("SIG") else f"SIG{signal}"].value
        command = ["sh", "-c", f"kill -{number} {process}"]
        with self.helper({}, command=command, pid_mode="host", cap_drop=["ALL"], cap_add=["KILL"]) as killer:
            exit_code, output = run_to_end(killer)
        if exit_code != 0:
            raise StackError(
                f"{signal} could not be sent to the main process of {container.name}: "
                f"{output.decode(errors='replace').strip()}"
            )

    def helper(self, mounts: Mapping[str, Source], **options: Any) -> AbstractContextManager[Container]:
        """A created, not started helper container with the stack's labels; see `helper.helper`."""
        return helper(self.engine, mounts, labels=self._helper_labels(), **options)

    @property
    def _own(self) -> list[str]:
        return [f"{RUN_LABEL}={self.identity.run}", f"{STACK_LABEL}={self.project}"]

    @property
    def _lasting(self) -> list[str]:
        return [*self._own, f"{ONEOFF}=False"]

    def _helper_labels(self) -> dict[str, str]:
        return self.identity.labels

    def _volume_keys(self) -> dict[str, str]:
        volumes = self.config.get("volumes") or {}
        return {isolation.unescaped(str(entry["name"])): key for key, entry in volumes.items()}

    def _make_external(self) -> None:
        from docker.errors import NotFound

        labels = self.identity.labels
        with engine_answers("making external volumes and networks"):
            for name in (*self._plan.external_volumes, control.external_volume(self.identity)):
                self.engine.client.volumes.create(name, labels=labels)
            for name in self._plan.external_networks:
                try:
                    self.engine.client.api.inspect_network(name)
                except NotFound:
                    self.engine.client.networks.create(name, labels=labels, check_duplicate=True)

    def _image(self, service: str) -> str:
        return str(self.config["services"][service].get("image") or f"{self.compose.project}-{service}")

    def _built_images(self) -> dict[str, str]:
        return {
            name: self._image(name) for name in self.services() if self.config["services"][name].get("build")
        }

    def _label_image_volumes(self) -> None:
        """Give a label to the anonymous volumes that images declare, which the engine would make without one."""
        from docker.errors import ImageNotFound

        declared = {}
        pulled = False
        for name in self.config["services"]:
            reference = self._image(name)
            try:
                image = self.engine.client.images.get(reference)
            except ImageNotFound:
                if not pulled:
                    self.compose.run("pull", "--ignore-buildable", "--policy", "missing", timeout=UP_TIMEOUT)
                    pulled = True
                image = self.engine.client.images.get(reference)
            declared[name] = list(image.attrs["Config"].get("Volumes") or {})
        self._override, changes = isolation.with_anonymous_volumes(
            self._override, self.config, declared, self.identity
        )
        if changes:
            self._changes += changes
            self._settle()


def _label_of(service: str | None) -> tuple[str, ...]:
    return () if service is None else (f"{SERVICE}={service}",)
