"""Every symptom and every rule has its article, and a typing error finds it."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from persistence_tests.audit.diagnosis import RULES
from persistence_tests.errors import UsageError
from persistence_tests.model.finding import Symptom
from persistence_tests.report.explain import catalogue, contents, explain


@pytest.mark.parametrize("symptom", Symptom)
def test_every_symptom_has_an_article_by_code_and_by_name(symptom: Symptom) -> None:
    article = explain(symptom.code)
    assert article is explain(symptom.value.upper())
    assert article.meaning.endswith(".")
    assert article.broken.strip() != article.mended.strip()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_an_article(rule: str) -> None:
    assert explain(rule).text().startswith(f"{rule}\n")


def test_there_is_no_article_too_many() -> None:
    assert len(catalogue()) == len(Symptom) + len(RULES)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("PV0001", "did you mean 'PV001'?"),
        ("pv-011", "did you mean 'PV011'?"),
        ("Mising", "did you mean 'missing'?"),
        ("novolume", "did you mean 'no-volume'?"),
        ("quux", "`persistence explain` lists all of them"),
    ],
)
def test_a_typing_error_is_told(code: str, remedy: str) -> None:
    with pytest.raises(UsageError) as refused:
        explain(code)
    assert refused.value.remedy == remedy


def test_the_list_fits_a_terminal(snapshot: SnapshotAssertion) -> None:
    assert all(len(line) <= 80 for line in contents())
    assert "\n".join(contents()) == snapshot


def test_articles(snapshot: SnapshotAssertion) -> None:
    assert explain("missing").text() == snapshot
    assert explain("wiped-at-start").text() == snapshot
