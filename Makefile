# What a newcomer types. Each target sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test lint soak scale bench lock

help: ## list the targets
	@grep -E '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | sed 's/:.* ## /\t/' | expand -t 12

setup: $(VENV)/.run-installed ## install what the daemon needs into .venv

setup-dev: $(VENV)/.dev-installed ## install what the tests need too

run: setup ## start the daemon on http://127.0.0.1:8080
	@$(BIN)/zapwire serve

demo: setup ## start the daemon against its own sandbox: no phone needed
	@$(BIN)/zapwire serve --sandbox

test: lint ## check the style, the types and the imports, then run every test
	$(BIN)/pytest -n 3 --dist loadfile
	@echo "the transport once more, as on a machine whose build of the engine is not known"
	ZAPWIRE_TEST_NO_BUILD=1 $(BIN)/pytest -n 3 --dist loadfile tests/transport --ignore tests/transport/pairing

lint: setup-dev ## only the style, the types and the imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: setup-dev ## the long tests: hundreds of kills and power cuts, then a hundred bots for an hour with random faults
	$(BIN)/pytest -m soak
	@$(BIN)/python -m bench.scale.soak

scale: setup-dev ## a thousand bots: time to connect, memory, messages a second; pairs them once
	@$(BIN)/python -m bench.scale

bench: setup-dev ## measure, and print the figures as a table
	@$(BIN)/python -m bench

lock: setup-dev ## resolve the dependencies anew
	tools/lock $(BIN)

$(VENV)/bin/python:
	tools/make-venv $(PYTHON) $(VENV)

# Everything that is fetched is pinned with its hash, what builds the program included; the last step fetches nothing.
INSTALL_ITSELF := $(BIN)/pip install --quiet --no-index --no-deps --no-build-isolation -e .

$(VENV)/.run-installed: $(VENV)/bin/python requirements.lock requirements-build.lock pyproject.toml
	@echo "installing what the daemon needs; the first time that takes a minute"
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock -r requirements-build.lock
	$(INSTALL_ITSELF)
	@mkdir -p sessions && chmod 700 sessions
	@touch $@

$(VENV)/.dev-installed: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(INSTALL_ITSELF)
	@mkdir -p sessions && chmod 700 sessions
	@tools/find-chromium >/dev/null
	@tools/find-systemd-analyze >/dev/null
	@touch $(VENV)/.run-installed $@
