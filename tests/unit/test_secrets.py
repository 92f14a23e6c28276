"""What is known to be secret is told nowhere, and nothing else is hidden for it."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence_tests.errors import StackError
from persistence_tests.model.free_text import FREE_TEXT, reworded
from persistence_tests.model.observation import NodeKind, Observation
from persistence_tests.model.operation import Outcome
from persistence_tests.model.records import (
    RECORD_TYPES,
    Completed,
    EventEnded,
    Evidence,
    PathObserved,
    Phase,
    StepFaulted,
)
from persistence_tests.model.redaction import secrets_shown
from persistence_tests.model.secrets import Secrets, is_particular
from persistence_tests.stack.secret_sources import learn_configuration, learn_environment, learn_scenario

VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=6, max_size=30)
PARTICULAR = VALUES.map(str.strip).filter(is_particular)


def knowing(*values: str) -> Secrets:
    secrets = Secrets()
    secrets.add(*values)
    return secrets


@given(
    PARTICULAR, st.sampled_from(["", "said ", "'", "-p", "http://h/?k="]), st.sampled_from(["", " ok", '"'])
)
def test_a_secret_is_hidden_in_every_form_of_it(value: str, before: str, after: str) -> None:
    secrets = knowing(value)
    for form in (
        value, quote(value), quote(value, safe=""), quote_plus(value), json.dumps(value), html.escape(value),
        json.dumps(value, ensure_ascii=False), repr(value), base64.b64encode(value.encode()).decode(),
    ):  # fmt: skip
        assert form.strip("'\"") not in secrets.redact(before + form + after)


@given(VALUES, st.text(max_size=80))
def test_a_text_without_a_secret_stays_as_it_is(value: str, text: str) -> None:
    plain = Secrets().redact(text)
    hidden = knowing(value).redact(text)
    assert (hidden == plain) or "***" in hidden


@pytest.mark.parametrize(
    "value",
    ["", "1", "true", "admin", "postgres", "changeme", "PASSWORD", "hunter", "123456", "aaaaaaaaaaaa", "abababab",
     "/run/secrets/db-password", "./data/keys", "https://id.example.org/realm", "secret"],
)  # fmt: skip
def test_what_may_be_anything_is_not_hidden_everywhere(value: str) -> None:
    assert knowing(value).redact(f"as {value} it was") == f"as {value} it was"


@pytest.mark.parametrize(
    "value",
    ["hunter2", "correcthorse", "s3cr3t!", "12345678", "https://u:p4ssw0rd@h/x", "/+aGk5sd==", "pässwort1"],
)
def test_what_can_be_nothing_else_is_hidden_everywhere(value: str) -> None:
    assert knowing(value).redact(f"as {value} it was") == "as *** it was"


def test_names_of_the_stack_are_shown_even_if_they_are_a_password_too() -> None:
    secrets = knowing("shop-database", "hunter2!")
    secrets.publish(["shop-database"])
    assert secrets.redact("shop-database hunter2!") == "shop-database ***"


def test_of_a_key_every_line_is_secret_and_a_longer_secret_goes_first() -> None:
    secrets = knowing("-----BEGIN\nMIIEvQIBADANBgkqhkiG9w0\nshort\n", "hunter2!", "hunter2!-and-more")
    assert secrets.redact("log: MIIEvQIBADANBgkqhkiG9w0 short hunter2!-and-more") == "log: *** short ***"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("redis-server --requirepass s3cr3t!x --port 1", "s3cr3t!x"),
        ("mysqladmin ping -h localhost -ps3cr3t!x", "s3cr3t!x"),
        ("redis-cli -a s3cr3t!x ping", "s3cr3t!x"),
        ("curl -f -u admin:s3cr3t!x http://localhost/", "s3cr3t!x"),
        ("pg_isready -d postgres://u:s3cr3t!x@db/x", "s3cr3t!x"),
        ("PGPASSWORD='s3cr3t!x' psql", "s3cr3t!x"),
        ("mysql -p$MYSQL_PASSWORD --password ${MYSQL_PASSWORD}", None),
        ("nginx -g 'daemon off;'", None),
    ],
)
def test_secrets_are_read_from_commands(text: str, value: str | None) -> None:
    assert secrets_shown(text) == ({value} if value else set())


def test_everything_that_a_configuration_knows_is_learned(tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text("file-s3cr3t\n")
    config = {
        "name": "shop",
        "services": {
            "web-service1": {
                "image": "registry.example/web-image1:1",
                "environment": {
                    "DB_PASSWORD": "env-s3cr3t",
                    "URL": "pg://u:url-s3cr3t@db/x",
                    "MODE": "mode-n0tsecret",
                },
                "build": {"context": ".", "args": {"NPM_TOKEN": "arg-s3cr3t"}},
                "labels": {"traefik.auth.secret": "label-s3cr3t"},
                "command": ["server", "--admin-password", "command-s3cr3t"],
                "healthcheck": {"test": ["CMD-SHELL", "mysqladmin ping -phealth-s3cr3t"]},
                "post_start": [{"command": ["curl", "-u", "me:hook-s3cr3t", "http://x"]}],
                "working_dir": "/srv/app-dir1",
            },
        },
        "volumes": {"v": {"driver_opts": {"password": "driver-s3cr3t"}}},
        "secrets": {
            "a": {"file": str(tmp_path / "token.txt")},
            "b": {"environment": "OTHER"},
            "c": {"content": "content-s3cr3t"},
            "d": {"file": str(tmp_path / "missing")},
        },
        "configs": {"e": {"content": "user = x\npassword = config-s3cr3t$$\n"}},
    }
    secrets = Secrets()
    environment = learn_environment(
        secrets,
        "OTHER=other-s3cr3t\nMY_KEY=line one 1234567890\nline two 1234567890\nHOME=/home/me\nAPI_KEY=web-image1\n",
    )
    learn_configuration(secrets, config, environment)
    hidden = [
        "env-s3cr3t", "url-s3cr3t", "arg-s3cr3t", "label-s3cr3t", "command-s3cr3t", "health-s3cr3t", "hook-s3cr3t",
        "driver-s3cr3t", "file-s3cr3t", "other-s3cr3t", "content-s3cr3t", "config-s3cr3t$", "line two 1234567890",
    ]  # fmt: skip
    assert {value: secrets.redact(f"<{value}>") for value in hidden} == dict.fromkeys(hidden, "<***>")
    for shown in ("web-service1", "web-image1", "/home/me", "mode-n0tsecret", "app-dir1"):
        assert secrets.redact(shown) == shown


def test_what_a_scenario_gives_is_learned() -> None:
    secrets = Secrets()
    document = {
        "stack": {"env": {"DB_PASSWORD": "env-s3cr3t"}, "setup": ["./seed --token setup-s3cr3t"]},
        "paths": {"api": {"headers": {"Authorization": "Bearer header-s3cr3t", "Accept": "text/plain"}}},
        "events": [{"backup-restore": {"backup": "PGPASSWORD=event-s3cr3t ./b"}}, "restart"],
    }
    learn_scenario(secrets, document)
    for value in ("env-s3cr3t", "setup-s3cr3t", "header-s3cr3t", "event-s3cr3t"):
        assert secrets.redact(f"<{value}>") == "<***>"
    assert secrets.redact("text/plain restart") == "text/plain restart"


def test_errors_tell_no_secret() -> None:
    secrets = knowing("hunter2!")
    with pytest.raises(StackError) as caught, secrets.kept_from_errors():
        raise StackError("it said hunter2!", where="hunter2!.yaml", remedy="not hunter2!")
    assert "hunter2!" not in f"{caught.value} {caught.value.args} {vars(caught.value)}"


# Records

NAMES = {
    "RunBegan": {"run", "version", "started"},
    "ScenarioBegan": {
        "name",
        "source",
        "sha256",
        "directories",
        "directory_mode",
        "ignore",
        "left_out",
        "promised",
    },
    "PathDeclared": {"name", "kind", "root"},
    "RuleDeclared": {"through", "acknowledgement", "operations", "also"},
    "StepPlanned": {"step", "event"},
    "Claim": {"shown_by"},
    "KnownLoss": {"event", "symptom", "paths", "names", "until"},
    "StackPrepared": {"project", "isolation"},
    "StackReady": {"images", "mounts"},
    "AbsenceProbed": {"path"},
    "BaselineListed": {"path", "names", "directories"},
    "StepBegan": {"step", "event", "promise", "fate"},
    "Invoked": {"operation"},
    "Completed": {"outcome", "name"},
    "EventBegan": {"step"},
    "Checkpointed": {"step"},
    "Evidence": {"source"},
    "EventEnded": {"step", "remade", "destroyed"},
    "StackChanged": {"step", "project", "mounts"},
    "StackReadyAgain": {"step"},
    "ControlCheck": {"store", "duty"},
    "ControlsChecked": {"step", "expected"},
    "ReadMeanwhile": {"step", "path"},
    "PathObserved": {"step", "phase", "path", "method"},
    "Observation": {
        "kind",
        "sha256",
        "mode",
        "owner",
        "content_type",
        "spans",
        "flaw",
        "target",
        "shared",
        "xattrs",
        "row",
        "beside",
    },
    "FoundElsewhere": {"step", "name", "volume"},
    "StepSkipped": {"step", "event"},
    "StepFaulted": {"step"},
    "StepEnded": {"step"},
    "ScenarioEnded": {"name", "kept"},
}
"""What stays as it is: names, kinds, digests; the fields of operations and payloads are all such."""


def parts(hint: Any) -> Iterator[Any]:
    yield hint
    for argument in get_args(hint):
        yield from parts(argument)


def may_hold_text(part: Any) -> bool:
    return part is Any or dataclasses.is_dataclass(part) or (isinstance(part, type) and issubclass(part, str))


def test_every_field_with_text_is_either_words_or_a_name() -> None:
    """A new field of a record has to be decided on: here, or in `FREE_TEXT`."""
    todo, seen = list(RECORD_TYPES), set()
    while todo:
        cls = todo.pop()
        if cls in seen:
            continue
        seen.add(cls)
        hints = get_type_hints(cls)
        textual = {name for name, hint in hints.items() if any(map(may_hold_text, parts(hint)))}
        words = set(FREE_TEXT.get(cls, ()))
        assert textual == words | NAMES.get(cls.__name__, set()), cls.__name__
        todo += [part for name in words for part in parts(hints[name]) if dataclasses.is_dataclass(part)]  # type: ignore[misc]


def test_words_of_a_record_are_redacted_and_names_are_not() -> None:
    secrets = knowing("hunter2!")
    seen = {
        "a/hunter2!": Observation(NodeKind.ERROR, error="no hunter2!"),
        "b": Observation(NodeKind.FILE, 1),
    }
    record = PathObserved("hunter2!", Phase.AFTER, "api", "http", seen, problem="it said hunter2!")
    told = reworded(record, secrets.redact_in)
    assert told.step == "hunter2!"
    assert told.observations == {"a/hunter2!": Observation(NodeKind.ERROR, error="no ***"), "b": seen["b"]}
    assert told.problem == "it said ***"
    ended = reworded(
        EventEnded("s", True, 1.0, (Evidence("stream", "hunter2!"),), ("x hunter2!",)), secrets.redact_in
    )
    assert ended == EventEnded("s", True, 1.0, (Evidence("stream", "***"),), ("x ***",))


@pytest.mark.parametrize(
    "record",
    [
        Completed(1, Outcome.OK, "201", 201),
        StepFaulted("s", "it failed"),
        PathObserved("s", Phase.AFTER, "api", "http", {"b": Observation(NodeKind.FILE, 1, "0" * 64)}),
    ],
)
def test_a_record_without_a_secret_is_not_even_copied(record: Any) -> None:
    assert reworded(record, knowing("hunter2!").redact_in) is record
