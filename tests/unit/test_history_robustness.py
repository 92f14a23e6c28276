"""`persistence check` of whatever a file holds: a verdict, or an error that says where; never `kept` for nothing."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from persistence_tests.cli import exit_code
from persistence_tests.model.codec import encode
from persistence_tests.model.finding import Verdict
from persistence_tests.model.history import FORMAT
from persistence_tests.model.oracle import judge
from persistence_tests.model.records import (
    AbsenceProbed,
    BaselineListed,
    Entry,
    RunBegan,
    RunEnded,
    ScenarioBegan,
    ScenarioEnded,
    StackPrepared,
)
from tests.unit.fuzzing import damage, each_mutation, mutate, sealed
from tests.unit.report_histories import faulted, kept, skipped, wiped

SECONDS = 5.0  # of the processor, a history

Lines = list[dict[str, Any]]


def lines_of(entries: list[Entry]) -> Lines:
    out = []
    for number, entry in enumerate(entries):
        head = {"history": FORMAT} if number == 0 else {}
        record = {"at": entry.at, "scenario": entry.scenario, "type": type(entry.record).__name__}
        out.append(head | record | encode(entry.record))
    return out


WHOLE = [lines_of(play().entries()) for play in (kept, wiped, skipped, faulted)]


def written(lines: Lines) -> bytes:
    return sealed([json.dumps(line, separators=(",", ":")).encode() for line in lines])


Check = Callable[[bytes], int]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Checks a content; the exit code. Whatever is no verdict is an error with its place."""
    path = tmp_path / "history.jsonl"

    def checked(content: bytes) -> int:
        path.write_bytes(content)
        began = time.process_time()
        code = exit_code(["check", str(path)])
        assert time.process_time() - began < SECONDS
        said = capsys.readouterr()
        assert "the harness itself failed" not in said.err + said.out, said.err
        assert "Traceback" not in said.err + said.out
        assert code in {0, 1, 2, 64}
        if code == 64:
            assert f"--> {path}" in said.err
        return code

    return checked


def test_what_a_run_wrote_is_judged(check: Check) -> None:
    assert [check(written(lines)) for lines in WHOLE] == [0, 1, 2, 2]


def damaged(check: Check, chance: random.Random) -> None:
    content = written(chance.choice(WHOLE))
    for _ in range(chance.choice([1, 1, 1, 3])):
        content = damage(content, chance)
    code = check(content)
    assert code != 0 or content in map(written, WHOLE)


def nonsense(check: Check, chance: random.Random) -> None:
    """Whole lines, and checks that hold: only what they say makes no sense."""
    lines = copy.deepcopy(chance.choice(WHOLE))
    for _ in range(chance.choice([1, 1, 2, 5])):
        match chance.randrange(4):
            case 0:
                del lines[chance.randrange(1, len(lines))]
            case 1:
                lines.insert(chance.randrange(1, len(lines)), copy.deepcopy(chance.choice(lines[1:])))
            case 2:
                one, other = chance.randrange(1, len(lines)), chance.randrange(1, len(lines))
                lines[one], lines[other] = lines[other], lines[one]
            case _:
                mutate(chance.choice(lines), chance)
    check(written(lines))


@pytest.mark.parametrize("attempt", [damaged, nonsense])
def test_mutated_histories(attempt: Callable[[Check, random.Random], None], check: Check) -> None:
    each_mutation(60, partial(attempt, check))


@pytest.mark.soak
@pytest.mark.parametrize("attempt", [damaged, nonsense])
def test_a_thousand_mutated_histories(attempt: Callable[[Check, random.Random], None], check: Check) -> None:
    each_mutation(1_000, partial(attempt, check))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"\0" * 1000, b"[" * 100_000 + b"\n", b'{"a":' * 50_000 + b"\n", b"9" * 10_000 + b"\n",
        b'{"history":2,"at":1e999,"scenario":null,"type":"RunEnded","complete":true}\n',
        b'{"history":3,"at":0,"scenario":null,"type":"RunEnded","complete":true}\n',
        b'{"history":2,"at":0,"scenario":null,"type":"RunEnded","complete":true}' * 2 + b"\n", b"\xff\xfe{}\n",
    ],
    ids=lambda content: f"{content[:16]!r} {len(content)}",
)  # fmt: skip
def test_large_and_hostile(content: bytes, check: Check) -> None:
    assert check(content) == 64


def test_deep_values_of_a_configuration_are_read_or_refused(check: Check) -> None:
    lines = copy.deepcopy(WHOLE[0])
    prepared = next(line for line in lines if line["type"] == "StackPrepared")
    prepared["original"] = {"services": {"api": {"x": "HERE"}}}
    content = [json.dumps(line, separators=(",", ":")).encode() for line in lines]
    for levels in (50, 500, 5_000):
        deep = [line.replace(b'"HERE"', b"[" * levels + b"]" * levels) for line in content]
        assert check(sealed(deep)) in ({0} if levels == 50 else {0, 64})


NOT_NEEDED = {RunBegan, StackPrepared, BaselineListed, AbsenceProbed, ScenarioEnded, RunEnded}
"""Without these the verdict of a step stands: they are words, or make it stricter."""
PLAYS_AND_KINDS = [
    (play, kind)
    for play in (kept, wiped)
    for kind in dict.fromkeys(type(entry.record) for entry in play().entries())
]


@pytest.mark.parametrize(
    ("play", "kind"), PLAYS_AND_KINDS, ids=[f"{p.__name__}-{k.__name__}" for p, k in PLAYS_AND_KINDS]
)
def test_without_the_records_of_a_kind_that_it_needs_nothing_is_kept(play: Any, kind: type) -> None:
    entries = [entry for entry in play().entries() if not isinstance(entry.record, kind)]
    verdicts = {judged.verdict for judged in judge(entries)}
    if play is wiped or kind not in NOT_NEEDED:
        assert Verdict.KEPT not in verdicts
    if kind is ScenarioBegan:
        assert not [step for judged in judge(entries) for step in judged.steps]


def test_without_its_end_a_run_is_not_over(check: Check) -> None:
    assert check(written([line for line in WHOLE[0] if line["type"] != "RunEnded"])) == 2


def test_without_any_one_record_a_loss_is_not_kept() -> None:
    entries = wiped().entries()
    became_kept = []
    for place in range(len(entries)):
        without = entries[:place] + entries[place + 1 :]
        if all(judged.verdict is Verdict.KEPT for judged in judge(without)):
            became_kept.append(type(entries[place].record).__name__)
    assert became_kept == []
