"""Whatever a file holds, loading it gives a scenario or a ScenarioError: no other exception, no hanging."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from persistence_tests.errors import ScenarioError
from persistence_tests.scenario import json_schema, load
from tests.unit.fuzzing import damage, each_mutation, mutate, places
from tests.unit.scenario_vocabulary import SOUND, VOCABULARY, written

LINES = SOUND.splitlines()
SCHEMA = Draft202012Validator(json_schema(VOCABULARY))
SECONDS = 2.0  # of the processor: other programs may keep it busy

Check = Callable[[bytes], bool]

many = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Loads a content; whether it was accepted. Says what is wrong with any other outcome."""
    directory = tmp_path_factory.mktemp("robustness")

    def accepted(content: bytes) -> bool:
        file = written(directory, content)
        began = time.process_time()
        try:
            load(file, VOCABULARY)
        except ScenarioError as error:
            _well_formed(error, content)
            return False
        finally:
            assert time.process_time() - began < SECONDS
        data = YAML(typ="safe", pure=True).load(content.decode("utf-8-sig"))
        assert [wrong.message for wrong in SCHEMA.iter_errors(data)] == []
        return True

    return accepted


def _well_formed(error: ScenarioError, content: bytes) -> None:
    assert error.problems
    lines = content.decode("utf-8", "replace").count("\n") + content.count(b"\r") + 3
    for problem in error.problems:
        assert problem.what
        assert problem.what == problem.what.strip()
        assert 1 <= problem.line <= lines or any(ord(c) > 127 for c in content.decode("utf-8", "replace"))
        assert problem.column >= 1
        str(error).encode()
    positions = [(problem.line, problem.column) for problem in error.problems]
    assert positions == sorted(positions)


def test_the_sound_file_is_accepted(check: Check) -> None:
    assert check(SOUND.encode())


@pytest.mark.parametrize("missing", range(len(LINES)))
def test_without_a_line(missing: int, check: Check) -> None:
    check("\n".join(LINES[:missing] + LINES[missing + 1 :]).encode())


@pytest.mark.parametrize("doubled", range(len(LINES)))
def test_with_a_line_twice(doubled: int, check: Check) -> None:
    check("\n".join(LINES[: doubled + 1] + LINES[doubled:]).encode())


@pytest.mark.parametrize("length", range(0, len(SOUND), 7))
def test_cut_off(length: int, check: Check) -> None:
    check(SOUND[:length].encode())


@many
@given(st.permutations(LINES))
def test_lines_in_any_order(check: Check, lines: list[str]) -> None:
    check("\n".join(lines).encode())


SIGNS = st.one_of(
    st.sampled_from(list("[]{}:,#&*!|>'\"%@`?-~<\t\n\r \0\x85\u2028\ufeff")),
    st.sampled_from(["<<: ", "!!int ", "!x ", "&a ", "*a", "---\n", "...\n", "%YAML 1.1\n", "? ", "- "]),
    st.characters(),
)  # fmt: skip


@many
@given(
    st.lists(
        st.tuples(st.integers(0, len(SOUND)), st.integers(0, 12), st.lists(SIGNS, max_size=4)), max_size=4
    )
)
def test_replaced_pieces(check: Check, edits: list[tuple[int, int, list[str]]]) -> None:
    content = SOUND
    for start, length, signs in edits:
        content = content[:start] + "".join(signs) + content[start + length :]
    check(content.encode("utf-8", "surrogatepass"))


@many
@given(st.binary(max_size=300), st.integers(0, len(SOUND)))
def test_any_bytes(check: Check, noise: bytes, place: int) -> None:
    check(noise)
    sound = SOUND.encode()
    check(sound[:place] + noise + sound[place:])


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["api", "direct", "volume", "restart", "kill", "0755", "60s", "4KiB", ".", "PUT /x"]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(["service", "volume", "through", "into", "kill", "up", "path", "url", "mode", "files"]),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@many
@given(st.lists(st.tuples(st.randoms(use_true_random=False), VALUES), min_size=1, max_size=3))
def test_other_types_in_any_place(check: Check, swaps: list[tuple[random.Random, Any]]) -> None:
    data = YAML(typ="safe", pure=True).load(SOUND)
    for chance, value in swaps:
        _put_somewhere(data, chance, value)
    check(json.dumps(data).encode())


@many
@given(VALUES)
def test_anything_at_all(check: Check, value: Any) -> None:
    check(json.dumps(value).encode())


def _put_somewhere(data: Any, chance: random.Random, value: Any) -> None:
    """Replace one value, at any depth, or add a key or an entry."""
    while True:
        places: list[Any] = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not places:
            return
        place = chance.choice(places)
        below = data[place]
        if isinstance(below, dict | list) and below and chance.random() < 0.7:
            data = below
        elif isinstance(data, dict) and chance.random() < 0.2:
            data[f"{place}s"] = value
            return
        else:
            data[place] = value
            return


def mutated(check: Check, chance: random.Random) -> None:
    """What structures and bytes can become, one on top of the other."""
    data = YAML(typ="safe", pure=True).load(SOUND)
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        mutate(data, chance)
    content = json.dumps(data, indent=chance.choice([None, 2]), ensure_ascii=chance.random() < 0.5)
    raw = chance.choice([content, SOUND]).encode("utf-8", "surrogatepass")
    for _ in range(chance.choice([0, 0, 1, 2, 4])):
        raw = damage(raw, chance)
    check(raw)


def test_mutated_scenarios(check: Check) -> None:
    each_mutation(300, partial(mutated, check))


@pytest.mark.soak
def test_ten_thousand_mutated_scenarios(check: Check) -> None:
    each_mutation(10_000, partial(mutated, check))


@pytest.mark.parametrize("value", [None, True, 1, 0.5, "x", [], {}, [[]]], ids=repr)
def test_a_wrong_type_at_every_key(value: Any, check: Check) -> None:
    for place in range(len(places(YAML(typ="safe", pure=True).load(SOUND)))):
        data = YAML(typ="safe", pure=True).load(SOUND)
        holder, key = places(data)[place]
        holder[key] = value
        check(json.dumps(data).encode())


def test_aliases_of_aliases_of_aliases(check: Check) -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    assert not check(laughs.encode())
    assert not check(f"{SOUND}{laughs}".encode())


@pytest.mark.parametrize(
    "content",
    [
        "[" * 60_000,
        "- " * 30_000,
        "? " * 30_000,
        "{" * 30_000 + "}" * 30_000,
        "a:\n" + "".join(" " * depth + "b:\n" for depth in range(1, 300)),
        "&a " * 20_000,
        "a: &a [" + "*a, " * 4_000 + "]",
        "'" * 60_000,
        "a: |\n" + " x\n" * 20_000,
        "\n" * 60_000,
        "[" + ",".join("a" for _ in range(20_000)) + "]",
        "\n".join(f"k{number}: {number}" for number in range(2_000)),
        "---\n" * 15_000,
        "!" * 60_000,
        "%" * 60_000,
        "x" * 5_000_000,
    ],
    ids=lambda content: f"{content[:12]!r} {len(content)}",
)
def test_large_and_hostile(content: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(ScenarioError):
        load(written(tmp_path, content), VOCABULARY)
    assert time.process_time() - began < 10 * SECONDS
