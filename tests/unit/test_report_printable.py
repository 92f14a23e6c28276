"""Nothing that a name, a log or a header holds reaches a terminal or a page as anything but text."""

from __future__ import annotations

import unicodedata
from codecs import decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from persistence_tests.report.layout import cut, folded, joined
from persistence_tests.report.printable import lines, printable, printed
from persistence_tests.report.wording import command

ANYTHING = st.text(
    st.characters(codec=None, exclude_categories=()) | st.sampled_from("\\\n\r\t\x1b\u202exuU")
)


@settings(deadline=None)
@given(ANYTHING)
def test_nothing_that_acts_is_left(text: str) -> None:
    for character in printable(text):
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert character == " " or not character.isspace()
    printable(text).encode("utf-8")


@settings(deadline=None)
@given(ANYTHING)
def test_what_is_shown_says_which_text_it_was(text: str) -> None:
    assert undone(printable(text)) == text


@settings(deadline=None)
@given(ANYTHING, ANYTHING)
def test_two_texts_are_never_shown_alike(one: str, other: str) -> None:
    assert (printable(one) == printable(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo of 1.png", "photo of 1.png"),
        ("a\nerror[PV001]: b", r"a\nerror[PV001]: b"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("invoice\u202egnp.exe", r"invoice\u202egnp.exe"),
        ("\udcff.bin", r"\udcff.bin"),
        (r"a\nb", r"a\\nb"),
        (r"C:\path", r"C:\path"),
        ("caf\u00e9", "café"),
        ("cafe\u0301", r"cafe\u0301"),
        ("日本", "日本"),
        ("a\u00a0b", r"a\xa0b"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_everything_in_a_value_is_made_printable() -> None:
    assert printed({"a\n": ["b\x1b", ("c", 1, None)]}) == {r"a\n": [r"b\x1b", ("c", 1, None)]}
    assert lines("one\ntwo\x07") == ["one", r"two\x07"]


@settings(deadline=None)
@given(st.lists(st.text("ab é", max_size=12), min_size=1), st.integers(40, 80))
def test_a_folded_line_fits_and_loses_nothing(words: list[str], width: int) -> None:
    text = " ".join(words)
    out = folded(text, width, first="  = note: ", rest="     ")
    assert all(cell_len(line) <= width for line in out)
    rest = [line.removeprefix("     ") for line in out[1:]]
    assert " ".join([out[0].removeprefix("  = note: "), *rest]) == text


def test_a_log_is_not_folded() -> None:
    assert folded("word " * 100, None, first="> ") == ["> " + "word " * 100]
    assert joined(["a", "b"], None, between=" · ") == ["a · b"]


def test_what_is_cut_says_so() -> None:
    assert cut("short", 10) == "short"
    assert cut("far too long", 8) == "far too…"
    assert cell_len(cut("日本" * 10, 7)) <= 7


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_a_command_holds_nothing_invisible(word: str) -> None:
    line = command("persistence", "run", word)
    assert "\n" not in line
    assert all(unicodedata.category(c) not in {"Cc", "Cf", "Zl", "Zp"} for c in line)


def test_a_command_is_quoted() -> None:
    assert command("run", "my shop.yaml") == "run 'my shop.yaml'"
    assert command("run", "a\nb'é") == r"run $'a\x0ab\x27\xc3\xa9'"


def undone(shown: str) -> str:
    """Reads the escapes back."""
    out, place = [], 0
    lengths = {"x": 2, "u": 4, "U": 8}
    while place < len(shown):
        character, after = shown[place], shown[place + 1 : place + 2]
        if character != "\\" or after not in {"\\", "n", "r", "t", "x", "u", "U"}:
            out.append(character)
            place += 1
        elif after in lengths:
            digits = lengths[after]
            out.append(chr(int(shown[place + 2 : place + 2 + digits], 16)))
            place += 2 + digits
        else:
            out.append(decode(f"\\{after}", "unicode_escape"))
            place += 2
    return "".join(out)
