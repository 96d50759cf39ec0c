# Relais: a dozen verbs. `make demo` and `make test` are all a fresh machine needs; both do `make setup` first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The system's own Python first: it is built optimised, and carries a document with a tenth less CPU than a plain build. Yours: PYTHON=python3.12
PYTHON ?= $(shell for one in /usr/bin/python3 python3; do "$$one" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$one" && exit; done; echo python3)
REPLICAS ?= 1
BIN := .venv/bin
DISTRIBUTIONS := proto shared services/ingestion services/identity services/routing services/delivery services/cli deploy/embedded deploy/sandbox deploy/demo
READY := .venv/ready

.PHONY: help setup demo test check fmt proto up down status bench faults clean lock

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | grep -v '^help:' | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(READY) ## make .venv, which holds every command and both servers
	@echo "  .venv is ready"

$(READY): requirements.lock $(addsuffix /pyproject.toml,$(DISTRIBUTIONS)) .ci/setup
	@PYTHON="$(PYTHON)" .ci/setup $(DISTRIBUTIONS)

demo: $(READY) ## start everything, carry 200 documents, show where they went
	@$(BIN)/python -m relais.demo

test: $(READY) ## run every test (one area: make test ARGS=tests/routing)
	@$(BIN)/pytest $(ARGS)

check: $(READY) ## format, lint, types, import contracts, protocol, generated code, lock
	@.ci/check

fmt: $(READY) ## format and mend what can be mended by itself
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(BIN)/buf format --write proto

proto: $(READY) ## generate the Python package from the .proto files
	@.ci/generated write

up: $(READY) ## start the embedded stack and leave it up (REPLICAS=2: two of each service)
	@$(BIN)/relais-embedded up --replicas $(REPLICAS)

down: ## stop it; its data stay
	@$(BIN)/relais-embedded down

status: ## what runs, since when, and where it listens
	@$(BIN)/relais-embedded status

bench: $(READY) ## measure the road (12 minutes)
	@$(BIN)/python -m tests.bench $(ARGS)

faults: $(READY) ## break things, then check every log (the long form)
	@RELAIS_FAULTS=long $(BIN)/pytest tests/faults $(ARGS)

clean: ## stop the stack; remove the environment, the caches and the stack's data
	@if [ -x $(BIN)/relais-embedded ] && [ -d .relais ]; then $(BIN)/relais-embedded down; fi
	@rm -rf .venv .relais .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(READY)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		$(foreach name,api shared ingestion identity routing delivery cli embedded sandbox demo,--no-emit-package relais-$(name)) \
		$(if $(UPGRADE),--upgrade) requirements.in --output-file requirements.lock
