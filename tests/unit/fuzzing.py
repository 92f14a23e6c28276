"""Mutations of structures and of bytes, each from one number: a failure says which, and shows it again alone."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest

SEED = "PERSISTENCE_FUZZ"
"""SEED or SEED:NUMBER in the environment: the same mutations again, or one of them."""

SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**18, 10**400, 1e308, -0.0, 0.1, "", " ", "a", "true", "~", "0x1F",
    "1e9", ".nan", "2026-11-24", "0755", "60s", "-1s", "99999999999d", "4KiB", "..", "/", "/etc/passwd", "../../..",
    "{name}", "{}", "${HOME}", "$(id)", "ünï\u202e", "a" * 300, "\x00", "\x1b[31m", "%s%n", "null", "api", "volume",
    "restart", "kept", "*", "&a", "!!python/object:os.system",
)  # fmt: skip


def numbers(count: int) -> list[tuple[str, int]]:
    """Seeds and numbers to try: fresh ones, unless the environment names them."""
    given, _, number = os.environ.get(SEED, "").partition(":")
    seed = given or str(random.SystemRandom().randrange(10**9))
    return [(seed, int(number))] if number else [(seed, each) for each in range(count)]


def each_mutation(count: int, attempt: Callable[[random.Random], None]) -> None:
    for seed, number in numbers(count):
        try:
            attempt(random.Random(f"{seed}:{number}"))
        except (Exception, pytest.fail.Exception) as error:  # whatever it is, it must be shown again
            test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
            again = f"{SEED}={seed}:{number} pytest '{test}' -m ''"
            pytest.fail(f"{type(error).__name__}: {error}\nagain: {again}")


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every container and key, or index, in a structure."""
    found: list[tuple[Any, Any]] = []
    todo = [node]
    while todo:
        here = todo.pop()
        keys: list[Any] = []
        if isinstance(here, dict | list):
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        found += [(here, key) for key in keys]
        todo += [here[key] for key in keys]
    return found


def mutate(node: Any, chance: random.Random) -> None:
    """Change one thing of a structure, in place: a wrong type, a strange key, one more, one less, two swapped."""
    everywhere = places(node)
    if not everywhere:
        return
    holder, key = chance.choice(everywhere)
    other, place = chance.choice(everywhere)
    match chance.randrange(7):
        case 0:
            del holder[key]
        case 1:
            holder[key] = chance.choice(SCALARS)
        case 2:
            holder[key] = [holder[key]]
        case 3:
            holder[key] = {str(chance.choice(SCALARS)): holder[key]}
        case 4 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 4:
            holder[str(chance.choice(SCALARS))] = holder.pop(key)
        case 5:
            holder[key] = deeper(holder[key], chance.choice([3, 30, 300]))
        case _:
            first, second = holder[key], other[place]
            if first not in (holder, other) and second not in (holder, other):
                holder[key], other[place] = second, first


def deeper(node: Any, levels: int) -> Any:
    for _ in range(levels):
        node = [node]
    return node


def damage(content: bytes, chance: random.Random) -> bytes:
    """Change bytes: a bit, a cut, a piece twice, elsewhere, or of something else."""
    if not content:
        return bytes([chance.randrange(256)])
    start, end = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    match chance.randrange(6):
        case 0:
            changed = bytearray(content)
            changed[start] ^= 1 << chance.randrange(8)
            return bytes(changed)
        case 1:
            return content[:start]
        case 2:
            return content[:start] + content[end:]
        case 3:
            return content[:end] + content[start:end] + content[end:]
        case 4:
            return content[:start] + chance.randbytes(chance.randrange(1, 20)) + content[start:]
        case _:
            lines = content.splitlines(keepends=True)
            chance.shuffle(lines)
            return b"".join(lines)


def sealed(lines: list[bytes]) -> bytes:
    """Lines of a history, without their checks, with checks that hold: as a run would have written them."""
    check, out = 0, []
    for line in lines:
        check = zlib.crc32(line[:-1], check)
        out.append(line[:-1] + b',"check":"%08x"}\n' % check)
    return b"".join(out)
