# Two commands: `make run` sets everything up and runs the server; `make test` sets up and passes all tests.
SHELL := /bin/sh
PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
CONFORMANCE ?= $(firstword $(wildcard ../shared/conformance /work/shared/conformance))
BENCH ?= $(firstword $(wildcard ../shared/bench /work/shared/bench))
STAMP := $(VENV)/.installed
DEVSTAMP := $(VENV)/.installed-dev

.PHONY: help run setup test check lint types shape conformance conformance-fast bench option-reference ledger clean

help: ## this text
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(STAMP): pyproject.toml
	@scripts/setup-venv $(PYTHON) $(VENV)
	@touch $@

$(DEVSTAMP): pyproject.toml
	@scripts/setup-venv $(PYTHON) $(VENV) dev
	@touch $@ $(STAMP)

setup: $(STAMP) ## make .venv with everything the server needs

run: $(STAMP) ## run the server with an embedded default under ./var (ports 2525 and 2587)
	@exec $(BIN)/angaros demo --directory ./var

test: $(DEVSTAMP) ## all tests
	@scripts/run-tests $(ARGS)

lint: $(DEVSTAMP)
	@$(BIN)/ruff format --check angaros tests scripts benchmarks
	@$(BIN)/ruff check angaros tests scripts benchmarks

types: $(DEVSTAMP)
	@$(BIN)/mypy --strict angaros

shape: $(DEVSTAMP)
	@$(BIN)/python scripts/check_shape.py

check: lint types shape test ## format, lint, types, import order, shape, tests

conformance: $(STAMP) ## all scripts of the conformance suite against the ratchet (root)
	@$(CONFORMANCE)/run --bindir $(CURDIR)/$(BIN) --retries 1 --baseline conformance/passing.txt $(ARGS)

bench: $(STAMP) ## speed beside Exim and Postfix (root)
	@$(BENCH)/run --peers exim,postfix,put=$(CURDIR)/$(BIN) --scenarios S1,S2,S3 --messages 2000 --runs 3 $(ARGS)

option-reference: $(STAMP)
	@$(BIN)/python scripts/make_option_reference.py > docs/options.md

ledger: $(STAMP)
	@$(BIN)/python scripts/make_ledger.py > docs/compatibility.md

clean: ## remove what was made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
