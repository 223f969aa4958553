# keeper: every target installs what it needs by itself; a fresh Debian with Python 3.11+, node/npm and make is enough.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$p; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.run-installed
DEV_STAMP := $(VENV)/.dev-installed
export KEEPER_DEVNET_HOME := $(CURDIR)/.cache/devnet
export HYPOTHESIS_PROFILE ?= default

.PHONY: help demo test check bench bench-quick lock clean devnet faults bad-day

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "keeper needs Python 3.11 or newer with venv; on Debian: apt-get install python3 python3-venv" >&2; exit 1; fi
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "installing keeper (hash-checked)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/run.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements/dev.lock $(RUN_STAMP)
	@echo "installing test and check tools (hash-checked)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

devnet: $(RUN_STAMP) ## install the local chain and the real protocol contracts (npm)
	@$(BIN)/python -m keeper.devnet.install

demo: $(RUN_STAMP) ## watch three positions compound on a local chain, about a minute
	@$(BIN)/keeper demo

test: $(DEV_STAMP) devnet ## run every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

N ?= 500
SEED ?= 1
CASE ?=
faults: $(DEV_STAMP) devnet ## put keeper through every fault, and N=500 random mixtures of them from SEED=1
	@$(BIN)/python tools/compile_contracts.py --check
	@$(BIN)/python -m tests.faults --count $(N) --seed $(SEED) $(if $(CASE),--case $(CASE))
	if [ -z "$(CASE)" ] && [ "$(N)" -ge 100 ]; then $(BIN)/python -m tests.faults.arena; fi

check: $(DEV_STAMP) ## lint, types, architecture, dependencies
	@$(BIN)/ruff check keeper tests tools
	@$(BIN)/ruff format --check keeper tests tools
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry keeper

bad-day: $(RUN_STAMP) devnet ## play a bad day on a local chain, and record what the operator sees (docs/how-to/bad-day.md)
	@$(BIN)/python -m tools.bad_day

bench-quick: $(DEV_STAMP) devnet ## the benchmarks on 1,000 positions, as CI runs them
	@$(BIN)/python -m tests.bench --quick

bench: $(DEV_STAMP) devnet ## measure against the floors of docs/explanation/performance.md
	@$(BIN)/python -m tests.bench

lock: $(BIN)/python ## re-resolve the lock files (needs uv on PATH)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra backtest pyproject.toml requirements/build.in -o requirements/run.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra backtest pyproject.toml requirements/build.in requirements/dev.in -c requirements/run.lock -o requirements/dev.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header requirements/arena.in -c requirements/run.lock -o requirements/arena.lock

clean: ## remove everything that make installed
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
