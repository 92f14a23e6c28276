"""Names are a function of their arguments, never meet, and are names on every filesystem."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.model.names import LONGEST, SUFFIXES, NameStyle, NameTrait, names_for
from persistence_tests.model.operation import PayloadKind

STYLES: tuple[NameStyle, ...] = get_args(NameStyle)
ARGUMENTS = {
    "seed": st.integers(),
    "count": st.integers(0, 60),
    "directory": st.sampled_from(["", "admin", "a/b"]),
    "suffix": st.sampled_from(["", ".png", ".tar.gz", ".Ünï"]),
    "style": st.sampled_from(STYLES),
    "unique": st.sampled_from(["", "kill-2", "x" * 64]),
}


@given(**ARGUMENTS)
def test_names_are_names(
    seed: int, count: int, directory: str, suffix: str, style: NameStyle, unique: str
) -> None:
    names = names_for(seed, count, directory, suffix, style, unique=unique)
    assert names == names_for(seed, count, directory, suffix, style, unique=unique)
    assert len(names) == count
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names}
    assert len(folded) == count, "also where case or normal forms are folded"
    for name in names:
        assert name.startswith(directory + "/" if directory else "")
        assert name.endswith(suffix)
        assert not name.startswith("/")
        assert len(name.encode()) < 1024
        for component in name.split("/"):
            assert component not in {"", ".", ".."}
            assert "\0" not in component
            assert len(component.encode()) <= LONGEST


@given(st.integers(), st.sampled_from(STYLES))
def test_steps_never_share_a_name(seed: int, style: NameStyle) -> None:
    names = [
        name
        for unique in ("up", "kill", "kill-2")
        for name in names_for(seed, 30, "admin", ".png", style, unique=unique)
    ]
    assert len(set(names)) == 90


def test_every_trait_is_there() -> None:
    names = names_for(3, len(NameTrait), "", ".png", "hostile", unique="up")
    together = "\n".join(names)
    for sign in " '\"%#?&+;$|*[{<!\\~":
        assert sign in together
    components = [component for name in names for component in name.split("/")]
    assert any(component.startswith("-") for component in components)
    assert any(component.startswith(".") for component in components)
    assert any(component.startswith(" ") for component in components)
    assert any(len(component.encode()) == LONGEST for component in components)
    assert any(name.count("/") >= 16 for name in names)
    assert any(unicodedata.normalize("NFD", name) != name for name in names)
    assert any(unicodedata.normalize("NFC", name) != name for name in names)
    assert any(ord(letter) > 0xFFFF for letter in together)


@given(st.integers(), st.sets(st.sampled_from(NameTrait), min_size=1))
def test_a_trait_that_is_left_out_does_not_occur(seed: int, traits: set[NameTrait]) -> None:
    names = names_for(seed, 30, "", ".png", "hostile", traits=traits)
    signs = {NameTrait.HASH: "#", NameTrait.QUESTION_MARK: "?", NameTrait.PERCENT: "%", NameTrait.NESTED: "/"}
    for trait, sign in signs.items():
        assert any(sign in name for name in names) == (trait in traits)


def test_a_filesystem_takes_them(tmp_path: Path) -> None:
    names = names_for(1, 40, "admin", ".png", "hostile", unique="up")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == set(names)


def test_the_seed_and_the_directory_keep_names_apart_without_a_unique_part() -> None:
    sets = [set(names_for(seed, 20, where, "")) for seed, where in [(1, "a"), (2, "a"), (1, "b")]]
    last_parts = [{name.rsplit("/", 1)[1] for name in names} for names in sets]
    assert len(set.union(*last_parts)) == 60


@pytest.mark.parametrize(
    ("suffix", "unique", "traits"),
    [(".a/b", "up", list(NameTrait)), ("\0", "up", list(NameTrait)), (".png", "a/b", list(NameTrait)),
     (".png", "../x", list(NameTrait)), (".png", "x" * 65, list(NameTrait)), (".png", "up", [])],
)  # fmt: skip
def test_what_makes_no_name_is_refused(suffix: str, unique: str, traits: list[NameTrait]) -> None:
    with pytest.raises(ValueError, match=r"cannot|at least one trait"):
        names_for(1, 1, "admin", suffix, "hostile", unique=unique, traits=traits)


def test_every_kind_of_payload_has_a_suffix() -> None:
    assert set(SUFFIXES) == set(PayloadKind)
