"""One run with everything that a scenario can say of its stack, full of secrets: it is used, and told nowhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.stacks.box_scenario import BOX, write_scenario

pytestmark = pytest.mark.engine

PLACES = (
    "dotenv", "scenario", "machine", "envfile", "address", "argument", "label", "file", "variable", "config", "option",
    "probe", "header", "setup", "backup", "said",
)  # fmt: skip
PLANTED = {place: f"pl4nted-{place}+/{number:02d}" for number, place in enumerate(PLACES)}
PLANTED["address"] = quote(PLANTED["address"], safe="")
SHORT = "admin"
"""A password that is a word like any other: it must not be taken out of every text."""

COMPOSE = f"""
name: shop
services:
  box:
    build: {{context: ., args: {{BUILD_TOKEN: "{PLANTED["argument"]}"}}}}
    profiles: [full]
    init: true
    restart: always
    command:
      - sh
      - -c
      - |
        echo "admin: {PLANTED["said"]} $$DB_PASSWORD $$SEED_SECRET $$MACHINE_TOKEN $$API_KEY $$DATABASE_URL"
        cat /run/secrets/* /settings >&2; echo
        exec perl /web.pl honest
      - --admin-password
      - "{PLANTED["option"]}"
    environment:
      DB_PASSWORD: ${{DB_PASSWORD}}
      SEED_SECRET: ${{SEED_SECRET}}
      MACHINE_TOKEN: ${{MACHINE_TOKEN}}
      DATABASE_URL: "postgres://shop:{PLANTED["address"]}@db/shop"
      ADMIN_PASSWORD: {SHORT}
      SAID_SECRET: "{PLANTED["said"]}"
    env_file: box.env
    labels: {{shop.secret: "{PLANTED["label"]}"}}
    secrets: [file, variable]
    configs: [settings]
    volumes: ["./files:/files"]
    ports: ["8000"]
    healthcheck:
      test: ["CMD-SHELL", "perl -e 1 -- --password {PLANTED["probe"]}"]
      interval: 1s
secrets:
  file: {{file: ./token.txt}}
  variable: {{environment: VARIABLE_SECRET}}
configs:
  settings: {{content: "user = {SHORT}\\npassword = {PLANTED["config"]}\\n"}}
"""


@dataclass(frozen=True)
class Told:
    directory: Path
    output: str
    result: dict[str, Any]

    def step(self, name: str) -> dict[str, Any]:
        [scenario] = self.result["scenarios"]
        return next(step for step in scenario["steps"] if step["step"] == name)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tmp_path_factory.mktemp("told")
    for name in ("Dockerfile", "web.pl"):
        shutil.copy(BOX / name, home / name)
    (home / "files").mkdir()
    (home / "compose.yaml").write_text(COMPOSE)
    (home / ".env").write_text(f"DB_PASSWORD='{PLANTED['dotenv']}'\nVARIABLE_SECRET={PLANTED['variable']}\n")
    (home / "box.env").write_text(f"API_KEY={PLANTED['envfile']}\n")
    (home / "token.txt").write_text(f"{PLANTED['file']}\n")
    backup = (
        f'PGPASSWORD={PLANTED["backup"]} true && test "$(cat files/greeting)" = hello && '
        "cat .env box.env token.txt >&2 && exit 3"
    )
    rules = ({"through": "api", "request": "POST /files/up/{name}"}, {"through": "direct"})
    scenario = write_scenario(
        home,
        ["recreate", {"backup-restore": {"backup": backup, "restore": "true {archive}"}}],
        stack={
            "compose": "compose.yaml",
            "profiles": ["full"],
            "env": {"SEED_SECRET": PLANTED["scenario"], "GREETING": "hello"},
            "commands": "follow-project",
            "setup": [f"printf $GREETING >files/greeting # --token {PLANTED['setup']}"],
            "ready": {"path": "api", "url": "/health"},
        },
        paths={
            "volume": {"bind": "./files", "under": "up"},
            "direct": {"service": "box", "root": "/files/up"},
            "api": {
                "service": "box",
                "port": 8000,
                "url": "/files/up/{name}",
                "headers": {"Authorization": f"Bearer {PLANTED['header']}"},
            },
        },
        writes=[{**rule, "into": ["."], "files": 3, "sizes": [10, 5000], "names": "plain"} for rule in rules],
    )
    done = subprocess.run(
        [sys.executable, "-m", "persistence_tests", "run", str(scenario), "--json"],
        capture_output=True, text=True, cwd=home, timeout=300, check=False,
        env={**os.environ, "MACHINE_TOKEN": PLANTED["machine"], "COLUMNS": "400"},
    )  # fmt: skip
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    return Told(home / "reports" / result["run_id"], done.stdout + done.stderr, result)


def test_profiles_setup_and_a_bind_with_under_work(told: Told) -> None:
    """The backup fails only after it has seen what `setup` wrote, with `env`, into the bind."""
    for step in ("up", "recreate"):
        assert told.step(step)["verdict"] == "kept", told.output
        assert {name: path["ok"] for name, path in told.step(step)["paths"].items() if not path["ok"]} == {}
    failed = told.step("backup-restore")
    assert failed["verdict"] == "inconclusive"
    assert "exit code 3" in " ".join(failed["reasons"])


def test_no_secret_is_told_anywhere(told: Told) -> None:
    files = [file for file in told.directory.rglob("*") if file.is_file()]
    assert {"history.jsonl", "result.json", "report.html", "summary.md", "ctrf.json"} <= {
        f.name for f in files
    }
    texts = {str(file.relative_to(told.directory)): file.read_text() for file in files} | {
        "terminal": told.output
    }
    found = {(name, place) for name, text in texts.items() for place in PLACES if f"pl4nted-{place}" in text}
    assert found == set()
    [log] = [text for name, text in texts.items() if name.endswith("-box.log")]
    assert "admin: *** *** *** *** *** " in log
    assert f"user = {SHORT}" in log
    assert '"ADMIN_PASSWORD":"***"' in texts["history.jsonl"]
