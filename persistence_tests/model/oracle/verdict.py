"""The verdict of one step: the first that applies.

skipped        the machine cannot do it
inconclusive   the harness or the engine failed in it, the stack was never ready, the step or its event
               did not end, the event did not land, a control is missing or did not behave
lost           the stack did not come back, and a stored path shows a finding that is not a known loss
unavailable    the stack did not come back
lost           there is a finding that is not a known loss
inconclusive   something was wrong before the event already (a finding of the first step, `up`), a path could
               not be read, something could not be told, or nothing was shown ("never green for nothing": of
               each rule one write of each kind seen before on every path, a name checked on each after), or a
               known loss is mended (`known`)
kept           also where there are known losses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from persistence_tests.model.finding import Finding, KnownLoss, PathCount, StepJudgement, Symptom, Verdict
from persistence_tests.model.operation import Acknowledgement, Also, OperationKind, PromiseClass
from persistence_tests.model.oracle.account import OPENING, Account, Scenario
from persistence_tests.model.oracle.facts import Wrong
from persistence_tests.model.oracle.known import Known
from persistence_tests.model.oracle.passes import Judgement, some
from persistence_tests.model.records import DataFate, RuleDeclared
from persistence_tests.model.rows import makes_row

EVIDENCE_LINES = 10
MARKS = {
    Also.MODES: "modes of the files",
    Also.XATTRS: "xattrs of the files",
    Also.SPARSE: "sparse files",
}
LINKS = {Also.SYMLINKS: OperationKind.SYMLINK, Also.HARD_LINKS: OperationKind.LINK}


def judge_step(scenario: Scenario, step: str, event: str) -> StepJudgement:
    account = scenario.account(step)
    looks = account.looks
    wrong = [w for look in looks for w in look.wrong]
    if account.opening:
        wrong = scenario.before_events
    findings = merged(wrong, step, event, scenario.known)
    not_known = tuple(finding for finding in findings if finding.known is None)
    verdict, reasons = _decide(scenario, account, looks, not_known)
    notes = [_over(loss) for loss in scenario.known.expired(wrong, step, event)]
    notes += [note for look in looks for note in look.notes]
    if account.opening:
        notes += scenario.began.left_out
    if account.began is not None:
        notes += [*_blind(scenario), *_bare(scenario, account), *_hidden(scenario, account)]
    unique = tuple(dict.fromkeys([*reasons, *notes]))
    return StepJudgement(step, event, verdict, unique, findings, _counts(scenario, looks))


def _decide(
    scenario: Scenario, account: Account, looks: list[Judgement], findings: tuple[Finding, ...]
) -> tuple[Verdict, list[str]]:
    if account.skipped is not None and not account.event_began:
        return Verdict.SKIPPED, [r for r in (account.skipped.reason, account.skipped.enable) if r]
    if broken := list(_broken(scenario, account)):
        return Verdict.INCONCLUSIVE, broken
    if account.again is not None and not account.again.ready:
        why = f"the stack was not ready again after {account.again.seconds:.1f} s"
        why += f": {account.again.why}" if account.again.why else ""
        return (Verdict.LOST if findings else Verdict.UNAVAILABLE), [why]
    if findings:
        return Verdict.LOST, []
    if nothing := [*_wrong_before(scenario, account), *_unread(account), *_unshown(scenario, account, looks)]:
        return Verdict.INCONCLUSIVE, nothing
    return Verdict.KEPT, []


def _broken(scenario: Scenario, account: Account) -> Iterator[str]:
    """Why nothing that was observed says anything about the event."""
    yield from account.faults
    stack = account.stack if account.began else scenario.stack
    if stack is None:
        yield "the stack was never brought up"
    elif not stack.ready:
        yield "the stack was never ready" + (f": {stack.why}" if stack.why else "")
    if account.began is None:
        yield "not run"
        return
    if not account.opening:
        yield from _event(account)
    if not account.ended:
        yield "the run ended in the middle of this step"


def _event(account: Account) -> Iterator[str]:
    event, controls = account.event, account.controls
    if event is None:
        yield "the event did not end" if account.event_began else "the event was never begun"
        return
    if not account.event_began:
        yield "nobody noted when the event began"
    if not event.landed:
        yield "the event did not land" + (f": {'; '.join(event.problems)}" if event.problems else "")
        return  # how the controls fared is only a consequence
    if event.problems:
        yield f"the event did something else as well: {'; '.join(event.problems)}"
    if account.began and account.began.fate is DataFate.RESTORED and not account.checkpointed:
        yield "nobody noted what the event had to bring back"
    if account.began and account.began.options.get("while") == "reading" and not account.read_meanwhile:
        yield "nobody noted what was read while the event was applied"
    if account.again is None:
        yield "nobody looked whether the stack was ready again"
    if controls is None:
        yield "the controls were not checked"
        return
    for duty in controls.expected:
        if not any(check.duty is duty for check in controls.checks):
            yield f"the {duty} control was not checked"
    for check in controls.checks:
        if not check.behaved:
            yield f"the {check.duty} control in the {check.store} did not behave: {check.detail}"


def _over(loss: KnownLoss) -> str:
    return f"the loss on line {loss.line} was known until {loss.until}, which is over: mend it, or give it another date"


def _wrong_before(scenario: Scenario, account: Account) -> Iterator[str]:
    """Whoever judges step by step has judged the first one by then, and must learn of it here."""
    if account.opening:
        return
    names = {
        wrong.name
        for look in account.before
        for wrong in look.wrong
        if scenario.known.covering(wrong, OPENING, OPENING) is None
    }
    if names:
        yield f"wrong before the event already, a finding of the step {OPENING}: {some(names)}"


def _unread(account: Account) -> Iterator[str]:
    for when, looks in (("before", account.before), ("after", account.after)):
        for look in looks:
            for path, problem in look.problems:
                place = "" if account.opening else f" {when} the event"
                yield f"{path} could not be read{place}: {problem}"
            yield from look.undecided


def _unshown(scenario: Scenario, account: Account, looks: list[Judgement]) -> Iterator[str]:
    """Never green for nothing."""
    paths = [path.name for path in scenario.began.paths]
    if not paths:
        yield "the scenario declares no path"
    if not scenario.began.rules:
        yield "the scenario writes nothing"
    if not account.opening:
        yield from _unpromised(scenario, account)
        yield from account.event.unmet if account.event else ()
    for rule in scenario.began.rules:
        links = [kind for also, kind in LINKS.items() if also in rule.also]
        for kind in (*(rule.operations or (None,)), *links):
            yield from _operation_unshown(scenario, account, rule, kind)
        for also, what in MARKS.items():
            if also in rule.also and not account.marks.get((rule.index, also)):
                yield f"the {what} of rule {rule.index} ({rule.title or rule.through}) were seen nowhere"
    when = "" if account.opening else " after the event"
    destroyed = account.began is not None and account.began.fate is DataFate.DESTROYED
    cannot = {v.path for v in scenario.facts.vantages if not v.shows_absence}
    for path in paths:
        seen = scenario.ledger.no_names()
        for look in looks:
            seen |= look.seen.get(path, seen)
        if not any(look.sure.get(path) for look in looks):
            if not (destroyed and not account.opening and path in cannot and set(paths) - cannot and seen):
                yield f"no name was checked on {path}{when}"
        elif account.to_be_seen is not None and (
            unseen := _to_ask(scenario, path, account.to_be_seen - seen)
        ):
            yield f"{path} was not asked{when} for {some(unseen)}"


def _to_ask(scenario: Scenario, path: str, names: Iterable[str]) -> list[str]:
    """Of these names those that the path is to be asked for: of rows only those that have one."""
    if any(declared.name == path and declared.refers for declared in scenario.began.paths):
        return [name for name in names if makes_row(scenario.ledger, name)]
    return list(names)


def _unpromised(scenario: Scenario, account: Account) -> Iterator[str]:
    """Where nothing is promised nothing can be lost."""
    promise = account.began.promise if account.began else None
    if promise is None:
        return
    if promise not in scenario.began.promised:
        yield f"the scenario promises nothing for a {promise}"
    elif promise is PromiseClass.POWER_LOSS and account.levels == {Acknowledgement.EXIT_0}:
        yield (
            "no write was acknowledged at a level that promises anything for a power loss (`exit-0` does not): "
            "write through an HTTP path, or promise `acknowledged: { direct: fsync }`"
        )


def _operation_unshown(
    scenario: Scenario, account: Account, rule: RuleDeclared, kind: OperationKind | None
) -> Iterator[str]:
    """Of each kind of operation of a rule, one must have been seen right on every path that can show it."""
    if any(index == rule.index and kind in (None, shown) for index, shown in account.shown):
        return
    acknowledged = [
        operation
        for identity in account.made.identities
        if identity in account.seen_right
        and (operation := scenario.ledger.operations[identity]).rule == rule.index
        and kind in (None, operation.kind)
    ]
    place = "" if account.opening else " before the event"
    what = "writes" if kind in (None, OperationKind.CREATE) else f"{kind} operations"
    what = f"of the {what} of rule {rule.index} ({rule.title or rule.through})"
    if not acknowledged:
        said = account.refused.get(rule.index, "")
        yield f"{what}, none was acknowledged" + (f"; the last answer: {said}" if said else "")
        return
    if not _showing(scenario, rule, acknowledged[0].kind):
        can = "a symbolic link" if kind is OperationKind.SYMLINK else "that a name is absent"
        yield f"{what}, none can be seen: no path can show {can}"
        return
    unseen = [
        [
            path
            for path in _showing(scenario, rule, o.kind)
            if path not in account.seen_right.get(o.identity, ())
        ]
        for o in acknowledged
    ]
    if all(unseen):
        _, least = min((len(paths), paths) for paths in unseen)
        yield f"{what}, none was seen right on every path{place} (not on {', '.join(least)})"


def _showing(scenario: Scenario, rule: RuleDeclared, kind: OperationKind) -> list[str]:
    """The paths that can show what such an operation of the rule did."""
    vantages = [v for v in scenario.facts.vantages if rule.rows or not v.refers]
    if kind is OperationKind.DELETE:
        return [v.path for v in vantages if v.shows_absence]
    stored = [v.path for v in vantages if v.stored]
    if kind is OperationKind.SYMLINK:
        return stored
    # A directory is not a file that a server hands out: only stored paths can show one.
    return stored if kind is OperationKind.MKDIR and stored else [v.path for v in vantages]


def _blind(scenario: Scenario) -> Iterator[str]:
    for vantage in scenario.facts.vantages:
        if not vantage.shows_absence:
            yield f"{vantage.path} cannot show that a name is absent"


def _hidden(scenario: Scenario, account: Account) -> Iterator[str]:
    """A path that cannot see a thing says so, and nothing else of it."""
    stored = [v.path for v in scenario.facts.vantages if v.stored]
    for rule in scenario.began.rules:
        seeing = account.marks.get((rule.index, Also.XATTRS), set())
        if Also.XATTRS in rule.also and seeing:
            yield from (
                f"extended attributes cannot be seen on {path}" for path in stored if path not in seeing
            )


def _bare(scenario: Scenario, account: Account) -> Iterator[str]:
    """Files of 0 and 1 byte carry no stamp."""
    for rule in scenario.began.rules:
        largest = account.made.largest.get(rule.index)
        if largest is not None and largest <= 1:
            yield (
                f"rule {rule.index} ({rule.title or rule.through}) writes files of 0 and 1 byte only: that "
                "they are there was checked, but content that is lost or exchanged would not be noticed"
            )


def merged(wrongs: Iterable[Wrong], step: str, event: str, known: Known) -> tuple[Finding, ...]:
    """One finding for each symptom and set of paths, by precedence; what is known stands apart, and last."""
    groups: dict[tuple[Symptom, tuple[str, ...], KnownLoss | None], dict[str, str]] = {}
    for wrong in wrongs:
        group = (wrong.symptom, wrong.paths, known.covering(wrong, step, event))
        groups.setdefault(group, {}).setdefault(wrong.name, wrong.evidence)
    order = list(Symptom)

    def place(group: tuple[Symptom, tuple[str, ...], KnownLoss | None]) -> tuple[int, int, tuple[str, ...]]:
        symptom, paths, loss = group
        return (0 if loss is None else 1 + known.losses.index(loss)), order.index(symptom), paths

    return tuple(
        Finding(
            symptom,
            event,
            step,
            paths,
            tuple(sorted(names)),
            tuple(names[name] for name in sorted(names)[:EVIDENCE_LINES]),
            loss,
        )
        for (symptom, paths, loss), names in sorted(groups.items(), key=lambda group: place(group[0]))
    )


def _counts(scenario: Scenario, looks: list[Judgement]) -> dict[str, PathCount]:
    counts, nothing = {}, scenario.ledger.no_names()
    for path in scenario.began.paths:
        checked = wrong = nothing
        for look in looks:
            names = look.checked.get(path.name, nothing)
            checked |= names
            wrong |= names - look.right.get(path.name, nothing)
        counts[path.name] = PathCount(len(checked), len(checked - wrong))
    return counts
