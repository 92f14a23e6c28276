"""Runs one scenario step by step against a stack of its own."""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from persistence_tests.errors import (
    CapabilityLacking,
    PersistenceError,
    ScenarioError,
    StackError,
    StackRefused,
)
from persistence_tests.model.finding import KnownLoss, StepJudgement, Verdict
from persistence_tests.model.operation import Also, PromiseClass
from persistence_tests.model.records import (
    DataFate,
    Phase,
    Record,
    RuleDeclared,
    ScenarioBegan,
    ScenarioEnded,
    StackKept,
    StepBegan,
    StepEnded,
    StepFaulted,
    StepSkipped,
)
from persistence_tests.paths import PATHS
from persistence_tests.paths.direct import DirectPath
from persistence_tests.run.earlier import clean_before
from persistence_tests.run.epoch import Epoch
from persistence_tests.run.event_step import EventStep
from persistence_tests.run.fate import fate
from persistence_tests.run.interruption import is_interrupt, raise_if_interrupted, uninterrupted
from persistence_tests.run.settings import Keep
from persistence_tests.scenario import check_against
from persistence_tests.stack.compose import compose_binary
from persistence_tests.stack.disks.disk import CONTROL_FILES
from persistence_tests.stack.secret_sources import learn_scenario
from persistence_tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from persistence_tests.paths.base import ReadingPath
    from persistence_tests.run.run import Run
    from persistence_tests.scenario.scenario import Scenario
    from persistence_tests.stack.disks.disk import Media

UP = "up"


class ScenarioRun:
    """`open`, then any `step`s in any order, then `close`; each of the first two is judged as it ends.

    A step that is not kept, and an event on the project or its volumes, ends the life of the stack:
    the next step begins with a fresh one.
    """

    def __init__(self, run: Run, scenario: Scenario, steps: Collection[str] | None = None) -> None:
        self.scenario = scenario
        self.steps = tuple(planned for planned in scenario.steps if steps is None or planned.step in steps)
        self._run = run
        self._stack: Stack | None = None
        self._paths: dict[str, ReadingPath] = {}
        self._epoch: Epoch | None = None
        self._epochs = 0
        self._failed = False
        self._gave_up = False
        self._lacking: CapabilityLacking | None = None  # what `up` lacked, every step lacks
        self._began: ScenarioBegan | None = None

    def __enter__(self) -> ScenarioRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def judgements(self) -> Iterator[StepJudgement]:
        """Run everything: the step `up`, then each step in the order of the file."""
        yield self.open()
        for planned in self.steps:
            if self.kept_running and self._failed:
                return
            yield self.step(planned.step)

    def prepare(self) -> Stack:
        """Isolate the stack: a workspace and an override file, no container yet.

        Raises ScenarioError where the scenario names what the stack does not have, StackRefused where the
        stack cannot be isolated.
        """
        scenario = self.scenario
        secrets = self._run.secrets
        learn_scenario(secrets, scenario.document.data)
        with secrets.kept_from_errors():
            stack = Stack.prepare(
                scenario.stack, self._run.engine, self._run.identity, scenario.name, secrets
            )
        self._stack = stack
        problems = check_against(scenario, stack.prepared.original)
        if problems:
            raise ScenarioError(problems)
        self._paths = {
            name: PATHS[kind].open(name, config, stack) for name, (kind, config) in scenario.paths.items()
        }
        for path in self._paths.values():
            if isinstance(path, DirectPath):
                path.shows_attributes = any(Also.XATTRS in rule.also for rule in scenario.rules)
        return stack

    def open(self) -> StepJudgement:
        """Bring the stack up, write, and verify: the step `up`."""
        stack = self.prepare()
        self._began = self._beginning()
        self._record(self._began)
        prepared = stack.prepared
        self._record(prepared)
        with self._step(UP):
            stack.build()
            if stack.prepared is not prepared:
                self._record(stack.prepared)
            epoch = self._bring_up(self.scenario.stack.storage)
            up = self.scenario.up
            self._record(StepBegan(UP, up.event, up.title, PromiseClass.PROCESS_CRASH, DataFate.KEPT))
            if epoch is not None:
                epoch.observe(UP, Phase.BEFORE, epoch.write(UP))
        return self._judged(UP, resets=False)

    def step(self, step: str) -> StepJudgement:
        """Write, apply the event of one step, verify."""
        planned = next(planned for planned in self.steps if planned.step == step)
        event = planned.event
        with self._step(step, event.name):
            if self._lacking is not None:
                raise self._lacking
            media = event.media(self.scenario.stack.storage)
            if self._epoch is not None and self._epoch.media != media:
                self._epoch = None
            epoch = self._epoch or self._bring_up(media)
            if epoch is not None:
                event.learn(epoch.stack)
            began = StepBegan(
                step,
                event.name,
                event.title,
                event.promise,
                fate(event, self.scenario.paths, self._stack.config if self._stack else {}),
                event.options.model_dump(mode="json", by_alias=True),
            )
            if epoch is None:
                self._record(began)
                raise StackError("the stack was not ready before the event")
            epoch.record(began)
            EventStep(self._run, epoch, event, step).execute()
        return self._judged(step, resets=event.resets)

    def close(self) -> None:
        """Tear down what this scenario made; safe to call at any time, and more than once.

        An interrupt waits until it is done. Raises StackError with all that would not go.
        """
        with (
            uninterrupted("what the run made is being removed"),
            self._run.secrets.kept_from_errors(),
        ):
            stack, self._stack, self._epoch = self._stack, None, None
            if stack is None:
                return
            for path in self._paths.values():
                path.close()
            with ExitStack() as ends:
                if self._began is not None:
                    kept = self._kept(stack) if self.kept_running else None
                    ends.callback(self._record, ScenarioEnded(self.scenario.name, kept))
                if not self.kept_running:
                    ends.callback(stack.close)
                if self._lacking is None:
                    self._save_logs(stack)

    @property
    def failed(self) -> bool:
        """Whether a step was not kept."""
        return self._failed

    @property
    def kept_running(self) -> bool:
        keep = self._run.settings.keep
        return keep is Keep.ALWAYS or (keep is Keep.ON_FAILURE and self._failed)

    def recent_logs(self, lines: int) -> dict[str, str]:
        """The last lines of each service's log; nothing where no stack is there to ask."""
        if self._stack is None or self._lacking is not None:
            return {}
        logs = self._stack.logs(None)
        return {service: "\n".join(text.splitlines()[-lines:]) for service, text in logs.items()}

    @contextmanager
    def _step(self, step: str, event: str = UP) -> Iterator[None]:
        """Whatever fails in here is a fault of the harness or its engine, and makes the step inconclusive."""
        began = time.monotonic()
        try:
            yield
        except Exception as fault:
            if is_interrupt(fault):
                raise KeyboardInterrupt from fault
            if isinstance(fault, CapabilityLacking):
                if step == UP:
                    self._lacking = fault
                self._record(StepSkipped(step, event, fault.what, fault.remedy or ""))
                return
            what = fault.what if isinstance(fault, PersistenceError) else f"{type(fault).__name__}: {fault}"
            if isinstance(fault, StackRefused) and fault.remedy:
                what += f"; help: {fault.remedy}"
            log = self._run.directory / "logs" / f"{self.scenario.name}-{step}-fault.txt"
            log.parent.mkdir(exist_ok=True)
            log.write_text(self._run.secrets.redact(traceback.format_exc()))
            self._record(StepFaulted(step, what))
        raise_if_interrupted()
        self._record(StepEnded(step, time.monotonic() - began))

    def _bring_up(self, media: Media | None) -> Epoch | None:
        """A fresh life of the stack; None where it does not become ready. It is not tried for ever."""
        if self._stack is None or self._began is None:
            raise StackError("the stack was not prepared")
        if self._gave_up:
            return None
        self._epochs += 1
        if self._epochs > 1:
            self._stack.reset()
        self._stack.lay_on(media)
        epoch = Epoch(self._run, self.scenario, self._began, self._stack, self._paths, self._epochs)
        self._epoch = epoch if epoch.bring_up() else None
        self._gave_up = self._epoch is None
        return self._epoch

    def _judged(self, step: str, *, resets: bool) -> StepJudgement:
        judgement = self._run.oracle.step(self.scenario.name, step)
        if judgement.verdict is not Verdict.KEPT:
            self._failed = True
        # What is lost stays lost, known or not: the next step shall find a stack that has everything.
        if resets or judgement.verdict is not Verdict.KEPT or judgement.findings:
            self._epoch = None
        return judgement

    def _beginning(self) -> ScenarioBegan:
        scenario = self.scenario
        return ScenarioBegan(
            name=scenario.name,
            source=str(scenario.source),
            sha256=scenario.sha256,
            paths=tuple(
                path.declared
                for name, path in self._paths.items()
                if name in (self._run.settings.paths or self._paths)
            ),
            rules=tuple(
                RuleDeclared(
                    rule.index,
                    rule.through,
                    rule.acknowledgement,
                    rule.title,
                    rule.operations,
                    rule.also,
                    rule.rows,
                )
                for rule in scenario.rules
            ),
            promised=scenario.promise.classes,
            directories=scenario.expect.directories,
            directory_mode=scenario.expect.mode,
            ignore=(*scenario.expect.ignore, *self._own_files()),
            steps=(scenario.up, *(planned.planned for planned in self.steps)),
            claims=scenario.claims,
            left_out=self._left_out(),
            known=self._known,
        )

    def _own_files(self) -> tuple[str, ...]:
        storage = self.scenario.stack.storage
        on_disks = storage or any(planned.event.media(storage) for planned in self.steps)
        return (CONTROL_FILES,) if on_disks else ()

    @cached_property
    def _known(self) -> tuple[KnownLoss, ...]:
        scenario = self.scenario
        return clean_before(scenario.known, str(scenario.source), self._run.settings.report_dir)

    def _left_out(self) -> tuple[str, ...]:
        wanted, asked = self._run.settings.paths, {planned.step for planned in self.steps}
        paths = [name for name in self.scenario.paths if wanted and name not in wanted]
        steps = [planned.step for planned in self.scenario.steps if planned.step not in asked]
        what = (("paths not looked at", paths), ("events not tried", steps))
        return tuple(f"{said}: {', '.join(names)}" for said, names in what if names)

    def _kept(self, stack: Stack) -> StackKept:
        return StackKept(
            project=stack.project,
            engine=self._run.settings.engine,
            workspace=str(stack.workspace),
            services=stack.services(),
            volumes=tuple(stack.volume(key) for key in stack.volume_keys()),
            compose=compose_binary(),
        )

    def _save_logs(self, stack: Stack) -> None:
        logs = self._run.directory / "logs"
        logs.mkdir(exist_ok=True)
        for service, text in stack.logs(None).items():
            (logs / f"{self.scenario.name}-{service}.log").write_text(text)

    def _record(self, record: Record) -> None:
        self._run.record(self.scenario.name, record)
