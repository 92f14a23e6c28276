"""What a scenario says of rows, and of forms that are sent without a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from persistence_tests.errors import ScenarioError
from persistence_tests.scenario import check_against, load
from persistence_tests.scenario.scenario import Scenario

SOUND = """
stack: { compose: compose.yaml, env: { PASSWORD: x } }
paths:
  direct: { service: app, root: /media }
  api: { service: app, port: 8000, url: "/media/{name}", scheme: https, ca: { service: app, file: /tls/c.pem },
         login: [{ request: GET /login/, take: { csrf: { input: csrfmiddlewaretoken } } }] }
  database: { service: db, url: "postgresql://app:${PASSWORD}@/app", references: [{ table: company, column: icon }] }
writes:
  - { through: direct, into: [icons] }
  - through: api
    into: [icons]
    multipart: icon
    operations: [create, delete]
    request: { create: POST /companies/, delete: { send: POST /delete/, form: { icon: "{name}", t: "{csrf}" } } }
  - { through: api, request: "PUT /blobs/{name}", into: [blobs], rows: false }
events: [restart]
"""
RESOLVED = {"services": {"app": {"ports": [{"target": 8000}]}, "db": {}}}


def loaded(directory: Path, text: str = SOUND) -> Scenario:
    (directory / "compose.yaml").write_text("services: {}")
    file = directory / "hr.persistence.yaml"
    file.write_text(text)
    return load(file)


def test_requests_make_rows_unless_the_rule_says_otherwise(tmp_path: Path) -> None:
    scenario = loaded(tmp_path)
    assert [rule.rows for rule in scenario.rules] == [False, True, False]
    assert scenario.stack.reached == (("db", 5432),)
    assert check_against(scenario, RESOLVED) == []
    without = loaded(
        tmp_path, "".join(line for line in SOUND.splitlines(keepends=True) if "database" not in line)
    )
    assert not any(rule.rows for rule in without.rules)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "into: [icons]\n",
            "into: [icons]\n    rows: false\n",
            "nothing that is written makes a row, so `database`",
        ),
        ("through: direct, into", "through: direct, rows: true, into", "it takes no `rows`"),
        ('"{csrf}"', '"{cfsr}"', "`{cfsr}` is nothing that can be filled in"),
        (
            "create: POST /companies/",
            "create: { send: POST /companies/, form: { a: b } }",
            "takes no form of its own",
        ),
        ('icon: "{name}"', "icon: x", "does not say which file it deletes"),
        ("through: api\n", "through: database\n", "nothing can be written through `database`"),
        ("column: icon", "colunm: icon", "colunm"),
        ("@/app", "@db/app", "no host, no port"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, SOUND.replace(old, new, 1))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"), [("{ service: db", "{ service: bd"), ("ca: { service: app", "ca: { service: ap")]
)
def test_services_that_the_stack_does_not_have(tmp_path: Path, old: str, new: str) -> None:
    (problem,) = check_against(loaded(tmp_path, SOUND.replace(old, new, 1)), RESOLVED)
    assert problem.what.startswith("the stack has no service")
