"""What is no business of those who read a report is in none of its pages."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.model.records import (
    StackPrepared,
)
from persistence_tests.model.redaction import without_secrets
from persistence_tests.report.build import build
from persistence_tests.report.html import render
from persistence_tests.report.result import RunResult
from tests.unit.report_histories import wiped

PLANTED = "hunter2-planted"


@pytest.mark.parametrize(
    "line",
    [
        f"connecting to postgres://shop:{PLANTED}@db:5432/shop",
        f"POSTGRES_PASSWORD={PLANTED}",
        f'{{"level":"info","api_key":"{PLANTED}"}}',
        f"Authorization: Bearer {PLANTED}",
        f"Authorization: Basic {PLANTED}",
        f"'authorization': 'Bearer {PLANTED}'",
        f"Cookie: session={PLANTED}; theme=dark",
        f"Set-Cookie: sid={PLANTED}; HttpOnly",
        f"mysqld --password {PLANTED}",
        f"mysqld --root-password={PLANTED} --verbose",
        f"token: {PLANTED}",
        f"db.password = '{PLANTED}'",
        f"AWS_SECRET_ACCESS_KEY={PLANTED}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END RSA PRIVATE KEY-----",
        f"https://hooks.example/x?access_token={PLANTED}&y=1",
    ],
)
def test_planted_secrets_are_not_shown(line: str) -> None:
    play = wiped()
    command = ["serve", line, "--admin-password", PLANTED, "8080"]
    configuration = {"services": {"api": {"command": command, "environment": {"NOTE": line}}}}
    play.records[:] = [
        dataclasses.replace(r, original=configuration, isolated={"services": {}})
        if isinstance(r, StackPrepared)
        else r
        for r in play.records
    ]
    entries = play.entries()

    def said(result: RunResult) -> RunResult:
        (scenario,) = result.scenarios
        steps = [dataclasses.replace(step, reasons=[line]) for step in scenario.steps]
        return dataclasses.replace(
            result, scenarios=[dataclasses.replace(scenario, notes=[line], changes=[line], steps=steps)]
        )

    stamped = "\n".join(f"2027-01-02T03:04:20.0Z {part}" for part in line.split("\n"))
    html = render(
        said(build(entries)), entries, {"shop-api.log": f"{stamped}\n", "shop-restart-fault.txt": line}
    )
    assert PLANTED not in html
    assert "***" in html
    assert "8080" in html


@pytest.mark.parametrize(
    "line",
    [
        "named volume: still there",
        "GET /media-files/keys/menu.png HTTP/1.1 200",
        "stream: api: kill with signal 9, die with exit code 137, start (container c085683f1b7a)",
        "docker compose down && docker compose up -d",
        "secrets:",
        "basic authentication is off",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert without_secrets(line) == line


@given(st.text(max_size=300))
def test_redaction_changes_nothing_twice(text: str) -> None:
    once = without_secrets(text)
    assert without_secrets(once) == once


def test_redaction_of_a_long_line_is_quick() -> None:
    began = time.process_time()
    for text in ("a" * 200_000, "pass" * 50_000, "-" * 200_000, "a.b-" * 50_000, 'token="' + "\\" * 100_000):
        without_secrets(text)
    assert time.process_time() - began < 5
