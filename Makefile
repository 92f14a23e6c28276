# The two commands that do everything: make demo, make test. Every target prepares what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Named after what it was made from, so that a second run has nothing to do.
VENV := .venv/made-from-$(shell { pwd; cat pyproject.toml requirements.lock; } | cksum | cut -d' ' -f1)

$(VENV):
	@bootstrap/venv.sh $@

.PHONY: help demo test test-unit test-browser soak bench check lint types layers format docs engine venv lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: engine ## brings up the media stack, does to it what it must survive, and prints the verdict
	@$(BIN)/persistence run scenarios/media.persistence.yaml

# Of the HR stack's events those that say most in two minutes; `make soak` takes them all.
HORILLA := scenarios/horilla.persistence.yaml
HORILLA_FIRST := up kill deploy backup-restore

# A test that hangs says where after so many seconds, many times what the longest takes.
UNIT := tests/unit -n auto --timeout 120
LONGEST := --timeout 900

test: engine ## all tests: of the harness, without and with an engine, then the reference stacks through pytest
	@$(BIN)/pytest $(UNIT)
	@$(BIN)/pytest tests/engine -n 2 --dist loadfile $(LONGEST) --durations 20 --durations-min 4
	@$(BIN)/pytest -m persistence -n 2 --dist loadfile $(LONGEST) $(filter-out scenarios/horilla%,$(wildcard scenarios/*.persistence.yaml)) \
		$(HORILLA_FIRST:%=$(HORILLA)::%)

test-unit: $(VENV) ## the tests that need no engine
	@$(BIN)/pytest $(UNIT)

test-browser: engine ## report.html, and the HR stack's logo, in headless Chromium, which is installed where it may be
	@bootstrap/chromium.sh
	@$(BIN)/pytest tests/browser

soak: engine ## long: each broken variant five times, 200 sound steps on the media stack, all of the HR stack's scenarios
	@$(BIN)/pytest -m soak tests -n 2
	@$(BIN)/pytest -m persistence $(wildcard scenarios/horilla*) tests/fixed-horilla

bench: engine ## the figures of benchmarks/ against what one would do by hand; ONLY=name for one of them
	@bootstrap/load.sh
	@$(BIN)/python -m compileall -q persistence_tests # as an installed package is, whatever the environment says
	@$(BIN)/python -m benchmarks $(ONLY)

check: lint types layers ## lint, types and layers

lint: $(VENV) ## ruff: rules and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV) ## mypy, strict
	@$(BIN)/mypy

layers: $(VENV) ## import-linter: who may import whom
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

format: $(VENV) ## formats the code and mends what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

docs: $(VENV) ## writes the pages and schemas of docs/ that the code says
	@$(BIN)/python -m docs.reference

engine: $(VENV) ## a Docker engine that answers, and debian:bookworm-slim on it
	@$(BIN)/python -m bootstrap.engine

venv: $(VENV) ## .venv with the locked dependencies

lock: $(VENV) ## renews requirements.lock from pyproject.toml
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --all-extras \
		--no-config --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml >/dev/null

clean: ## removes what runs left on the engine, then .venv and all caches
	@if [ -x $(BIN)/persistence ]; then $(BIN)/persistence clean --yes || echo "clean: leftovers on the engine remain (see above)"; fi
	@rm -rf .venv .cache build dist .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
