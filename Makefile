# streamgauge: `make help` says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help:
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: requirements.lock pyproject.toml
	@python=""; for candidate in "$$PYTHON" python3.12 python3.11 python3 python; do \
		[ -n "$$candidate" ] && "$$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
		&& { python="$$candidate"; break; }; done; \
	[ -n "$$python" ] || { echo "streamgauge needs Python 3.11 or 3.12 and found neither: install one (Debian: apt install python3.11 python3.11-venv), or name it: make setup PYTHON=/path/to/python3.12"; exit 1; }; \
	"$$python" -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: setup
setup: $(VENV)/ready ## make .venv with everything in it

.PHONY: test
test: setup ## all tests, also the slow ones
	$(BIN)/pytest

.PHONY: check
check: setup ## format, lint, types, import contracts, quick tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not slow"

.PHONY: lock
lock: ## pin the dependencies anew (needs uv)
	uv --quiet pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock

.PHONY: clean
clean: ## remove what the targets made
	rm -rf $(VENV) dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
