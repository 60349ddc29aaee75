# streamgauge: `make help` says what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A .venv whose interpreter went away (an upgrade, a moved folder) is made anew, however young its files are.
$(VENV)/ready: requirements.lock pyproject.toml $(shell bash .ci/venv --check $(VENV) || echo broken)
	@bash .ci/venv $(VENV)

.PHONY: broken
broken:

.PHONY: setup
setup: $(VENV)/ready ## make .venv with everything in it (PYTHON=... names the Python, 3.11 or 3.12)
	@true

.PHONY: demo
demo: demo/traces.pb.zst ## replay 15 minutes with an incident, and show what happened and who is alerted
	@rm -f demo/alerts.jsonl
	@$(BIN)/streamgauge replay demo/traces.pb.zst --slos 'deploy/slos/*.yaml' --seed datasets/demo.seed.json \
		--anomalies --prime datasets/demo.prime.csv.gz \
		--openmetrics demo/streamgauge.om --samples demo/samples.csv.gz --alerts demo/alerts.jsonl

demo/traces.pb.zst: datasets/demo.yaml datasets/platform.yaml | setup
	@$(BIN)/streamgauge generate datasets/demo.yaml $@

.PHONY: seed
seed: setup ## make what came before the demo anew, after a change of deploy/slos (minutes, 400 MB)
	@$(BIN)/streamgauge generate datasets/demo_before.yaml demo/before/traces.pb.zst
	@$(BIN)/streamgauge slo seed demo/before/traces.pb.zst --slos 'deploy/slos/*.yaml' --out datasets/demo.seed.json
	@$(BIN)/streamgauge generate datasets/demo_workday.yaml demo/before/traces.pb.zst
	@$(BIN)/streamgauge replay demo/before/traces.pb.zst --samples demo/before/samples.csv >demo/before/report.txt
	@awk -F, 'NR == 1 || $$4 ~ /SERVER|CONSUMER/ && $$5 == "1m" && $$6 > 0' demo/before/samples.csv | cut -d, -f 1-7,9 | \
		{ read -r header; echo "$$header"; LC_ALL=C sort -t, -k2,4 -k1,1; } | gzip -9n >datasets/demo.prime.csv.gz
	@rm -r demo/before

.PHONY: test
test: setup ## all tests, also the slow ones
	$(BIN)/pytest

.PHONY: servers
servers: ## fetch and build what tests with real servers need (Java, Maven, Go)
	@bash tests/servers/install

.PHONY: check
check: setup ## format, lint, types, import contracts, quick tests on all cores: a minute or two
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m "not slow" -n auto

.PHONY: bench
bench: setup ## all benchmarks, one after the other; results go to benchmarks/results/
	@failed=""; for file in benchmarks/speed_*.py; do \
		echo "== $$file"; $(BIN)/python "$$file" || failed="$$failed $$file"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

.PHONY: docs
docs: setup ## write the pages anew that are made from the code
	$(BIN)/python -m flows.config.reference > docs/configuration.md
	$(BIN)/python -m exporters.reference > docs/metrics.md

.PHONY: lock
lock: ## pin the dependencies anew (needs uv)
	uv --quiet pip compile pyproject.toml --group dev --extra plot --extra notebook --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock

.PHONY: clean
clean: ## remove what the targets made
	rm -rf $(VENV) dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
