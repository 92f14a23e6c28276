"""One step as the ledger needs it: what its event does to what is known of a name."""

from __future__ import annotations

from dataclasses import dataclass, field

from persistence_tests.model.closure import Absent, Exactly, Partial, State, States
from persistence_tests.model.name import Name
from persistence_tests.model.operation import Acknowledgement, Operation, PromiseClass
from persistence_tests.model.records import DataFate
from persistence_tests.model.shelf import Overlay
from persistence_tests.model.versions import Version


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The names that were not put away, and the number that the next one would have had."""

    names: dict[str, Name]
    end: int


@dataclass(slots=True)
class Step:
    """`promised` are the classes of events that the scenario promises something for, `operations` those of the ledger;
    `concurrent` were in flight as the event began, or begun since.
    """

    promised: frozenset[PromiseClass]
    operations: Overlay[Operation]
    promise: PromiseClass = PromiseClass.PROCESS_CRASH
    fate: DataFate = DataFate.KEPT
    writing: bool = False
    event_began: bool = False
    cutting: bool = False
    concurrent: set[int] = field(default_factory=set)
    checkpoint: Checkpoint | None = None

    def unpromised(self, operation: Operation) -> bool:
        """Whether the event may take what was acknowledged."""
        if self.promise not in self.promised:
            return True
        power_loss = self.promise is PromiseClass.POWER_LOSS
        return power_loss and operation.acknowledgement is Acknowledgement.EXIT_0

    def demoted(self, entry: Name) -> Name:
        """After an event that keeps the files: what it does not promise is unresolved again."""
        power_loss = self.promise is PromiseClass.POWER_LOSS
        forget = power_loss or self.promise not in self.promised
        return entry.demoted(self.unpromised, self._weakened, power_loss, forget)

    def _weakened(self, states: States) -> States:
        """With what may be left of content of which only the beginning is promised, or nothing."""
        parts: set[State] = set()
        for state in states:
            if not isinstance(state, Exactly):
                continue
            sizes = [piece.size for piece in state.version.pieces]
            while sizes and self.unpromised(self.operations[state.version.pieces[len(sizes) - 1].operation]):
                sizes.pop()  # a promised piece brings everything before it to the disk
            if len(sizes) < len(state.version.pieces):
                parts.add(Partial(state.version, kept=sum(sizes), zeros=True))
            if not sizes:
                parts.add(Absent())
        return states | parts

    def replaced(self, entry: Name, states: States, acknowledged: frozenset[Version]) -> Name:
        """After one that does not: the name begins again from `states`, or from what operations left of it that the
        event met."""
        undone = entry.acknowledged - acknowledged
        if self.writing:
            destroyed = self.fate is DataFate.DESTROYED
            states |= entry.overwritten(self.concurrent) if destroyed else entry.copied(self.concurrent)
        return Name(base=states, acknowledged=acknowledged, undone=entry.undone | undone)
